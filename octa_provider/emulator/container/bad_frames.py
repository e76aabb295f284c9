"""What faults make of a frame's file: cut, empty, another frame's, another scene's, of another format.

This file imports nothing from the rest of the package: interpreters that do not have the package read it.
"""

from __future__ import annotations

from dataclasses import dataclass

from .exr_bytes import frame_exr
from .frame_faults import Met
from .png_bytes import SIGNATURE, frame_png, restamped

__all__ = ["ANOTHER_SCENE", "RenderedFrame", "spoiled"]

#: What a picture of a wrong scene says, when the fault names none.
ANOTHER_SCENE = "Another scene"


@dataclass(frozen=True)
class RenderedFrame:
    """A frame as it was rendered.

    Attributes:
        number: its number.
        picture: the bytes of its file.
        size: width and height in pixels.
        another: the file of another frame of this scene; empty when there is none yet.
    """

    number: int
    picture: bytes
    size: tuple[int, int]
    another: bytes = b""


def spoiled(frame: RenderedFrame, met: Met) -> bytes:
    """What lies under the frame's name instead of its picture.

    Args:
        frame: it.
        met: the faults that it meets.
    """
    picture = frame.picture
    if "wrong_number" in met:
        picture = frame.another or restamped(picture, {"Frame": str(frame.number + 1)})
    if "wrong_scene" in met:
        picture = restamped(picture, {"Scene": met["wrong_scene"].get("scene", ANOTHER_SCENE)})
    if "wrong_format" in met:
        make = frame_exr if picture.startswith(SIGNATURE) else frame_png
        picture = make(frame.number, *frame.size, {"Frame": str(frame.number)})
    if "cut" in met or ("disk_full" in met and not met["disk_full"]["turn"]):
        # The file in which a disk fills up is cut off; those that follow have no byte.
        return picture[: len(picture) // 2]
    if "disk_full" in met:
        return b""
    return picture
