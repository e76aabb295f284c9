"""Starting a job on another machine, when one never came up: first the one is stopped, and seen gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaBudgetError, OctaNoMachineError
from octa_provider.job.result import JobOutcome
from octa_provider.job.spec import JobSpec
from octa_provider.job.start import start_job
from octa_provider.job.state import JobState
from octa_provider.job.tried_machine import TriedMachine, cap_left
from octa_provider.rental.machine_wait import MACHINE_POLL_S
from octa_provider.rental.stop import sweep
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.rental.rental import Rental
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.rentals import Rentals

__all__ = ["start_elsewhere"]

log = plain_logger("octa_provider.job.elsewhere")

#: A machine that never came up is asked to stop for so long.
STOP_S = 300.0


def start_elsewhere(
    api: RentalApi,
    rentals: Rentals,
    state: JobState,
    spec: JobSpec,
    *,
    private_key: str | Path | None,
    is_cancelled: Callable[[], bool],
    on_started: Callable[[Rental], object] | None,
) -> JobState:
    """Stop a session that never came up, and start its job on another machine: see `Jobs.start_elsewhere`.

    Args:
        api: the API.
        rentals: what starts and stops on it.
        state, spec, private_key, is_cancelled, on_started: as in `Jobs.start_elsewhere`.

    Raises:
        OctaStopError: it could not be stopped in time, so that nothing was started.
        OctaError: as `Rentals.start`.
    """
    # Two machines of one job never bill at once: this returns when the one has been seen gone, and raises otherwise. By
    # its uuid, not by its key: another try may have started the other one by now, which is adopted then.
    terms = state.rental
    bill = terms.bill(sweep(api, uuids=(terms.uuid,), key=None, deadline_s=STOP_S).get(terms.uuid))
    if terms.claim is not None and terms.key is not None:
        api.intents.remove(terms.key, terms.claim)
    tried = (*state.tried, TriedMachine.of(state, bill, spec.secret_envs))
    nodes = [one.node_id for one in tried if one.node_id is not None]
    left_usd = cap_left(spec.max_cost_usd, tried)
    log.warning(
        "session %s of %s on node %s never came up, and was stopped (%s): trying another machine, %d of %d",
        *(bill.uuid, state.key, state.rental.node_id, state.message, len(tried) + 1, state.start_attempts),
    )
    try:
        if left_usd == 0:
            cap = f"max_cost_usd={spec.max_cost_usd:g}"
            why = f"nothing is left of {cap} for another machine"
            if any(one.spent_usd is None for one in tried):
                why = f"nobody tells what the machines before have cost, so {cap} can't be held"
            raise OctaBudgetError(why)
        started = start_job(
            api,
            rentals,
            replace(spec, requirements=spec.requirements.without_nodes(nodes), max_cost_usd=left_usd),
            state.key,
            earlier=None,
            is_cancelled=is_cancelled,
            on_started=on_started,
            private_key=private_key,
            wait_for_machine_s=0.0,
            machine_poll_s=MACHINE_POLL_S,
            on_waiting=None,
            but_not=[one.uuid for one in tried],
        )
    except (OctaNoMachineError, OctaBudgetError) as error:
        # What the cap or the balance does not allow is begun anew by nobody, as over any budget.
        outcome = JobOutcome.OVER_BUDGET if isinstance(error, OctaBudgetError) else state.outcome
        message = f"{state.message}. No other machine: {error}"
        return state.having(start_attempts=len(tried), outcome=outcome, message=message)
    return started.having(tried=tried, start_attempts=state.start_attempts)
