"""A job that one process hands over to another, between whom time passes: what became of its session meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.errors import OctaError
from octa_provider.job.result import JobOutcome
from octa_provider.job.state import JobState
from octa_provider.rental.caps import over_budget
from octa_provider.rental.wait import look

if TYPE_CHECKING:
    from octa_provider.api.api import Api

__all__ = ["take_over"]


def take_over(api: Api, state: JobState) -> JobState:
    """Take over a job that waited for a worker, to begin its command or to fetch its files.

    Args:
        api: the API.
        state: as it was handed over.

    Returns:
        The same state while the session runs, and where that can't be told; one that has ended when the session was
        stopped meanwhile: over budget where a cap was reached, else lost.
    """
    terms = state.rental
    try:
        session = look(api, terms.uuid)
        if session is not None and session.finished_at is None:
            return state
        ended = next((one for one in api.sessions.list(recent=True) if one.uuid == terms.uuid), session)
    except OctaError:
        # It is looked at again by what comes next.
        return state
    cap = None if ended is None else over_budget(terms, ended, api.clock)
    if cap is not None:
        return state.ending(JobOutcome.OVER_BUDGET, f"session {terms.uuid} {cap}; it was stopped", state.exit_code)
    left = "the command was begun" if state.exit_code is None else "its files were fetched"
    message = f"session {terms.uuid} was stopped before {left}: no worker took the task over in time"
    return state.ending(JobOutcome.LOST, message, state.exit_code)
