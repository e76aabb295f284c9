"""Renting for the length of a block, or until something is up: on every other way out it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from octa_provider.errors import OctaCancelledError, OctaError
from octa_provider.market.requirements import Requirements
from octa_provider.rental.clean_up import cleaned_up_by
from octa_provider.rental.start_ready import ComingUp, start_ready
from octa_provider.timing.limits import checked_seconds

if TYPE_CHECKING:
    from octa_provider.market.request import Request
    from octa_provider.models import Session
    from octa_provider.rental.rental import Rental
    from octa_provider.rental.rental_starts import RentalStarts
    from octa_provider.rental.terms import Bill

__all__ = ["rented"]


@contextmanager
def rented(
    rentals: RentalStarts,
    request: Request,
    *,
    coming_up: ComingUp | None,
    requirements: Requirements | None,
    stops_at_end: bool = True,
    stop_deadline_s: float,
    on_ready: Callable[[Rental, Session], object] | None,
    on_stopped: Callable[[Bill], object] | None,
    on_started: Callable[[Rental], object] | None,
    options: Mapping[str, Any],
) -> Iterator[Rental]:
    """See `Rentals.rent`.

    Args:
        rentals: what starts and stops.
        request, requirements, stop_deadline_s, on_ready, on_stopped: as there.
        coming_up: how it comes up, where the block begins only then.
        stops_at_end: whether it is stopped at the block's end too.
        on_started: as in `Rentals.start`.
        options: further arguments of `Rentals.start`.
    """
    checked_seconds("stop_deadline_s", stop_deadline_s)
    rental: Rental | None = None
    returned = False
    is_up = coming_up is None

    def started(told: Rental) -> None:
        # A signal may come before the start returns: from here on there is something to stop.
        nonlocal rental
        rental = told
        if on_started is not None:
            on_started(told)

    def rented_now(told: Rental) -> None:
        nonlocal rental, returned
        rental, returned = told, True

    def given_up(bill: Bill) -> None:
        nonlocal rental, returned
        rental, returned = None, False
        if on_stopped is not None:
            on_stopped(bill)

    def clean_up(error: BaseException | None) -> None:
        if rental is None or (error is None and not stops_at_end):
            return
        bill: Bill | None = None
        if error is None:
            bill = rental.stop(deadline_s=stop_deadline_s)
        elif returned or not isinstance(error, OctaError):
            # A start that failed has cleaned up after itself; a signal may have come after that.
            # What came up no more may have been given up by another try, which has started one in its place.
            gives_up = not is_up and isinstance(error, OctaError) and not isinstance(error, OctaCancelledError)
            bill = rental.stop_after(error, deadline_s=stop_deadline_s, leaves_replacement=gives_up)
        if bill is not None and on_stopped is not None:
            on_stopped(bill)

    with cleaned_up_by(clean_up):
        if coming_up is None:
            rented_now(rentals.start(request, requirements=requirements, on_started=started, **options))
        else:
            up, session = start_ready(
                rentals,
                request,
                coming_up,
                requirements=requirements or Requirements(),
                on_started=started,
                on_rented=rented_now,
                on_given_up=given_up,
                options=options,
            )
            is_up = True
            if on_ready is not None:
                on_ready(up, session)
        assert rental is not None
        yield rental
