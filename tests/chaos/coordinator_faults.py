"""Rows of the fault table: what happens to the coordinator, its disk, its money and its API."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from octa_provider.batch.events import BatchEvent
from octa_provider.batch.folder.status import status
from octa_provider.batch.result import BatchOutcome
from octa_provider.errors import OctaError
from tests.chaos.blender_stage import FRAMES, ROOT, SPEED
from tests.chaos.fault_ground import Ground
from tests.chaos.fault_row import Row

__all__ = ["api_down", "budget_reached", "coordinator_killed", "disk_full_here", "two_coordinators"]

#: Real seconds: a coordinator that takes longer has hung.
PATIENCE_S = 300.0
#: Real seconds for which the API is away: a minute and a half of the batch's time.
AWAY_S = 9.0


def api_down(ground: Ground, name: str) -> Row:
    """Every request is answered with 503 for a while in the middle of the batch, and a machine goes meanwhile.

    Args:
        ground: where.
        name: of the row.
    """
    emulator = ground.studio.emulator
    timers: list[threading.Timer] = []

    def go_away(event: BatchEvent) -> None:
        if event.kind == "frame accepted" and event.progress.done >= 3 and not timers:
            emulator.faults({"kind": "status", "status": 503, "path": "^/(services|sessions)", "times": None})
            emulator.end_session(event_uuid(ground, event), "Node is offline")
            timers.append(threading.Timer(AWAY_S, emulator.clear_faults))
            timers[0].start()

    result = ground.run(ground.batch(), on_event=go_away)
    for timer in timers:
        timer.join()
    row = ground.row(name, result, told="its session has ended|does not answer over SSH|at one frame for")
    answers = [r["status"] for r in emulator.ledger()["requests"]].count(503)
    row.seen = f"503 to {answers} requests; a machine that went meanwhile: {row.seen}"
    if not answers:
        row.wrong.append("nobody met the API's absence")
    return row


def event_uuid(ground: Ground, event: BatchEvent) -> str:
    """The running session of the machine that an event is about.

    Args:
        ground: where.
        event: one of a machine.
    """
    sessions = ground.studio.emulator.ledger(requests=False)["sessions"]
    return next(str(s["uuid"]) for s in sessions if s["node_id"] == event.node_id and s["stopped_ms"] is None)


def budget_reached(ground: Ground, name: str) -> Row:
    """The money is spent before the frames are there; a later run has more.

    Args:
        ground: where.
        name: of the row.
    """
    # Thought to be quick, so that there is a plan within so little money.
    terms: dict[str, Any] = {"seconds_per_frame": 2.0, "finish_within_s": None, "confidence": 0.5}
    cap_usd = 0.03
    ground.studio.emulator.faults({"kind": "render", "form": "slow", "factor": 4, "times": None})
    first = ground.run(ground.batch(max_cost_usd=cap_usd, **terms))
    row = ground.row(name, first, outcomes=(BatchOutcome.OVER_BUDGET,))
    row.seen = f"over budget: {first.done} of 16 frames, {first.cost_usd or 0:.4f} of {cap_usd} USD"
    if first.cost_usd is None or first.cost_usd > cap_usd:
        row.wrong.append(f"it cost {first.cost_usd} USD, {cap_usd} were allowed")
    ground.studio.emulator.clear_faults()
    again = ground.run(ground.batch(max_cost_usd=5.0, **terms))
    row.done = f"stopped, incomplete; with more money {again.rendered} rendered: {again.outcome.value}"
    if not again.is_whole or again.rendered != 16 - first.done:
        row.wrong.append(f"the run with more money: {again}")
    return row


def coordinator_killed(ground: Ground, name: str) -> Row:
    """SIGKILL in the middle; then it is run again.

    Args:
        ground: where.
        name: of the row.
    """
    child = _start(ground, ground.studio.output)
    accepted = _wait_for_frames(ground.studio.output, 5, child)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    running = ground.studio.emulator.ledger(requests=False)["running"]
    before = _frames(ground.studio.output)
    result = ground.run(ground.batch())
    row = ground.row(name, result)
    row.seen = f"{accepted} accepted frames and {running} running sessions are found again"
    row.done = f"gone on with; {row.done}"
    now = _frames(ground.studio.output)
    if any(now.get(frame) != was for frame, was in before.items()):
        row.wrong.append("a frame that was accepted is not there any more, or was written anew")
    if result.rendered != 16 - len(before):
        row.wrong.append(f"{result.rendered} frames were accepted by the second run, {16 - len(before)} were missing")
    return row


def two_coordinators(ground: Ground, name: str) -> Row:
    """Somebody starts a second one on the same folder.

    Args:
        ground: where.
        name: of the row.
    """
    said: list[str] = []

    def start_another(event: BatchEvent) -> None:
        if event.kind == "frame accepted" and not said:
            child = _start(ground, ground.studio.output)
            said.append(child.communicate(timeout=PATIENCE_S)[1].decode(errors="replace").strip().splitlines()[-1])

    result = ground.run(ground.batch(), on_event=start_another)
    row = ground.row(name, result)
    row.seen = said[0].partition(": ")[2] if said else ""
    row.done = "the second one is refused by name; the first goes on"
    if str(os.getpid()) not in row.seen:
        row.wrong.append(f"the second one was not told who is there: {said}")
    return row


def disk_full_here(ground: Ground, name: str) -> Row:
    """The coordinator's own disk has no room for all frames; then it has, and it is run again.

    A disk so small can be had without being root where user namespaces may be made.

    Args:
        ground: where.
        name: of the row.
    """
    disk = ground.folder / "disk"
    disk.mkdir()
    output = disk / "out"
    told = _told(ground, output)
    command = ["unshare", "-rm", sys.executable, "-m", "tests.chaos.small_disk", str(disk)]
    done = subprocess.run(
        command, cwd=ROOT, input=json.dumps(told), capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False
    )
    if done.returncode != 0:
        return Row(name, wrong=[f"{' '.join(command[:2])} ended with {done.returncode}: {done.stderr[-600:]}"])
    said = json.loads(done.stdout.splitlines()[-1])
    result = said["second"]
    ledger = ground.studio.emulator.ledger(requests=False)
    row = Row(
        name,
        seen=said["error"],
        done=f"stopped; with room again {result['rendered']} rendered, {said['accepted']} kept",
        lost=said["broken"],
        cost_wei=int(ledger["billed_wei"]),
        outcome=result["outcome"],
        left=int(ledger["running"]),
    )
    if result["outcome"] not in ("whole", "late"):
        row.wrong.append(f"the second run: {result}")
    if said["running_after_first"]:
        row.wrong.append(f"{said['running_after_first']} sessions ran when the first run had ended")
    if "disk" not in row.seen:
        row.wrong.append(f"it does not say that the disk is full: {row.seen}")
    if said["kept"] != said["accepted"] or result["rendered"] != 16 - said["accepted"]:
        row.wrong.append(f"{said['accepted']} were accepted, {said['kept']} of them are as they were")
    if result["cost_wei"] != row.cost_wei:
        row.wrong.append(f"the batch says {result['cost_wei']} wei, the ledger {row.cost_wei}")
    if row.lost or row.left:
        row.wrong.append(f"{row.lost} frames are not whole, {row.left} sessions run")
    return row


def _told(ground: Ground, output: Path) -> dict[str, Any]:
    """What a coordinator in a process of its own is told; see `batch_child`."""
    emulator, batch = ground.studio.emulator, ground.batch()
    return {
        "api_key": emulator.api_key,
        "base_url": emulator.base_url,
        "private_key": str(emulator.ssh_private_key),
        "scene": str(batch.scene),
        "main": batch.main,
        "output": str(output),
        "frames": FRAMES,
        "renderer": batch.renderer.to_dict(),
        "max_machines": batch.max_machines,
        "within_s": batch.finish_within_s,
        "seconds_per_frame": batch.seconds_per_frame,
        "speed": SPEED,
    }


def _start(ground: Ground, output: Path) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.batch_child"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OCTA_STATE_DIR": str(ground.folder / "state")},
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(_told(ground, output)).encode())
    child.stdin.close()
    child.stdin = None
    return child


def _wait_for_frames(output: Path, least: int, child: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and child.poll() is None:
        with suppress(OctaError):
            done = status(output).done
            if done >= least:
                return done
        time.sleep(0.2)
    raise RuntimeError(f"the coordinator to be killed came to no {least} frames: {child.poll()}")


def _frames(output: Path) -> dict[str, tuple[int, int]]:
    """The frames under their final names: which file it is, and when it was written."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in output.glob("frame_*.png")}
