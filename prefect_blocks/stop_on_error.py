"""What was started is stopped when an error comes before somebody knows of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from octa_provider.errors import OctaConfigError
from octa_provider.rental.clean_up import cleaned_up_by

if TYPE_CHECKING:
    from octa_provider import Rental

__all__ = ["stop_on_error"]

STOP_S = 60.0


@contextmanager
def stop_on_error() -> Iterator[Callable[[Rental], object]]:
    """Stop what is started in the block when the block raises, signals included: nobody would get to know of it.

    Yields what the core's `on_started` takes. A key that was refused leaves its session alone: it is somebody else's.
    """
    started: list[Rental] = []

    def clean_up(error: BaseException | None) -> None:
        if error is not None and not isinstance(error, OctaConfigError):
            for rental in started:
                rental.stop_after(error, deadline_s=STOP_S)

    with cleaned_up_by(clean_up):
        yield started.append
