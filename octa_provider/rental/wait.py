"""Waiting until a session can be used: ready, failed, gone, or too late."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from octa_provider.api.sessions import APPEARING_S
from octa_provider.errors import (
    OctaCancelledError,
    OctaError,
    OctaNotFoundError,
    OctaSessionFailedError,
    OctaStopError,
    OctaWaitTimeoutError,
)
from octa_provider.logs.session_log import system_entries
from octa_provider.models import SessionPhase
from octa_provider.models.session_progress import means_failed
from octa_provider.rental.caps import refuse_over_budget
from octa_provider.rental.session_text import LOG_FOLLOWS
from octa_provider.rental.stop import stop, sweep
from octa_provider.rental.twins import later_twins
from octa_provider.text.loggers import plain_logger
from octa_provider.text.plain_text import plain
from octa_provider.timing.asking import asked_pause, is_transient
from octa_provider.timing.backoff import pause_s
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.outage import outages

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.terms import Terms

log = plain_logger("octa_provider.rental.wait")

TAIL_ENTRIES = 20
#: Of each of them.
TAIL_CHARS = 500
TWIN_STOP_S = 30.0
#: Why a session has ended is asked for so long.
WHY_S = 30.0
#: A pause asks so often whether the wait was cancelled.
SLICE_S = 1.0


def wait_until_ready(
    api: RentalApi,
    terms: Terms,
    *,
    deadline_s: float,
    poll_s: float,
    is_cancelled: Callable[[], bool],
    stop_never_up: Callable[[], object] | None = None,
) -> Session:
    """See `Rental.wait_until_ready`.

    Args:
        api: the API.
        terms: of the rental.
        deadline_s, poll_s, is_cancelled: as there.
        stop_never_up: stops a session that runs and does not come up: too late, or it says that it failed; when left
            out, every one of its key is stopped, but for what another one has started in its place.
    """
    stop_never_up = stop_never_up or partial(stop, api, terms, leaves_replacement=True)
    deadline = Deadline(api.clock, deadline_s)
    asked = api.within(deadline, is_cancelled)
    failures = 0
    appearing = Deadline(api.clock, APPEARING_S)
    last = "not seen yet"
    while True:
        if is_cancelled():
            stop(api, terms)
            raise cancelled_error(terms)
        try:
            session = look(asked, terms.uuid)
        except OctaCancelledError:
            continue
        except OctaError as error:
            if not is_transient(error):
                raise
            outages.failed(error, api.clock, f"session {terms.uuid} is waited for")
            failures += 1
            wait_s = pause_s(poll_s, failures, asked_pause(error), random.random())
        else:
            failures = 0
            wait_s = pause_s(poll_s, 0, None, random.random())
            if session is None and appearing.passed:
                raise gone_error(api, terms)
            if session is not None:
                if session.progress and session.progress != last:
                    log.info("session %s: %s", terms.uuid, session.progress)
                last = session.progress or session.phase.value
                if is_ready(api, terms, session, stop_never_up):
                    return session
        if deadline.passed:
            stop_never_up()
            raise OctaWaitTimeoutError(
                f"session {terms.uuid} on node {terms.node_id} was not ready within {deadline_s:g} s "
                f"(last: {last}); it was stopped",
                uuid=terms.uuid,
            )
        pause = deadline.earlier(wait_s)
        while not pause.passed and not is_cancelled():
            pause.pause(SLICE_S)


def is_usable(api: RentalApi, terms: Terms, session: Session, stop_failed: Callable[[], object] | None = None) -> bool:
    """Whether a session that is waited for can be used.

    Args:
        api: the API.
        terms: what its rental is known by; its caps are held.
        session: as it was just seen.
        stop_failed: as in `refuse_failed`.

    Raises:
        OctaSessionFailedError, OctaBudgetError: it can't be used any more, and was stopped.
        OctaStopError: one of these, and it could not be stopped.
    """
    refuse_failed(api, terms, session, stop_failed)
    refuse_over_budget(api, terms, session)
    return session.phase is SessionPhase.READY


def is_ready(api: RentalApi, terms: Terms, session: Session, stop_failed: Callable[[], object] | None = None) -> bool:
    """As `is_usable`, for who has no watcher: when it can be used, its later twins are looked for, and stopped."""
    usable = is_usable(api, terms, session, stop_failed)
    if usable:
        stop_later_twins(api, terms, session)
    return usable


def may_still_appear(api: Api, terms: Terms, since: datetime | None) -> bool:
    """Whether a session that no look shows may be too new for that, and is not among those that have ended.

    Args:
        api: the API.
        terms: what its rental is known by.
        since: from when on it is waited for; counts where nobody knows when it was started, as of a plain uuid.
    """
    # Our own count first: the API's clock and ours may be hours apart.
    began = terms.known_from
    if began is None and (told := terms.started_at or since) is not None:
        began = told.timestamp()
    if began is None or api.clock.time() - began >= APPEARING_S:
        return False
    return all(session.uuid != terms.uuid for session in api.sessions.list(recent=True))


def stop_later_twins(api: RentalApi, terms: Terms, session: Session) -> None:
    """Look for sessions of the same key that began after ours, and stop them; see `octa_provider.rental.twins`."""
    if terms.key is None:
        return
    try:
        octa = api.within(Deadline(api.clock, TWIN_STOP_S))
        later = [mate.uuid for mate in later_twins(session, octa.sessions.list())]
        if later:
            log.warning("%s has several sessions: %s stays, %s are stopped", terms.key, terms.uuid, ", ".join(later))
            sweep(api, uuids=later, key=None, deadline_s=TWIN_STOP_S)
    except OctaStopError as error:
        log.warning("the rental's stop will try again: %s", error)
    except OctaError as error:
        if not is_transient(error):
            raise
        log.warning("whether %s has other sessions can't be seen now; its stop will look: %s", terms.key, error)


def look(api: Api, uuid: str) -> Session | None:
    """The session now; None when it is neither known nor active. Finished ones carry `finished_at`."""
    try:
        return api.services.session(uuid).info()
    except OctaNotFoundError:
        pass
    # A 404 can also mean that the session has ended (its `/info` goes first), or that it is too new.
    return next((s for s in api.sessions.list() if s.uuid == uuid), None)


def refuse_failed(
    api: RentalApi, terms: Terms, session: Session, stop_failed: Callable[[], object] | None = None
) -> None:
    """Raise when the session has ended, or says that it failed; what still runs is stopped first.

    What another one has started in its place is left.

    Args:
        api: the API.
        terms: what its rental is known by.
        session: as it was just seen.
        stop_failed: stops one that says that it failed; when left out, every one of its key is stopped.
    """
    if session.phase is SessionPhase.FINISHED:
        raise gone_error(api, terms)
    # One that failed may already be on its way out: `stopping after error`.
    told = session.phase in {SessionPhase.UNKNOWN, SessionPhase.STOPPING}
    if told and means_failed(session.progress):
        tail = system_log_tail(api, terms.uuid)
        (stop_failed or partial(stop, api, terms, leaves_replacement=True))()
        raise OctaSessionFailedError(
            f"session {terms.uuid} on node {terms.node_id} failed: {session.progress}; it was stopped{_quoted(tail)}",
            uuid=terms.uuid,
            system_log_tail=tail,
        )


def cancelled_error(terms: Terms) -> OctaCancelledError:
    """The error for a wait that was cancelled, and whose session was stopped."""
    return OctaCancelledError(f"waiting for session {terms.uuid} was cancelled; it was stopped")


def gone_error(api: RentalApi, terms: Terms) -> OctaSessionFailedError:
    """The error for a session that has left while it was needed, with why, if the API tells."""
    octa = api.within(Deadline(api.clock, WHY_S))
    tail = system_log_tail(api, terms.uuid)
    try:
        ended = next((s for s in octa.sessions.list(recent=True) if s.uuid == terms.uuid), None)
    except OctaError as error:
        log.warning("why session %s ended can't be read: %s", terms.uuid, error)
        ended = None
    why = f" ({ended.ended_because})" if ended is not None and ended.ended_because else ""
    return OctaSessionFailedError(
        f"session {terms.uuid} on node {terms.node_id} has ended{why}{_quoted(tail)}",
        uuid=terms.uuid,
        system_log_tail=tail,
    )


def system_log_tail(api: Api, uuid: str) -> str:
    """The last lines of the session's system log; empty when they can't be read."""
    octa = api.within(Deadline(api.clock, WHY_S))
    for recent in (False, True):
        try:
            entries = system_entries(octa, uuid, recent=recent)
        except OctaError as error:
            log.info("the system log of %s can't be read: %s", uuid, error)
            continue
        if entries:
            return "\n".join(plain(entry.message)[:TAIL_CHARS] for entry in entries[-TAIL_ENTRIES:])
    return ""


def _quoted(tail: str) -> str:
    return f"{LOG_FOLLOWS}\n{tail}" if tail else ""
