"""Starting a job on another machine, when one never came up: first the one is stopped, and seen gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaBudgetError, OctaNoMachineError
from octa_provider.job.result import JobOutcome
from octa_provider.job.secret_envs import without_values
from octa_provider.job.spec import JobSpec
from octa_provider.job.start import start_job
from octa_provider.job.state import JobState
from octa_provider.rental.elsewhere import stopped_for_another
from octa_provider.rental.leaving import Leaving
from octa_provider.rental.machine_wait import MACHINE_POLL_S
from octa_provider.rental.tried_machine import all_before, attempts_of
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.rental.rental import Rental
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.rentals import Rentals

__all__ = ["start_elsewhere"]

log = plain_logger("octa_provider.job.elsewhere")


def start_elsewhere(
    api: RentalApi,
    rentals: Rentals,
    state: JobState,
    spec: JobSpec,
    *,
    private_key: str | Path | None,
    is_cancelled: Callable[[], bool],
    on_started: Callable[[Rental], object] | None,
    leaving: Leaving | None = None,
) -> JobState:
    """Stop a session that never came up, and start its job on another machine: see `Jobs.start_elsewhere`.

    Args:
        api: the API.
        rentals: what starts and stops on it.
        state, spec, private_key, is_cancelled, on_started, leaving: as in `Jobs.start_elsewhere`.

    Raises:
        OctaStopError: it could not be stopped in time, so that nothing was started.
        OctaError: as `Rentals.start`.
    """
    message = without_values(state.message, spec.secret_envs)
    tried = (*state.tried, stopped_for_another(api, state.rental, message))
    log.warning(
        "session %s of %s on node %s never came up, and was stopped (%s): trying another machine, %d of %d",
        *(state.rental.uuid, state.key, state.rental.node_id, state.message),
        *(attempts_of(tried) + 1, state.start_attempts),
    )
    try:
        started = start_job(
            api,
            rentals,
            spec,
            state.key,
            earlier=None,
            is_cancelled=is_cancelled,
            on_started=on_started,
            private_key=private_key,
            wait_for_machine_s=0.0,
            machine_poll_s=MACHINE_POLL_S,
            on_waiting=None,
            leaving=leaving,
            tried=tried,
        )
    except (OctaNoMachineError, OctaBudgetError) as error:
        # What the cap or the balance does not allow is begun anew by nobody, as over any budget.
        outcome = JobOutcome.OVER_BUDGET if isinstance(error, OctaBudgetError) else state.outcome
        message = f"{state.message}. No other machine: {error}"
        return state.having(start_attempts=attempts_of(tried), outcome=outcome, message=message)
    return started.having(tried=all_before(started.tried, tried), start_attempts=state.start_attempts)
