"""Characters of UTF-8 that a cut has torn."""

from __future__ import annotations

__all__ = ["open_character"]


def open_character(piece: bytes) -> int:
    """How many bytes at the end belong to a character that is not complete.

    Args:
        piece: of a text in UTF-8.
    """
    for back in range(1, min(3, len(piece)) + 1):
        byte = piece[-back]
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if length > back else 0
        if byte < 0x80:
            break
    return 0
