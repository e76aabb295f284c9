"""The state of a job of which only its session is known: whoever started it left no state behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from octa_provider.job.mark import JobMark
from octa_provider.job.state import JobState
from octa_provider.rental.terms import Terms

if TYPE_CHECKING:
    from octa_provider.api.api import Api

__all__ = ["find_job"]

#: No run has this nonce, so that nothing in a log is taken for its end.
NO_NONCE = "unknown"


def find_job(
    api: Api,
    terms: Terms,
    *,
    timeout_s: float,
    ready_timeout_s: float,
    is_over_ssh: Callable[[Mapping[str, str]], bool],
) -> JobState:
    """Make the state of a job from what its session tells, so that it can be followed. Its log comes from the start.

    The session is looked for among those that are active and those that have finished. Of one that is in neither list
    nobody can tell the outcome: the first look at such a job ends it as lost.

    Args:
        api: the API.
        terms: what its rental is known by; its caps hold from now on.
        timeout_s: seconds that the command may run.
        ready_timeout_s: seconds, from now, that the session may take to come up.
        is_over_ssh: tells from the session's environment whether the command is run over SSH.

    Returns:
        The job, as one that is coming up: the first look tells how far it is.

    Raises:
        OctaError: the sessions could not be listed.
    """
    sessions = [*api.sessions.list(), *api.sessions.list(recent=True)]
    session = next((one for one in sessions if one.uuid == terms.uuid), None)
    now = api.clock.steady_time()
    return JobState(
        key=terms.key or "",
        rental=terms,
        nonce=(JobMark.of(session).nonce if session is not None else "") or NO_NONCE,
        over_ssh=is_over_ssh((session.user_envs if session is not None else None) or {}),
        timeout_s=timeout_s,
        appear_by=now,
        ready_by=now + ready_timeout_s,
        ready_timeout_s=ready_timeout_s,
        clock=api.clock.identity,
    )
