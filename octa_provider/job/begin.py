"""Beginning a job's command over SSH, on a machine that may not be ready for it yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaBudgetError, OctaCancelledError, OctaError, OctaNotFoundError, OctaSshError
from octa_provider.job.over_ssh import begin_detached
from octa_provider.job.result import JobOutcome
from octa_provider.job.spec import JobSpec
from octa_provider.job.state import JobState
from octa_provider.job.verdict import end_overdue
from octa_provider.remote.target import ssh_key
from octa_provider.rental.caps import refuse_over_budget, spends_too_much
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import is_transient

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.remote.transfer import OnTransfer
    from octa_provider.rental.rentals import Rentals

__all__ = ["begin_job"]

log = plain_logger("octa_provider.job.begin")


def begin_job(
    rentals: Rentals,
    state: JobState,
    spec: JobSpec,
    *,
    private_key: str | Path | None,
    on_transfer: OnTransfer | None,
    is_cancelled: Callable[[], bool],
    on_end: Callable[[], object] | None = None,
) -> JobState:
    """Send the inputs and start the command: see `Jobs.begin`.

    Args:
        rentals: what the job's rental is taken up from.
        state, spec, private_key, on_transfer, is_cancelled, on_end: as in `Jobs.begin`.

    Raises:
        OctaConfigError: an input is not there any more.
        OctaCancelledError: `is_cancelled` said yes; the session still runs.
    """
    rental = rentals.restore(state.rental)
    session: Session | None = None
    enough: Callable[[], bool] = bool
    try:
        session = rental.info()
        refuse_over_budget(rentals.api, rental, session)
        enough = spends_too_much(rental, session, rentals.clock)
        host_key = begin_detached(
            session,
            state,
            spec,
            ssh_key(private_key),
            on_progress=on_transfer,
            is_cancelled=lambda: is_cancelled() or enough(),
            on_end=on_end,
        )
    except OctaBudgetError as error:
        return state.ending(JobOutcome.OVER_BUDGET, str(error))
    except OctaCancelledError:
        if is_cancelled():
            raise
        # A cap, which inputs may take long enough to reach: what the API says of the cost is for the next look.
        return state
    except OctaError as error:
        if isinstance(error, OctaSshError) and not error.lost:
            return state.ending(JobOutcome.FAILED, str(error))
        # A session that has just gone is for the next poll to judge.
        if not isinstance(error, (OctaSshError, OctaNotFoundError)) and not is_transient(error):
            raise
        # A machine that is not up yet says the same at every look.
        if state.message != str(error):
            log.warning("the job %s can't begin yet, and is tried again: %s", state.key, error)
        if isinstance(error, OctaSshError):
            state = state.having(message=str(error), is_key_refused=error.refused)
        return end_overdue(state, rentals.clock, session=session)
    return state.running(rentals.clock, session, host_key)
