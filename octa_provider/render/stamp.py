"""What Blender writes into a picture about its frame: the number, the scene, the camera, how long it took."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from octa_provider.text.plain_text import plain

__all__ = ["STAMP_NAMES", "Stamp", "stamp_of", "stamp_text"]

#: As Blender calls them, in PNG's tEXt, EXR's attributes and JPEG's comments alike. All else is left alone.
STAMP_NAMES = frozenset({"Frame", "Scene", "Camera", "RenderTime"})
#: Longer names than that has no scene of Blender's, and a stranger chose what is in a picture.
MOST_CHARS = 256
_FRAME = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_TIME = re.compile(r"(?:([0-9]{1,6}):)?([0-9]{1,2}):([0-9]{1,2}(?:\.[0-9]{1,6})?)", re.ASCII)


@dataclass(frozen=True)
class Stamp:
    """What a picture says of its frame; None for what it does not say. Whoever rendered it can write what he likes.

    Attributes:
        frame: the number of the frame.
        scene: the name of the scene.
        camera: the name of the camera.
        render_time_s: how long the renderer took, in seconds.
    """

    frame: int | None = None
    scene: str | None = None
    camera: str | None = None
    render_time_s: float | None = None


def stamp_text(raw: bytes) -> str:
    """A text of a picture as Blender writes it: UTF-8, also where the format asks for Latin-1."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def stamp_of(texts: Mapping[str, str]) -> Stamp:
    """The stamp that these texts of a picture make.

    Args:
        texts: by their names in the picture; those of `STAMP_NAMES` count.

    Returns:
        What they say; what makes no sense is left out, and names are made plain and cut.
    """
    frame = _FRAME.fullmatch(texts.get("Frame", "").strip())
    return Stamp(
        frame=int(frame[0]) if frame else None,
        scene=_name(texts.get("Scene")),
        camera=_name(texts.get("Camera")),
        render_time_s=_seconds(texts.get("RenderTime", "")),
    )


def _name(text: str | None) -> str | None:
    return (plain(text[:MOST_CHARS].replace("\r", " ")).strip() or None) if text else None


def _seconds(text: str) -> float | None:
    """`01:02.50`, or with hours before it."""
    match = _TIME.fullmatch(text.strip())
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None
