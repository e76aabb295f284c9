"""A task that hands its job over to the triggerer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider.job_json import job_to_json
from airflow_provider.try_note import note_try

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from octa_provider import JobState

__all__ = ["defer_job", "latest_end_of"]


def latest_end_of(state: JobState, timeout_s: float | None = None) -> float:
    """The Unix time at which a job must have ended, wherever and however often it is watched.

    Args:
        state: the job.
        timeout_s: seconds that the command may run; as the state tells it when left out.
    """
    from octa_provider.job.state import GRACE_S

    return state.end_by or state.ready_by + (state.timeout_s if timeout_s is None else timeout_s) + GRACE_S


def defer_job(
    operator: BaseOperator,
    context: Context,
    state: JobState,
    *,
    octa_conn_id: str,
    namespace: str | None,
    poll_s: float,
    latest_end: float,
    deadline_at: float | None,
    given_up_at: float,
    collects: bool = False,
    stops: bool = True,
    stops_on_kill: bool = True,
    is_ready_told: bool = False,
    shared: Mapping[str, Any] | None = None,
) -> NoReturn:
    """Let the triggerer watch a job; the task comes back by `execute_resumed`.

    Args:
        operator: whose task waits for the job.
        context: of the task.
        state: how far the job is.
        octa_conn_id, namespace, latest_end, deadline_at, collects, stops, stops_on_kill, is_ready_told, shared: as of
            `OctaJobTrigger`.
        poll_s: seconds between two looks.
        given_up_at: Unix time at which Airflow itself ends the wait. That is for a triggerer that never runs it: it
            calls nobody back but `resume_execution`.

    Raises:
        TaskDeferred: always; it is how a task defers.
    """
    from airflow_provider.triggers.job import OctaJobTrigger

    # For a trigger that is ended: whether another try has begun meanwhile.
    note_try(context["ti"])
    operator.defer(
        trigger=OctaJobTrigger(
            octa_conn_id=octa_conn_id,
            job=job_to_json(state),
            latest_end=latest_end,
            deadline_at=deadline_at,
            poll_interval=poll_s,
            namespace=namespace,
            collects=collects,
            stops=stops,
            stops_on_kill=stops_on_kill,
            is_ready_told=is_ready_told,
            shared=shared,
        ),
        method_name="execute_resumed",
        timeout=timedelta(seconds=max(1.0, given_up_at - time.time())),
    )
    raise AssertionError("unreachable: defer raises")
