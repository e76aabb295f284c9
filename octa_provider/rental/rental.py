"""`Rental`: our handle on one session, from start to confirmed stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from octa_provider.errors import OctaConfigError, OctaError, tell_also
from octa_provider.rental.cost import PRICE_STEP_USD, age_s, price_usd
from octa_provider.rental.elsewhere import billed_again
from octa_provider.rental.stop import stop
from octa_provider.rental.terms import Bill, Terms
from octa_provider.rental.tried_mark import tried_before_rental
from octa_provider.rental.wait import wait_until_ready
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.limits import checked_pause, checked_seconds

if TYPE_CHECKING:
    from octa_provider.models import Logs, Machine, Session, VpnMachine
    from octa_provider.rental.rental_api import RentalApi

__all__ = ["Rental", "rental_of"]

log = plain_logger("octa_provider.rental.rental")


class Rental(Terms, frozen=True, eq=False):
    """Our handle on one session, from start to confirmed stop: its terms, and the API that it was opened with.

    What it is known by travels as `to_dict`; `client.rentals.restore` opens it again.

    Attributes:
        uuid: the session.
        key: the rental key, whole; None for a session that was opened without one.
        service: `mr`, `render` or `vpn`.
        node_id: the machine.
        price_usd: USD per hour, as the session tells it, else as the catalogue did.
        price_wei: wei per hour, at the same price.
        started_at: when it started, in UTC.
        adopted: True when the session was already there: from an earlier try, or from an answer that was lost.
        max_cost_usd: stop when this is spent.
        max_duration_s: stop when it has run so many seconds.
        max_price_usd: stop when it says that it costs more, in USD per hour.
        claim: what the store of intents knows it by; None for a session that tells its key itself.
        known_from: Unix time, by `Clock.steady_time`, from which on it has run: since it was started here, or, when
            `adopted`, as much earlier than it was first seen as the API said that it had run then. Counts where the
            API does not tell how long it has run.
        tried: the machines before, which never came up or were replaced: what they cost is off `max_cost_usd`
            already. A job counts its own.
        labels: what the session was labelled with; of one that was adopted its own.
    """

    _api: RentalApi | None = None

    @classmethod
    def of(cls, terms: Terms, api: RentalApi | None) -> Rental:
        """The handle on a session that is known by its terms; no request is made.

        Args:
            terms: what it is known by.
            api: what it acts by; None for a value that nobody can act on.
        """
        return cls(**{name: getattr(terms, name) for name in Terms.__struct_fields__}, _api=api)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Rental:
        """The value that `to_dict` was made of, bound to nothing; `client.rentals.restore` binds it.

        Raises:
            OctaConfigError: it is not the state of a rental.
        """
        return cls.of(Terms.from_dict(state), None)

    @property
    def terms(self) -> Terms:
        """What it is known by."""
        return Terms(**{name: getattr(self, name) for name in Terms.__struct_fields__})

    @property
    def api(self) -> RentalApi:
        """The API that it was opened with."""
        if self._api is None:
            raise OctaConfigError("this rental has no client: reopen it with client.rentals.restore(rental.to_dict())")
        return self._api

    def info(self) -> Session:
        """The session as the API sees it now; OctaNotFoundError when it is gone."""
        return self.api.services.session(self.uuid).info()

    def logs(self, *, recent: bool = False) -> Logs:
        """All of the session's logs; `recent` for one that has finished."""
        return self.api.services.session(self.uuid).logs(recent=recent)

    def wait_until_ready(
        self, deadline_s: float = 900.0, poll_s: float = 5.0, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Session:
        """Wait until the session can be used. Outages of the API slow the wait down and do not end it.

        Args:
            deadline_s: seconds after which it is too late; then the session is stopped.
            poll_s: seconds between two looks.
            is_cancelled: asked between two looks; when it says yes the session is stopped.

        Returns:
            The ready session, with its addresses.

        Raises:
            OctaWaitTimeoutError: too late; the session was stopped.
            OctaSessionFailedError: the session ended or failed; its system log's last lines are in the error.
            OctaBudgetError: a cap was reached; the session was stopped.
            OctaCancelledError: `is_cancelled` said yes; the session was stopped.
            OctaStopError: one of these, and the session could not be stopped.
        """
        deadline_s, poll_s = checked_seconds("deadline_s", deadline_s), checked_pause("poll_s", poll_s)
        return wait_until_ready(self.api, self, deadline_s=deadline_s, poll_s=poll_s, is_cancelled=is_cancelled)

    def stop(self, score: int | None = None, deadline_s: float = 300.0, *, leaves_replacement: bool = False) -> Bill:
        """Stop the session and every other one of its key, and return when they have been seen gone.

        Safe to repeat. Asks again through outages until the deadline.

        Args:
            score: what the machine was worth, 1 to 5; anything else is left out and logged.
            deadline_s: seconds to try for.
            leaves_replacement: leave what was started in this one's place, when it never came up (`start_attempts`):
                for whoever is not the only one that watches it.

        Raises:
            OctaStopError: still running, or not seen gone, when the deadline passed. It bills until it is stopped.
        """
        bill = stop(self.api, self, score=score, deadline_s=deadline_s, leaves_replacement=leaves_replacement)
        return replace(bill, tried=billed_again(self.api, bill.tried)) if bill.tried else bill

    def stop_after(
        self, error: BaseException, deadline_s: float = 300.0, *, leaves_replacement: bool = False
    ) -> Bill | None:
        """Stop after something has gone wrong: that it can't be stopped is told, and does not hide what went wrong.

        Args:
            error: what went wrong; it says so too when the session may bill on.
            deadline_s: seconds to try for.
            leaves_replacement: as in `stop`.

        Returns:
            The bill; None when it could not be stopped.
        """
        try:
            return self.stop(deadline_s=deadline_s, leaves_replacement=leaves_replacement)
        except OctaError as problem:
            log.error("%s", problem)
            tell_also(error, problem.message)
            return None

    def __eq__(self, other: object) -> bool:
        # Whenever it was first known here, it is the same rental.
        return isinstance(other, Terms) and self.to_dict() | {"known_from": None} == other.to_dict() | {
            "known_from": None
        }

    def __hash__(self) -> int:
        return hash(self.terms)

    def __repr__(self) -> str:
        return f"Rental({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"


def rental_of(
    api: RentalApi,
    uuid: str,
    key: str,
    session: Session | None,
    *,
    service: str | None = None,
    machine: Machine | VpnMachine | None = None,
) -> Rental:
    """The handle on a session, with what is known of it; no request is made.

    Args:
        api: what it acts by.
        uuid: the session.
        key: the rental key, whole, where the session does not tell it.
        session: as it was last seen, if it was.
        service: `mr`, `render` or `vpn`, where the session does not tell it.
        machine: as the catalogue offered it, if it was chosen now.
    """
    offered_usd: float | None = getattr(machine, "price_usd", None)
    offered_wei: int | None = getattr(machine, "price_wei", None)
    told_usd = None if session is None else price_usd(session)
    # The session's own price comes in steps: it counts where it really is another one.
    if told_usd and offered_usd and abs(told_usd - offered_usd) > PRICE_STEP_USD:
        steps, offered_steps = round(told_usd / PRICE_STEP_USD), max(1, round(offered_usd / PRICE_STEP_USD))
        offered_wei = None if offered_wei is None else offered_wei * steps // offered_steps
        offered_usd = told_usd
    age = None if session is None else age_s(session, api.clock)
    return Rental(
        uuid=uuid,
        key=session.rental_key or key if session is not None else key,
        service=(session.service if session is not None else "") or service,
        node_id=session.node_id
        if session is not None and session.node_id is not None
        else getattr(machine, "node_id", None),
        price_usd=told_usd if offered_usd is None else offered_usd,
        price_wei=offered_wei,
        started_at=None if session is None else session.started_at,
        known_from=None if age is None else api.clock.steady_time() - age,
        tried=tried_before_rental(session),
        labels={} if session is None else session.labels,
        _api=api,
    )
