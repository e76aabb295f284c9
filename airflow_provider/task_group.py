"""A task group around a session: rented before its tasks, stopped after them, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.providers.common.compat.sdk import TaskGroup

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.sensors.session import OctaSessionReadySensor

__all__ = ["octa_session"]


@contextmanager
def octa_session(
    group_id: str = "octa_session",
    *,
    octa_conn_id: str = OctaHook.default_conn_name,
    ready_timeout_s: float = 30 * 60.0,
    poll_interval: float = 15.0,
    deferrable: bool | None = None,
    retries: int | None = None,
    **start: Any,
) -> Iterator[Any]:
    """Wrap tasks in a session: `start` and `ready` before them, `stop` after them, as setups and teardown.

    Args:
        group_id: the group's id.
        octa_conn_id: the connection.
        ready_timeout_s: seconds that the session may take to come up.
        poll_interval: seconds between two looks meanwhile.
        deferrable: whether to wait for it in the triggerer.
        retries: of `start` and `stop`; the DAG's default when left out.
        start: what to rent: the arguments of `OctaStartMachineOperator`.

    Yields:
        The session as the ready sensor returns it (an `XComArg`): `session["uuid"]`, `session["ssh"]`, ...

    Example:
        >>> with octa_session("gpu", image="ubuntu:24.04", gpu_model="4090") as session:
        ...     train(session) >> evaluate(session)
    """
    tries: dict[str, Any] = {} if retries is None else {"retries": retries}
    with TaskGroup(group_id=group_id):
        started = OctaStartMachineOperator(task_id="start", octa_conn_id=octa_conn_id, **tries, **start)
        started.as_setup()  # type: ignore[no-untyped-call]
        ready = OctaSessionReadySensor(
            task_id="ready",
            session=started.output,
            octa_conn_id=octa_conn_id,
            poke_interval=poll_interval,
            timeout=ready_timeout_s,
            deferrable=deferrable,
        )
        ready.as_setup()  # type: ignore[no-untyped-call]
        stopped = OctaStopSessionOperator(
            task_id="stop", session=started.output, octa_conn_id=octa_conn_id, **tries
        ).as_teardown(setups=[started, ready])
        started >> ready
        with stopped:
            yield ready.output
