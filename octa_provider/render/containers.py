"""Which kind of picture a file is, by its first bytes, and whether it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from octa_provider.files.local_files import shown
from octa_provider.render.exr import EXR_MAGIC, read_exr
from octa_provider.render.jpeg import JPEG_SIGNATURE, read_jpeg
from octa_provider.render.picture import BrokenPictureError, Picture
from octa_provider.render.picture_file import PictureFile, open_picture
from octa_provider.render.png import PNG_SIGNATURE, read_png
from octa_provider.render.tiff import TIFF_SIGNATURES, read_tiff

__all__ = ["FORMAT_OF_SUFFIX", "read_as_named", "read_content", "read_picture"]

_READERS: Mapping[str, Callable[[PictureFile], Picture]] = {
    "PNG": read_png,
    "EXR": read_exr,
    "JPEG": read_jpeg,
    "TIFF": read_tiff,
}
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (PNG_SIGNATURE, "PNG"),
    (EXR_MAGIC, "EXR"),
    (JPEG_SIGNATURE, "JPEG"),
    *((signature, "TIFF") for signature in TIFF_SIGNATURES),
)
#: Of whole pictures of formats that are not checked, which may have the name of one that is.
_OTHERS = (b"GIF8", b"RIFF", b"BM", b"8BPS", b"DDS ", b"SDPX", b"XPDS", b"#?RADIANCE", b"\0\0\0\x0cjP  ")
#: The formats whose containers are checked, by the ends of their names.
FORMAT_OF_SUFFIX: Mapping[str, str] = {
    ".png": "PNG",
    ".exr": "EXR",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}


def read_content(file: PictureFile, named: str | None) -> Picture | None:
    """Check an open file by what is in it.

    Args:
        file: it, at its first byte.
        named: the format that its name says, if that is one that is checked.

    Returns:
        What it is; None for what is, or may be, a picture of another format.

    Raises:
        BrokenPictureError: it is no whole picture.
    """
    found = _format_of(file)
    if found is None and (named is None or _is_of_another_format(file)):
        return None
    # A file of a few bytes has no signature yet: its reader says so.
    return _READERS[found or named or ""](file)


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """Check the container of a PNG, EXR, JPEG or TIFF, whatever the file is called. No pixel is decoded.

    Args:
        path: where it is.

    Raises:
        BrokenPictureError: the file is missing, empty, none of these, cut off, damaged, or goes on past its end.
    """
    return _read(path, None)


def read_as_named(path: str | os.PathLike[str], name: str | os.PathLike[str]) -> Picture:
    """Check a picture, which must also be of the format that its name says.

    Args:
        path: where its contents are.
        name: what it is called, with one of the endings of `FORMAT_OF_SUFFIX`.

    Raises:
        BrokenPictureError: as of `read_picture`, or it is of another format, such as a PNG that is called .exr.
    """
    return _read(path, FORMAT_OF_SUFFIX.get(Path(name).suffix.lower()))


def _read(path: str | os.PathLike[str], wanted: str | None) -> Picture:
    try:
        with open_picture(path) as file:
            found = _format_of(file)
            if wanted is not None and found not in {wanted, None}:
                raise file.broken(f"is a picture of the format {found}, not the {wanted} that its name says")
            if found is None and wanted is None:
                raise file.broken("is no PNG, EXR, JPEG or TIFF")
            # A file of a few bytes has no signature yet: its reader says so.
            return _READERS[found or wanted or ""](file)
    except OSError as error:
        flaw = f"can't be read: {error.strerror}"
        raise BrokenPictureError(f"{shown(path)} {flaw}", flaw=flaw) from error


def _format_of(file: PictureFile) -> str | None:
    head = _head(file, len(PNG_SIGNATURE))
    return next((name for signature, name in _SIGNATURES if head.startswith(signature)), None)


def _is_of_another_format(file: PictureFile) -> bool:
    head = _head(file, 16)
    # AVIF and HEIC say so behind a length.
    return head.startswith(_OTHERS) or head[4:8] == b"ftyp"


def _head(file: PictureFile, count: int) -> bytes:
    return file.at(0, min(file.size, count))
