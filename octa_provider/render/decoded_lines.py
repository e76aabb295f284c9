"""A picture's pixels, some lines at a time, and which of its channels make the colour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["colour_channels", "lines_of"]

#: Held at once, about.
PIECE_BYTES = 32 * 1024 * 1024
_SAMPLE_BYTES = 4
_COLOURS = ("R", "G", "B")


def lines_of(
    opened: Any, spec: Any, part: int, begin: int = 0, end: int | None = None, kind: str = "float"
) -> Iterator[Any]:
    """The pixels from the first line to the last.

    Args:
        opened: the picture, an `OpenImageIO.ImageInput`.
        spec: what it said of this part.
        part: which of its parts.
        begin: the first channel.
        end: the channel after the last one; all from `begin` when left out.
        kind: of the numbers: `float` or `half`.

    Yields:
        An array of lines, columns and channels; None for lines that can't be decoded.
    """
    end = spec.nchannels if end is None else end
    lines = max(1, PIECE_BYTES // (spec.width * spec.nchannels * _SAMPLE_BYTES))
    if spec.tile_width:
        lines = max(spec.tile_height, lines // spec.tile_height * spec.tile_height)
    for line in range(spec.y, spec.y + spec.height, lines):
        last = min(line + lines, spec.y + spec.height)
        if spec.tile_width:
            yield opened.read_tiles(part, 0, spec.x, spec.x + spec.width, line, last, 0, 1, begin, end, kind)
        else:
            yield opened.read_scanlines(part, 0, line, last, 0, begin, end, kind)


def colour_channels(names: list[str], alpha: int) -> list[int]:
    """The channels that make the colour: R, G and B of the first layer that has them, else all but alpha.

    Args:
        names: of the channels.
        alpha: which one is alpha; negative for none.
    """
    last = [name.rpartition(".")[2] for name in names]
    if all(colour in last for colour in _COLOURS):
        # Blender's own layers put the picture itself under Combined.
        combined = [at for at, name in enumerate(names) if "Combined." in name and last[at] in _COLOURS]
        if len(combined) >= len(_COLOURS):
            return sorted(combined[:3], key=lambda at: _COLOURS.index(last[at]))
        return [last.index(colour) for colour in _COLOURS]
    return [at for at in range(len(names)) if at != alpha]
