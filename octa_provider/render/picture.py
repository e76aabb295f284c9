"""What a picture's container tells of it, and the error for one that is not whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from octa_provider.errors import OctaError
from octa_provider.render.stamp import Stamp

__all__ = ["BrokenPictureError", "Picture"]


class BrokenPictureError(OctaError):
    """A file is no whole picture.

    Attributes:
        flaw: what is wrong with it, as a clause without its path: `is cut off`.
    """

    def __init__(self, message: str = "", *, flaw: str = "") -> None:
        super().__init__(message)
        self.flaw = flaw


@dataclass(frozen=True)
class Picture:
    """A picture whose container is whole. Its pixels were not decoded.

    Attributes:
        format: `PNG`, `EXR`, `JPEG` or `TIFF`.
        width: in pixels; of an EXR that of its display window, of several pages that of the first.
        height: in pixels.
        parts: parts of an EXR, pages of a TIFF; 1 else.
        decoded_bytes: what all of its pixels take at most when they are decoded, mipmaps aside; None where samples
            differ from pixel to pixel (deep EXR).
        stamp: what the renderer wrote into it.
    """

    format: str
    width: int
    height: int
    parts: int = 1
    decoded_bytes: int | None = 0
    stamp: Stamp = field(default_factory=Stamp)
