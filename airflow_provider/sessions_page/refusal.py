"""What the page can't do, in one sentence."""

from __future__ import annotations

__all__ = ["PageError"]


class PageError(Exception):
    """Something that the page can't show or do.

    Args:
        status: of the HTTP answer.
        sentence: what is told; plain text, which whoever shows it escapes.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(status, sentence)
        self.status = status
        self.sentence = sentence
