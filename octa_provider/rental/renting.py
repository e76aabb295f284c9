"""Renting for the length of a block: what was started is stopped on every way out, signals included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from octa_provider.errors import OctaError
from octa_provider.rental.clean_up import cleaned_up_by
from octa_provider.timing.limits import checked_seconds

if TYPE_CHECKING:
    from octa_provider.market.request import Request
    from octa_provider.rental.rental import Rental
    from octa_provider.rental.rental_starts import RentalStarts
    from octa_provider.rental.terms import Bill

__all__ = ["rented"]


@contextmanager
def rented(
    rentals: RentalStarts,
    request: Request,
    *,
    stop_deadline_s: float,
    on_stopped: Callable[[Bill], object] | None,
    on_started: Callable[[Rental], object] | None,
    options: Mapping[str, Any],
) -> Iterator[Rental]:
    """See `Rentals.rent`.

    Args:
        rentals: what starts and stops.
        request, stop_deadline_s, on_stopped: as there.
        on_started: as in `Rentals.start`.
        options: further arguments of `Rentals.start`.
    """
    checked_seconds("stop_deadline_s", stop_deadline_s)
    rental: Rental | None = None
    returned = False

    def started(told: Rental) -> None:
        # A signal may come before the start returns: from here on there is something to stop.
        nonlocal rental
        rental = told
        if on_started is not None:
            on_started(told)

    def clean_up(error: BaseException | None) -> None:
        if rental is None:
            return
        bill: Bill | None = None
        if error is None:
            bill = rental.stop(deadline_s=stop_deadline_s)
        elif returned or not isinstance(error, OctaError):
            # A start that failed has cleaned up after itself; a signal may have come after that.
            bill = rental.stop_after(error, deadline_s=stop_deadline_s)
        if bill is not None and on_stopped is not None:
            on_stopped(bill)

    with cleaned_up_by(clean_up):
        rental = rentals.start(request, on_started=started, **options)
        returned = True
        yield rental
