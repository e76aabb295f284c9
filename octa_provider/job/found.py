"""The state of a job of which only its session is known: whoever started it left no state behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from octa_provider.job.mark import JobMark
from octa_provider.job.state import JobState
from octa_provider.rental.cost import price_usd
from octa_provider.rental.terms import Terms
from octa_provider.rental.tried_machine import cap_left
from octa_provider.rental.tried_mark import tried_before

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
    start_attempts: int = 1,
) -> JobState:
    """Make the state of a job from what its session tells, so that it can be followed. Its log comes from the start.

    The session is looked for among those that are active and those that have finished. Of one that is in neither list
    nobody can tell the outcome: the first look at such a job ends it as lost.

    Args:
        api: the API.
        terms: what its rental is known by; its caps hold from now on, that on cost for all machines of the job.
        timeout_s: seconds that the command may run.
        ready_timeout_s: seconds, from now, that the session may take to come up.
        is_over_ssh: tells from the session's environment whether the command is run over SSH.
        start_attempts: how many machines are tried; see `JobSpec`. Those before this one are told by its session.

    Returns:
        The job, as one that is coming up: the first look tells how far it is.

    Raises:
        OctaError: the sessions could not be listed.
    """
    sessions = [*api.sessions.list(), *api.sessions.list(recent=True)]
    session = next((one for one in sessions if one.uuid == terms.uuid), None)
    tried = () if session is None else tried_before(session)
    if session is not None:
        node_id = session.node_id if terms.node_id is None else terms.node_id
        usd = price_usd(session) if terms.price_usd is None else terms.price_usd
        terms = msgspec.structs.replace(terms, node_id=node_id, price_usd=usd, labels=terms.labels or session.labels)
    now = api.clock.steady_time()
    return JobState(
        key=terms.key or "",
        rental=msgspec.structs.replace(terms, max_cost_usd=cap_left(terms.max_cost_usd, tried)),
        nonce=(JobMark.of(session).nonce if session is not None else "") or NO_NONCE,
        over_ssh=is_over_ssh((session.user_envs if session is not None else None) or {}),
        timeout_s=timeout_s,
        appear_by=now,
        ready_by=now + ready_timeout_s,
        start_attempts=start_attempts,
        tried=tried,
        ready_timeout_s=ready_timeout_s,
        clock=api.clock.identity,
    )
