"""A renderer that takes no time: valid pictures with Blender's stamp, in the log's form of Blender 4.5.

    octa-fake-renderer --frames 1..24 --output FOLDER

It treats files that are there as Blender does with `use_overwrite` off and `use_placeholder` on: a frame whose file is
there is skipped, and an empty file lies there from the moment it begins. Every fault of a machine that renders works
with it.

This file imports nothing from the rest of the package, so that it starts quickly.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # A script has no package: its neighbours are found through the folder above, for this one moment (PEP 366).
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = Path(__file__).resolve().parent.name
    __import__(__package__)
    del sys.path[0]

import argparse
import re
import time
from collections.abc import Iterator, Sequence

from .bad_frames import end_or_hang, spoiled
from .frame_faults import FrameFaults, Met
from .png_bytes import black_png, frame_png, render_time

_PART = re.compile(r"(-?\d+)(?:(?:\.\.|-)(-?\d+))?")


def frames_of(text: str) -> Iterator[int]:
    """Frames in the order given: `1,2,5..9`, or `5-9`.

    Raises:
        ValueError: a part is neither a number nor a range.
    """
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part!r} is no frame and no range of frames")
        first = int(match[1])
        yield from range(first, int(match[2] or first) + 1)


class FakeRenderer:
    """Renders frames, one after the other.

    Args:
        options: what the command line says.
        faults: what is done to this machine.
    """

    def __init__(self, options: argparse.Namespace, faults: FrameFaults) -> None:
        self._options = options
        self._faults = faults

    def run(self, frames: Sequence[int]) -> int:
        """Render `frames`; returns the exit status."""
        if "no_device" in self._faults.at_start(self._options.device):
            print("Error: Found no Cycles device of the specified type", flush=True)
            return 1
        self._options.output.mkdir(parents=True, exist_ok=True)
        time.sleep(self._options.load_seconds)
        for frame in frames:
            self._render(frame)
        print("\nBlender quit", flush=True)
        return 0

    def _render(self, frame: int) -> None:
        options = self._options
        path = options.output / options.name.format(frame=frame)
        try:
            path.open("xb").close()
        except FileExistsError:
            print(f'skipping existing frame "{path}"', flush=True)
            return
        began = time.monotonic()
        met = self._faults.at_frame(frame)
        print(
            f"Fra:{frame} Mem:8.30M (Peak 9.09M) | Time:00:00.00 | {options.scene}, ViewLayer | Sample 0/1", flush=True
        )
        end_or_hang(met)
        if "black" not in met:
            time.sleep(options.seconds * met.get("slow", {"factor": 1})["factor"])
        path.write_bytes(spoiled(self._picture(frame, time.monotonic() - began, met), met))
        print(f"Saved: '{path}'\nTime: {render_time(time.monotonic() - began)} (Saving: 00:00.00)\n", flush=True)

    def _picture(self, frame: int, seconds: float, met: Met) -> bytes:
        width, height = self._options.size
        stamp = {
            "Frame": f"{frame:03d}",
            "Scene": self._options.scene,
            "Camera": "Camera",
            "RenderTime": render_time(seconds),
        }
        if "black" in met:
            return black_png(width, height, stamp)
        return frame_png(frame, width, height, stamp)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="octa-fake-renderer", description="Render frames of nothing, at once.")
    parser.add_argument("--frames", type=lambda text: list(frames_of(text)), required=True, help="1,2,5..9")
    parser.add_argument("--output", type=Path, required=True, help="folder of the frames")
    parser.add_argument("--name", default="frame_{frame:04d}.png", help="of a file (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.0, help="that a frame takes (default: %(default)s)")
    parser.add_argument("--load-seconds", type=float, default=0.0, help="before the first frame (default: %(default)s)")
    parser.add_argument("--size", type=_size, default=(32, 32), metavar="WxH", help="in pixels (default: 32x32)")
    parser.add_argument("--scene", default="Scene", help="its name in the stamp (default: %(default)s)")
    parser.add_argument("--device", default="", help="such as OPTIX; a machine may have none")
    options = parser.parse_args(arguments)
    return FakeRenderer(options, FrameFaults()).run(options.frames)


if __name__ == "__main__":
    sys.exit(main())
