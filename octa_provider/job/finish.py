"""Finishing a job: its session is stopped, and what the job came to is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from octa_provider.files.local_files import expanded
from octa_provider.job.keeping import keep_failed
from octa_provider.job.result import JobOutcome, JobResult
from octa_provider.job.state import JobState
from octa_provider.rental.elsewhere import billed_again
from octa_provider.rental.tried_machine import total
from octa_provider.rental.wait import look
from octa_provider.timing.asking import ask_until
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.rentals import Rentals

__all__ = ["finish_job"]

#: A session that is kept is asked for its cost for so long.
LOOK_S = 60.0


def finish_job(
    api: RentalApi,
    rentals: Rentals,
    state: JobState,
    *,
    log_path: str | os.PathLike[str] | None,
    stop: bool,
) -> JobResult:
    """Stop the session for certain, or keep it where that was asked for, and say what the job came to.

    See `Jobs.finish`.

    Args:
        api: the API.
        rentals: what the job's rental is taken up from.
        state, log_path, stop: as in `Jobs.finish`.

    Raises:
        OctaStopError: the session could not be stopped in time, and may still bill.
    """
    rental = rentals.restore(state.rental)
    deadline = Deadline(api.clock, LOOK_S)
    kept_until = keep_failed(api, rental, state) if stop else None
    if kept_until is not None:
        stop = False
    if stop:
        # Somebody else may have seen it go, and started another one: unless it was this process, in vain.
        was_given_up = any(one.uuid == rental.uuid for one in state.tried)
        bill = rental.stop(leaves_replacement=not was_given_up)
    else:
        bill = rental.bill(ask_until(deadline, lambda: look(api.within(deadline), rental.uuid)))
    tried = billed_again(api, state.tried, rental.uuid)
    return JobResult(
        exit_code=state.exit_code,
        outcome=state.outcome or JobOutcome.LOST,
        message=state.message,
        logs_path=None if log_path is None or not expanded(log_path).is_file() else os.fspath(expanded(log_path)),
        outputs=state.collected,
        cost_wei=total([*(one.cost_wei for one in tried), bill.charge_wei]),
        cost_usd=total([*(one.cost_usd for one in tried), bill.charge_usd]),
        duration_s=bill.duration_s,
        node_id=rental.node_id,
        uuid=rental.uuid,
        key=state.key,
        attempts=state.attempts,
        value=state.value,
        tried=tried,
        kept_until=kept_until,
    )
