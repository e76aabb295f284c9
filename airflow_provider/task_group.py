"""A task group around a session: rented before its tasks, stopped after them, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, TaskGroup, conf

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.not_given import NOT_GIVEN, given_of
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.sensors.session import OctaSessionReadySensor

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider.market.requirements import Requirements

__all__ = ["octa_session"]

#: What is not handed on to `start` as it is.
_OF_THE_GROUP = frozenset(
    {"group_id", "octa_conn_id", "ready_timeout_s", "poll_interval", "deferrable", "retries", "kwargs"}
)


@contextmanager
def octa_session(
    group_id: str = "octa_session",
    *,
    octa_conn_id: str = OctaHook.default_conn_name,
    ready_timeout_s: float = 30 * 60.0,
    poll_interval: float = 15.0,
    deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
    retries: int | None = None,
    image: str = NOT_GIVEN,
    start_command: str = NOT_GIVEN,
    entrypoint: str = NOT_GIVEN,
    ports: Sequence[int | str] = NOT_GIVEN,
    http_ports: Sequence[int | str] = NOT_GIVEN,
    app: str = NOT_GIVEN,
    disk_gb: int | str = NOT_GIVEN,
    envs: Mapping[str, str] | None = NOT_GIVEN,
    labels: Mapping[str, str] | None = NOT_GIVEN,
    node_id: int | str | None = NOT_GIVEN,
    gpu_model: str | Sequence[str] | None = NOT_GIVEN,
    gpu_count: int | str | None = NOT_GIVEN,
    gpu_memory_gb: float | str | None = NOT_GIVEN,
    memory_gb: float | str | None = NOT_GIVEN,
    cpu_cores: int | str | None = NOT_GIVEN,
    max_price_usd: float | str | None = NOT_GIVEN,
    country: str | Sequence[str] | None = NOT_GIVEN,
    min_blender_score: float | str | None = NOT_GIVEN,
    min_reliability: float | str | None = NOT_GIVEN,
    exclude_nodes: Sequence[int] | str | None = NOT_GIVEN,
    order_by: str | None = NOT_GIVEN,
    max_cost_usd: float | str | None = NOT_GIVEN,
    max_duration_s: float | str | None = NOT_GIVEN,
    deadline_s: float | str = NOT_GIVEN,
    wait_for_machine_s: float | str = NOT_GIVEN,
    requirements: Requirements | Mapping[str, Any] | None = NOT_GIVEN,
    **kwargs: Any,
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
        image: container image, such as `blender:4.5`.
        start_command: what the container runs.
        entrypoint: the container's entrypoint.
        ports: TCP ports to expose.
        http_ports: ports to publish as URLs.
        app: uuid of an app of the catalogue, instead of `image`.
        disk_gb: disk in GB.
        envs: environment variables. The account's sessions show them: no secrets. Those go with a command, over SSH: as
            `envs` of `RemoteMachine.run`, or as `secret_envs` of `OctaRunJobOperator`.
        labels: words of your own on the session, such as `{"project": "atlas"}`, to find it and to split a bill by.
            Whoever has the account's key, and the machine's owner, read them: no secrets.
        node_id: this machine and no other.
        gpu_model: part of the card's name, in any case, such as `4090`; or a list, of which one will do.
        gpu_count: at least so many cards.
        gpu_memory_gb: at least so much memory on each card, in GB.
        memory_gb: at least so much main memory, in GB.
        cpu_cores: at least so many cores.
        max_price_usd: at most so much, in USD per hour.
        country: ISO code or name; or a list, of which one will do.
        min_blender_score: at least this Blender benchmark score.
        min_reliability: at least this share of its sessions ended as they should, in percent.
        exclude_nodes: machines not to take.
        order_by: `price` (default), `blender_score` or `score_per_usd`.
        max_cost_usd: refuse, and while the ready sensor waits for it also stop, what costs more.
        max_duration_s: refuse what the balance can't pay for so many seconds, and while the ready sensor waits also
            stop what has run longer.
        deadline_s: seconds to try to start for, through outages of the API and from machine to machine.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken; 0 (default) fails at once.
        requirements: the same as a mapping or `Requirements`; single arguments win over it.
        kwargs: of `start`, as of every operator.

    Yields:
        The session as the ready sensor returns it (an `XComArg`): `session["uuid"]`, `session["ssh"]`, ...

    Example:
        >>> with octa_session("gpu", image="ubuntu:24.04", gpu_model="4090") as session:
        ...     train(session) >> evaluate(session)
    """
    given = given_of(locals(), but=_OF_THE_GROUP)
    tries: dict[str, Any] = {} if retries is None else {"retries": retries}
    with TaskGroup(group_id=group_id) as group:
        started = OctaStartMachineOperator(
            task_id="start", octa_conn_id=octa_conn_id, deferrable=deferrable, **tries, **given, **kwargs
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
