"""`FramesMissingError`: a batch that has ended, and not with every frame."""

from __future__ import annotations

from typing import Any

from octa_provider.errors import OctaError

__all__ = ["FramesMissingError"]


class FramesMissingError(OctaError):
    """A batch ended and frames that were asked for are missing. What came is kept; the next run renders the rest.

    Args:
        message: why, and which frames.
        totals: what the batch came to, as its render returns it for a whole one.

    Attributes:
        totals: the same.
    """

    def __init__(self, message: str, totals: dict[str, Any]) -> None:
        super().__init__(message)
        self.totals = totals

    @property
    def missing(self) -> str:
        """The frames that are not there, as a range such as `17,90-95`."""
        return str(self.totals.get("missing", ""))

    def __reduce__(self) -> tuple[type[FramesMissingError], tuple[str, dict[str, Any]], dict[str, Any]]:
        # Process pools, Dask and Ray send errors between processes.
        return type(self), (str(self), self.totals), vars(self)
