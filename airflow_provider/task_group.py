"""A task group around a session: rented before its tasks, stopped after them, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, TaskGroup, conf

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.sensors.session import OctaSessionReadySensor

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["octa_session"]


@contextmanager
def octa_session(
    group_id: str = "octa_session",
    *,
    octa_conn_id: str = OctaHook.default_conn_name,
    ready_timeout_s: float = 30 * 60.0,
    poll_interval: float = 15.0,
    deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
    retries: int | None = None,
    **start: Any,
) -> Iterator[Any]:
    """Wrap tasks in a session: `start` and `ready` before them, `stop` after them, as setups and teardown.

    When the session could not be stopped, the DAG run has failed. When a task between them fails, `done` does too, and
    so the DAG run.

    Args:
        group_id: the group's id.
        octa_conn_id: the connection.
        ready_timeout_s: seconds that the session may take to come up.
        poll_interval: seconds between two looks meanwhile.
        deferrable: whether to wait for it, and for a machine, in the triggerer; Airflow's
            `[operators] default_deferrable` when left out.
        retries: of `start` and `stop`; when left out, the DAG's default, and for `stop` three if it has none.
        start: what to rent: the arguments of `OctaStartMachineOperator`.

    Yields:
        The session as the ready sensor returns it (an `XComArg`): `session["uuid"]`, `session["ssh"]`, ...

    Example:
        >>> with octa_session("gpu", image="ubuntu:24.04", gpu_model="4090") as session:
        ...     train(session) >> evaluate(session)
    """
    tries: dict[str, Any] = {} if retries is None else {"retries": retries}
    with TaskGroup(group_id=group_id) as group:
        started = OctaStartMachineOperator(
            task_id="start", octa_conn_id=octa_conn_id, deferrable=deferrable, **tries, **start
        )
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
        ).as_teardown(setups=[started, ready], on_failure_fail_dagrun=True)
        started >> ready
        with stopped:
            yield ready.output
        # Airflow looks at a DAG run's last tasks alone, and passes over what stands before such a teardown.
        done = _Done(task_id="done")
        for last in [task for task in group.iter_tasks() if _is_last_before(task, stopped)]:
            last >> done


class _Done(BaseOperator):
    """Fails when a task of the session failed, so that its DAG run does; runs nothing."""

    #: As of `EmptyOperator`: no worker is needed.
    _is_empty = True
    ui_color = "#e8f7e4"

    def execute(self, context: Context) -> None:
        """Nothing."""


def _is_last_before(task: Any, stopped: BaseOperator) -> bool:
    return not task.is_setup and not task.is_teardown and task.downstream_task_ids == {stopped.task_id}
