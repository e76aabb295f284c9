"""Characters that an API has torn: it shows U+FFFD for what of them is there."""

from __future__ import annotations

from octa_provider.logs.log_stream import SpooledText

__all__ = ["MAX_TORN", "TORN", "WholeCharacters"]

#: What an API shows for each byte, or all bytes, of a character that is not whole: up to three.
TORN = "\ufffd".encode()
MAX_TORN = 3
MAX_TORN_BYTES = MAX_TORN * len(TORN)


class WholeCharacters(SpooledText):
    """A text without what may be half a character at its end.

    Args:
        text: as it has come, perhaps while a character was being printed.
    """

    def __init__(self, text: SpooledText) -> None:
        self._text = text
        end = text.read(max(0, text.size - MAX_TORN_BYTES), MAX_TORN_BYTES)
        self.size = text.size - (len(end) - len(_without_torn_end(end)))

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`, none of them of half a character.

        Args:
            offset: bytes from the beginning.
            length: bytes, at most.
        """
        return self._text.read(offset, max(0, min(length, self.size - offset)))


def _without_torn_end(end: bytes) -> bytes:
    for _ in range(MAX_TORN):
        end = end.removesuffix(TORN)
    return end
