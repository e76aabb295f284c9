"""A coordinator whose disk is too small at first, in a mount namespace of its own: `unshare -rm ... FOLDER`.

It is told what to render as `batch_child` is, and prints what became of both runs as one JSON line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import requests

from octa_provider.batch.folder.status import status
from octa_provider.pictures import check_frames

#: A part of each disk is left alone.
LARGE = "400m"
SMALL = "200m"


def main() -> int:
    """Render on a small disk, then on a large one."""
    told = json.load(sys.stdin)
    disk, output = sys.argv[1], Path(told["output"])
    _mount("-t", "tmpfs", "-o", f"size={LARGE}", "small", disk)
    filling = threading.Thread(target=_fill, args=(disk, output), daemon=True)
    filling.start()
    first = _render(told)
    before = _frames(output)
    accepted = status(output).done
    running = requests.get(
        f"{told['base_url']}/_emulator/ledger?requests=false", headers={"Authorization": told["api_key"]}, timeout=30
    ).json()["running"]
    _mount("-o", f"remount,size={LARGE}", disk)
    second = _render(told)
    now = _frames(output)
    said = {
        "error": first.stderr.strip().splitlines()[-1].partition(": ")[2] if first.stderr.strip() else "",
        "accepted": accepted,
        "kept": sum(now.get(name) == was for name, was in before.items()),
        "running_after_first": running,
        "broken": len(check_frames(output, told["frames"]).broken_frames),
        "second": json.loads(second.stdout) if second.stdout else {"outcome": second.stderr[-600:]},
    }
    print(json.dumps(said), flush=True)
    return 0


def _fill(disk: str, output: Path) -> None:
    """Somebody else takes the room once some frames are there."""
    while len(_frames(output)) < 3:
        time.sleep(0.05)
    _mount("-o", f"remount,size={SMALL}", disk)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _render(told: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.chaos.batch_child"],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        env={**os.environ, "OCTA_STATE_DIR": f"{told['output']}.state"},
        check=False,
    )


def _frames(output: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in output.glob("frame_*.png")}


if __name__ == "__main__":
    raise SystemExit(main())
