"""A renderer that takes no time: PNG or EXR with Blender's stamp, and a log in the form of Blender 4.5.

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
import tempfile
import time
from collections.abc import Iterator, Sequence

from .bad_frames import RenderedFrame, spoiled
from .exr_bytes import frame_exr
from .frame_faults import FrameFaults, Met
from .hostile_frames import bring
from .last_moments import NO_DEVICE, end_in_frame, wait_to_be_killed
from .log_forms import in_form_of_5
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
        self._is_5 = False
        self._began = time.monotonic()

    def run(self, frames: Sequence[int]) -> int:
        """Render `frames`; returns the exit status."""
        met = self._faults.at_start(self._options.device)
        self._is_5 = "log_of_5" in met
        if "no_device" in met:
            self._say(NO_DEVICE)
            return 1
        self._options.output.mkdir(parents=True, exist_ok=True)
        time.sleep(self._options.load_seconds)
        for frame in frames:
            self._render(frame)
        if "hangs" in self._faults.at_end():
            wait_to_be_killed()
        self._say("\nBlender quit")
        return 0

    def _render(self, frame: int) -> None:
        options = self._options
        path = options.output / options.name.format(frame=frame)
        try:
            path.open("xb").close()
        except FileExistsError:
            self._say(f'skipping existing frame "{path}"')
            return
        began = time.monotonic()
        met = self._faults.at_frame(frame)
        self._say(f"Fra:{frame} Mem:8.30M (Peak 9.09M) | Time:00:00.00 | {options.scene}, ViewLayer | Sample 0/1")
        end_in_frame(met, path)
        if "black" not in met:
            time.sleep(options.seconds * met.get("slow", {"factor": 1})["factor"])
        taken_s = time.monotonic() - began
        picture = self._picture(frame, taken_s, met)
        if met:
            another = self._picture(frame + 1, taken_s, met)
            self._bring(spoiled(RenderedFrame(frame, picture, options.size, another), met), path, met)
        else:
            path.write_bytes(picture)
        self._say(f"Saved: '{path}'\nTime: {render_time(taken_s)} (Saving: 00:00.00)\n")

    def _bring(self, picture: bytes, path: Path, met: Met) -> None:
        with tempfile.TemporaryDirectory(prefix="octa-rendering-") as folder:
            staged = Path(folder, path.name)
            staged.write_bytes(picture)
            bring(staged, path, met, self._options.size)

    def _picture(self, frame: int, seconds: float, met: Met) -> bytes:
        width, height = self._options.size
        stamp = {
            "Frame": f"{frame:03d}",
            "Scene": self._options.scene,
            "Camera": "Camera",
            "RenderTime": render_time(seconds),
        }
        if self._options.name.endswith(".exr"):
            return frame_exr(frame, width, height, stamp, black="black" in met)
        if "black" in met:
            return black_png(width, height, stamp)
        return frame_png(frame, width, height, stamp)

    def _say(self, text: str) -> None:
        seconds = time.monotonic() - self._began
        for line in f"{text}\n".splitlines(keepends=True):
            sys.stdout.write(in_form_of_5(line, seconds) if self._is_5 else line)
        sys.stdout.flush()


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="octa-fake-renderer", description="Render frames of nothing, at once.")
    parser.add_argument("--frames", type=lambda text: list(frames_of(text)), required=True, help="1,2,5..9")
    parser.add_argument("--output", type=Path, required=True, help="folder of the frames")
    parser.add_argument("--name", default="frame_{frame:04d}.png", help="of a file, PNG or .exr (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.0, help="that a frame takes (default: %(default)s)")
    parser.add_argument("--load-seconds", type=float, default=0.0, help="before the first frame (default: %(default)s)")
    parser.add_argument("--size", type=_size, default=(32, 32), metavar="WxH", help="in pixels (default: 32x32)")
    parser.add_argument("--scene", default="Scene", help="its name in the stamp (default: %(default)s)")
    parser.add_argument("--device", default="", help="such as OPTIX; a machine may have none")
    options = parser.parse_args(arguments)
    return FakeRenderer(options, FrameFaults()).run(options.frames)


if __name__ == "__main__":
    sys.exit(main())
