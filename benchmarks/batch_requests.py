"""How many requests a minute batches make that render at the same time: by route, in all, and beside a deferred one.

python benchmarks/batch_requests.py --batches 1 10 50 --seconds 60

Each batch is a coordinator of its own, as a task or a flow run has it, with one machine of an emulator; its frames take
20 seconds each. Counted is what the emulator is asked in a window of time while all of them render. With `--paused`
also what one watcher asks for all their machines, as the triggerer does while the tasks are deferred.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from octa_provider import Batch, OctaClient, Renderer
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.watch.watcher import Watcher

COMMAND = "octa-fake-renderer --frames {frames} --output {output} --seconds 20"
#: All machines are ready, and have their first frames, by then.
PATIENCE_S = 300.0


def measure(batches: int, seconds: float) -> dict[str, Any]:
    """What batches that render at once ask for.

    Args:
        batches: how many.
        seconds: the length of the window.
    """
    with (
        tempfile.TemporaryDirectory(prefix="octa-requests-") as name,
        start_emulator(in_process=False, machines=2 * batches + 8, start_delay_s=0.1) as emulator,
    ):
        folder, enough = Path(name), threading.Event()
        scene = folder / "scene"
        scene.mkdir()
        (scene / "shot.txt").write_text("a scene\n")
        threads = [
            threading.Thread(target=_render, args=(emulator, scene, folder / str(n), n, enough)) for n in range(batches)
        ]
        for one in threads:
            one.start()
        _until_all_render(emulator, folder, batches)
        before = Counter(emulator.ledger(requests=False)["request_counts"])
        time.sleep(seconds)
        routes = Counter(emulator.ledger(requests=False)["request_counts"]) - before
        uuids = [one["uuid"] for one in emulator.ledger()["sessions"] if one["stopped_ms"] is None]
        watched = asyncio.run(_watched(emulator, uuids, seconds))
        enough.set()
        for one in threads:
            one.join()
        left = emulator.ledger(requests=False)["running"]
    return {
        "batches": batches,
        "requests_a_minute": round(60 / seconds * sum(routes.values()), 1),
        "by_route": {route: round(60 / seconds * count, 1) for route, count in routes.most_common()},
        "requests_a_minute_deferred": round(60 / seconds * watched, 1),
        "sessions_left": left,
    }


def _render(emulator: EmulatorHandle, scene: Path, output: Path, number: int, enough: threading.Event) -> None:
    batch = Batch(
        scene,
        "1-500",
        output,
        main="shot.txt",
        renderer=Renderer("frames", COMMAND, can_skip=True),
        max_machines=1,
        seconds_per_frame=20.0,
    )
    with OctaClient(emulator.api_key, base_url=emulator.base_url) as octa:
        octa.batches.run(batch, f"bench/{number}", private_key=emulator.ssh_private_key, is_cancelled=enough.is_set)


def _until_all_render(emulator: EmulatorHandle, folder: Path, batches: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while sum(any(folder.glob(f"{n}/frame_*")) for n in range(batches)) < batches:
        if time.monotonic() > until:
            raise RuntimeError("not every batch has rendered a frame in time")
        time.sleep(1.0)


async def _watched(emulator: EmulatorHandle, uuids: list[str], seconds: float) -> int:
    """Requests of one watcher that waits for all of them, at a look every five seconds."""
    before = _of_watcher(emulator)
    with OctaClient(emulator.api_key, base_url=emulator.base_url, user_agent="octa-bench-watcher") as octa:
        watcher = Watcher(octa, poll_s=5.0)
        waits = [asyncio.ensure_future(watcher.wait_async(one, lambda session: False, 3600.0)) for one in uuids]
        await asyncio.sleep(seconds)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return _of_watcher(emulator) - before


def _of_watcher(emulator: EmulatorHandle) -> int:
    return sum("octa-bench-watcher" in str(one) for one in emulator.ledger()["requests"])


def main() -> None:
    """Measure, and print a line and a JSON value for each number of batches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 10, 50], help="how many at once")
    parser.add_argument("--seconds", type=float, default=60.0, help="the length of the window")
    arguments = parser.parse_args()
    for batches in arguments.batches:
        print(json.dumps(measure(batches, arguments.seconds)), flush=True)


if __name__ == "__main__":
    main()
