"""Errors of a rented machine over SSH, and of the files that move."""

from __future__ import annotations

from collections.abc import Sequence

from octa_provider.errors.root import OctaError


class OctaSshError(OctaError):
    """The rented machine could not be reached, or used, over SSH.

    Attributes:
        lost: True when the connection could not be made or broke off, so that trying again may help.
        refused: True when the machine answered, and did not take our key.
    """

    def __init__(self, message: str = "", *, lost: bool = False, refused: bool = False) -> None:
        super().__init__(message)
        self.lost = lost
        self.refused = refused


class OctaLocalFileError(OctaSshError):
    """A file of this machine can't be read or written: asking the rented one again can't help. Attributes as above."""


class OctaUnfetchedError(OctaSshError):
    """Some files of a folder could not be fetched, which the message names. The others are here.

    Attributes:
        fetched: the files that are here.
    """

    def __init__(self, message: str = "", *, lost: bool = False, fetched: Sequence[str] = ()) -> None:
        super().__init__(message, lost=lost)
        self.fetched = tuple(fetched)
