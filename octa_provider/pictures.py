"""Whether pictures are whole, where users find it: see `octa_provider.render`."""

from octa_provider.render.frames_check import FileCheck, FramesCheck, check_frames
from octa_provider.render.picture import BrokenPictureError
from octa_provider.render.pictures import broken_frames, flaw_of, png_size

__all__ = [
    "BrokenPictureError",
    "FileCheck",
    "FramesCheck",
    "broken_frames",
    "check_frames",
    "flaw_of",
    "png_size",
]
