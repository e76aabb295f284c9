"""What only decoding tells: a picture of one colour throughout, and samples that are no numbers (NaN).

OpenImageIO does it, from the extra `pictures`. A picture gets here after its container was found whole, and no more of
it is decoded than that one promised.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from octa_provider.errors import OctaConfigError
from octa_provider.render.decoded_lines import colour_channels, lines_of
from octa_provider.render.native_path import native_path
from octa_provider.render.picture import Picture
from octa_provider.text.plain_text import plain_words

__all__ = ["MOST_DECODED_BYTES", "ONE_COLOUR_FLAW", "can_decode", "flaw_of_pixels", "require_decoder"]

#: How the flaw of a picture of one colour begins; the colour follows.
ONE_COLOUR_FLAW = "is of one colour throughout"

#: More is not decoded: a picture of 16,384 pixels a side, of four floats each, is half of it.
MOST_DECODED_BYTES = 8 * 2**30


def can_decode() -> bool:
    """Whether the extra is installed with which pixels are decoded."""
    return find_spec("OpenImageIO") is not None


def require_decoder() -> None:
    """See that pixels can be decoded.

    Raises:
        OctaConfigError: the extra is not installed.
    """
    if not can_decode():
        raise OctaConfigError("decoding needs OpenImageIO: pip install 'octa-provider[pictures]'")


def flaw_of_pixels(path: str | os.PathLike[str], picture: Picture) -> str:
    """What is wrong with the pixels of a picture.

    Args:
        path: where it is.
        picture: what its container told.

    Returns:
        A clause such as `holds NaN`; nothing for pixels that are numbers and of more than one colour. Of one colour is
        the first part's colour, alpha left aside; NaN is looked for in every channel of every part.

    Raises:
        OctaConfigError: the extra is not installed.
    """
    require_decoder()
    if picture.decoded_bytes is None:
        return ""
    if picture.decoded_bytes > MOST_DECODED_BYTES:
        return f"is too large to decode: {picture.decoded_bytes} bytes"
    oiio = import_module("OpenImageIO")
    with native_path(path) as native:
        opened = oiio.ImageInput.open(native)
        if opened is None:
            return f"can't be decoded: {_said(oiio.geterror())}"
        try:
            return _flaw(opened, picture)
        finally:
            opened.close()


def _flaw(opened: Any, picture: Picture) -> str:
    budget = picture.decoded_bytes or 0
    for part in range(picture.parts):
        if not opened.seek_subimage(part, 0):
            return f"can't be decoded: its part {part} is not there"
        spec = opened.spec()
        budget -= spec.width * spec.height * spec.depth
        if budget < 0 or spec.depth != 1 or (not part and not _is_of_size(spec, picture)):
            return "can't be decoded: it is not what its container says"
        colours = colour_channels(list(spec.channelnames), spec.alpha_channel) if not part else []
        first: Any = None
        is_one = bool(colours)
        for pixels in lines_of(opened, spec, part):
            if pixels is None:
                return f"can't be decoded: {_said(opened.geterror())}"
            if (pixels != pixels).any():
                return "holds NaN"
            if is_one:
                seen = pixels.reshape(-1, pixels.shape[-1])[:, colours]
                first = seen[0] if first is None else first
                is_one = bool((seen == first).all())
        if is_one and first is not None and spec.width * spec.height > 1:
            return f"{ONE_COLOUR_FLAW}: {', '.join(f'{value:.3g}' for value in first)}"
    return ""


def _is_of_size(spec: Any, picture: Picture) -> bool:
    sizes = {(spec.width, spec.height), (spec.full_width, spec.full_height)}
    return (picture.width, picture.height) in sizes


def _said(text: object) -> str:
    return plain_words(str(text).strip().replace("\n", " "))[:300] or "OpenImageIO does not say why"
