"""The campaign against a batch: its coordinator is killed at any moment, and the next one goes on.

`python -m tests.chaos.batch_kills --runs 200 --seed 1`. Each run renders 24 frames on up to three emulated machines,
is killed (SIGKILL) up to four times at moments that are drawn, and is then let finish. What must hold of each: no frame
that was accepted is lost or written anew, every frame is there and whole at the end, no session runs, no key had two at
once, never more machines than allowed, and the bill is the ledger's to the wei.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from octa_provider.batch.folder.status import status
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.pictures import check_frames
from tests.chaos.batch_child import SPEED
from tests.core.batch.run.quick_renderer import write_scene

FRAMES = "1-24"
MACHINES = 3
#: A run that takes so long has hung.
PATIENCE_S = 600.0
#: Of a batch that costs more than was planned with.
_QUOTES = 20


@dataclass
class KilledRun:
    """What became of one run.

    Attributes:
        seed: what it was drawn from.
        kills: how often it was killed.
        wrong: what did not hold, each as one sentence.
        accepted_at_kills: how many frames were accepted when it was killed.
        rendered_twice: frames of which a whole copy came twice.
    """

    seed: int
    kills: int = 0
    wrong: list[str] = field(default_factory=list)
    accepted_at_kills: list[int] = field(default_factory=list)
    rendered_twice: int = 0


def run_killed(seed: int, folder: Path) -> KilledRun:
    """One run.

    Args:
        seed: everything is drawn from it.
        folder: for its files; an empty one.
    """
    draw = random.Random(seed)
    outcome = KilledRun(seed)
    output = folder / "out"
    scene = write_scene(folder / "scene")
    with start_emulator(in_process=False, start_delay_s=0.1, speed=SPEED, machines=8, seed=seed % 5) as emulator:
        told = {
            "api_key": emulator.api_key,
            "base_url": emulator.base_url,
            "private_key": str(emulator.ssh_private_key),
            "scene": str(scene),
            "output": str(output),
            "frames": FRAMES,
            "frame_s": draw.choice((0.0, 0.1, 0.3)),
            "max_machines": MACHINES,
            "within_s": 3600.0,
            "seconds_per_frame": draw.choice((None, 300.0, 400.0)),
        }
        before: dict[str, tuple[int, int]] = {}
        for _ in range(draw.randint(1, 4)):
            if not _run_until(told, draw.uniform(0.5, 6.0), draw.randint(1, 20), output, folder):
                break
            outcome.kills += 1
            now = _frames_there(output)
            _compare(outcome, before, now, output)
            before = now
            outcome.accepted_at_kills.append(_accepted(output))
        _finish(outcome, told, emulator, before, output, folder)
    return outcome


def _run_until(told: dict[str, object], seconds: float, more: int, output: Path, folder: Path) -> bool:
    """Run a coordinator for a while, or until so many more frames are accepted, then kill it; False when it had ended.

    A fast machine ends the batch within the seconds: by the frames it is killed there too.
    """
    child = _start(told, folder)
    enough, end = len(_frames_there(output)) + more, time.monotonic() + seconds
    while child.poll() is None and time.monotonic() < end and len(_frames_there(output)) < enough:
        time.sleep(0.01)
    if child.poll() is None:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        return True
    return child.returncode not in (0, 3)


def _start(told: dict[str, object], folder: Path) -> subprocess.Popen[bytes]:
    with open(folder / "child.err", "ab") as errors, open(folder / "child.out", "wb") as said:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.batch_child"],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=errors,
            env={**os.environ, "OCTA_STATE_DIR": str(folder / "state")},
        )
    assert child.stdin is not None
    with suppress(BrokenPipeError):
        child.stdin.write(json.dumps(told).encode())
        child.stdin.close()
    return child


def _finish(
    outcome: KilledRun,
    told: dict[str, object],
    emulator: EmulatorHandle,
    before: dict[str, tuple[int, int]],
    output: Path,
    folder: Path,
) -> None:
    for _ in range(_QUOTES):
        child = _start(told, folder)
        try:
            code = child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            outcome.wrong.append(f"the last run did not end within {PATIENCE_S:.0f} s")
            return
        said = (folder / "child.out").read_text(errors="replace")
        # On a busy machine frames take longer than was planned with: as it says, it is run again with a new plan.
        if code != 3 or json.loads(said)["outcome"] != "over budget":
            break
    if code != 0:
        tail = said[-800:] or (folder / "child.err").read_text(errors="replace")[-800:]
        outcome.wrong.append(f"the last run ended with {code}: {tail}")
        return
    _compare(outcome, before, _frames_there(output), output)
    check = check_frames(output, FRAMES)
    if not check.whole:
        outcome.wrong.append(f"not every frame is whole: {check.broken_frames}")
    ledger = emulator.ledger(requests=False)
    if ledger["running"]:
        outcome.wrong.append(f"{ledger['running']} sessions run at the end")
    for key, told_of in ledger["max_running_by_key"].items():
        if told_of["max_running"] > 1:
            outcome.wrong.append(f"{key} had {told_of['max_running']} sessions at once")
    result = json.loads((folder / "child.out").read_text())
    charged = sum(int(session["charge_wei"]) for session in ledger["sessions"])
    if result["cost_wei"] != charged:
        outcome.wrong.append(f"the batch says {result['cost_wei']} wei, the ledger {charged}")
    most = most_at_once(ledger["sessions"])
    if most > MACHINES:
        outcome.wrong.append(f"{most} machines ran at once, {MACHINES} are allowed")
    lines = [json.loads(line) for line in (output / "frames.jsonl").read_text().splitlines()]
    outcome.rendered_twice = sum(int(line.get("attempts", 1)) - 1 for line in lines)


def most_at_once(sessions: list[dict[str, object]]) -> int:
    """How many sessions ever ran at the same time.

    Args:
        sessions: as the ledger tells them.
    """
    changes: list[tuple[int, int]] = []
    for session in sessions:
        changes.append((int(str(session["started_ms"])), 1))
        if session["stopped_ms"] is not None:
            changes.append((int(str(session["stopped_ms"])), -1))
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most


def _frames_there(output: Path) -> dict[str, tuple[int, int]]:
    """The frames under their final names: which file it is, and when it was written."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in output.glob("frame_*.png")}


def _compare(
    outcome: KilledRun, before: dict[str, tuple[int, int]], now: dict[str, tuple[int, int]], output: Path
) -> None:
    for name, was in before.items():
        if name not in now:
            outcome.wrong.append(f"{name} was accepted, and is not there any more")
        elif now[name] != was:
            outcome.wrong.append(f"{name} was accepted, and was written anew")
    if not now:
        return
    for name, flaw in check_frames(output, patterns="frame_{frame:04d}.png").broken_frames.items():
        if "is missing" not in flaw:
            outcome.wrong.append(f"frame {name} lies under its final name and is not whole: {flaw}")


def _accepted(output: Path) -> int:
    try:
        return status(output).done
    except Exception:  # noqa: BLE001 - killed before the folder was begun
        return 0


def campaign(runs: int, seed: int, workers: int) -> Iterator[KilledRun]:
    """Run after run, as they end.

    Args:
        runs: how many.
        seed: of the first; each next one's is one more.
        workers: how many at a time.
    """

    def one(number: int) -> KilledRun:
        with tempfile.TemporaryDirectory(prefix="octa-killed-", ignore_cleanup_errors=True) as folder:
            return run_killed(number, Path(folder))

    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(one, range(seed, seed + runs))


def main() -> int:
    """Run the campaign, and print its table; 1 when something did not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    outcomes: list[KilledRun] = []
    began = time.monotonic()
    for outcome in campaign(options.runs, options.seed, options.workers):
        outcomes.append(outcome)
        for wrong in outcome.wrong:
            print(f"seed {outcome.seed}: {wrong}", flush=True)
        if len(outcomes) % 20 == 0:
            print(f"{len(outcomes)} of {options.runs}, {time.monotonic() - began:.0f} s", flush=True)
    broken = [outcome for outcome in outcomes if outcome.wrong]
    print(f"runs {len(outcomes)}, kills {sum(outcome.kills for outcome in outcomes)}, broken {len(broken)}")
    at = [count for outcome in outcomes for count in outcome.accepted_at_kills]
    print(
        f"frames accepted when killed: 0 in {at.count(0)}, some in {sum(0 < n < 24 for n in at)}, all in {at.count(24)}"
    )
    print(f"frames of which a copy came twice: {sum(outcome.rendered_twice for outcome in outcomes)}")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
