"""A batch whose frames are drawn by a small script, quick enough for many tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.core.batch.run.quick_renderer import command, write_scene

__all__ = ["break_frames", "hold_frames", "quick_batch", "whole_frames"]


def quick_batch(folder: Path, frames: str = "1-6", *, frame_s: float = 0.0, **changes: Any) -> dict[str, Any]:
    """The arguments of a batch whose frames take so many seconds each.

    Args:
        folder: gets the scene and the frames.
        frames: which.
        frame_s: what each takes, in seconds.
        changes: further arguments, or others.
    """
    return {
        "scene": str(write_scene(folder / "scene")),
        "main": "shot.py",
        "frames": frames,
        "output": str(folder / "out"),
        "renderer": {"image": "python:3.12", "command": command(frame_s)},
        "seconds_per_frame": max(frame_s, 0.5),
        "poll_interval": 0.5,
        "max_machines": 3,
    } | changes


def whole_frames(folder: Path) -> list[int]:
    """The frames that lie in the folder's output, by number."""
    return sorted(int(path.stem.removeprefix("frame_")) for path in (folder / "out").glob("frame_*.png"))


def hold_frames(folder: Path, after: int, until: Path) -> None:
    """Have machines begin no frame once so many have come, until a file is there; what then is left comes at once.

    Args:
        folder: as of `quick_batch`, which has been called; machines are processes on this computer, and see it.
        after: how many frames; each machine may be at work on one more.
        until: the file.
    """
    script = folder / "scene" / "shot.py"
    frames = str(folder / "out" / "frame_*.png")
    held = (
        "import glob, os, sys, time\n"
        f"while len(glob.glob({frames!r})) >= {after} and not os.path.exists({str(until)!r}): time.sleep(0.05)\n"
        f"if os.path.exists({str(until)!r}): sys.argv[3] = '0'\n"
    )
    script.write_text(held + script.read_text())


def break_frames(folder: Path, frames: str, until: Path) -> None:
    """Have frames of the scene fail, as long as a file is not there.

    Args:
        folder: as of `quick_batch`, which has been called.
        frames: such as `4,5,6`.
        until: the file.
    """
    script = folder / "scene" / "shot.py"
    broken = f"import os, sys\nif int(sys.argv[1]) in [{frames}] and not os.path.exists({str(until)!r}): sys.exit(1)\n"
    script.write_text(broken + script.read_text())
