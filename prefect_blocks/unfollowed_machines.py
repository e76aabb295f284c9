"""What a work pool's workers have left: machines that nobody follows, flow runs that nobody has begun.

Prefect hands a restarted worker nothing back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectException

from octa_provider.errors import OctaError
from octa_provider.text.loggers import plain_logger
from prefect_blocks.flow_run_pages import all_flow_runs_async
from prefect_blocks.infrastructure_pid import InfrastructurePid
from prefect_blocks.worker_configuration import OctaJobConfiguration

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, WorkPool

__all__ = [
    "WORKER_LABEL",
    "LeftByWorkers",
    "UnfollowedMachine",
    "active_machines",
    "claim_machine",
    "find_left_by_workers",
]

log = plain_logger("prefect_blocks.unfollowed_machines")

_UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
#: Where Prefect notes which worker has a flow run.
WORKER_LABEL = "prefect.worker.name"


@dataclass(frozen=True)
class UnfollowedMachine:
    """A machine without a worker.

    Attributes:
        flow_run: whose it is.
        configuration: its job variables.
        pid: the machine.
        listed: whether its session is active; if not, nobody has told how it ended.
    """

    flow_run: FlowRun
    configuration: OctaJobConfiguration
    pid: InfrastructurePid
    listed: bool = True


@dataclass(frozen=True)
class LeftByWorkers:
    """What no worker sees to.

    Attributes:
        machines: of the pool's flow runs.
        machineless: flow runs under way for which no machine is known.
    """

    machines: list[UnfollowedMachine]
    machineless: list[FlowRun]


async def find_left_by_workers(
    client: PrefectClient,
    pool: WorkPool,
    worker_name: str,
    configuration_type: type[OctaJobConfiguration],
    followed: frozenset[UUID],
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
) -> LeftByWorkers:
    """What of a pool's flow runs neither this worker sees to, nor another one that is alive.

    Machines are found twice: by the flow runs that are under way and name a machine, and by the rental keys of the
    active sessions, since a flow run may be over and its machine still bill. The accounts that are looked at are the
    pool's and those of the flow runs that are under way.

    Args:
        client: Prefect's API.
        pool: the work pool.
        worker_name: this worker's name; a worker of the same name before it counts as this one.
        configuration_type: what makes sense of job variables.
        followed: flow runs that this worker sees to.
        in_thread: runs blocking work in a thread.

    Raises:
        httpx.HTTPError, PrefectException: Prefect's API can't be asked.
    """
    runs = {
        run.id: run
        for run in await all_flow_runs_async(
            client,
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool.name])),
            flow_run_filter=FlowRunFilter(
                # Hundreds that are seen to are not read at each look.
                id=FlowRunFilterId(not_any_=list(followed)) if followed else None,
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY)),
            ),
        )
        if run.id not in followed
    }

    async def configuration_of(run: FlowRun) -> OctaJobConfiguration | None:
        try:
            return await configuration_type.resolve_for_flow_run(
                run, client=client, work_pool=pool, worker_name=worker_name
            )
        except (ObjectNotFound, ValueError):
            # Its deployment was deleted, or has values that can't be.
            return None

    of_pool: OctaJobConfiguration = await configuration_type.from_template_and_values(
        base_job_template=pool.base_job_template, values={}, client=client
    )
    of_run = {run.id: await configuration_of(run) or of_pool for run in runs.values()}
    active, unasked = await in_thread(lambda: active_machines([(None, of_pool), *of_run.items()]))
    pids = {run.id: pid for run in runs.values() if (pid := _pid_of(run))}
    for pid in active:
        run_id = pid.flow_run_id
        if run_id is not None and run_id not in followed:
            pids[run_id] = pid
    alive = await _others_alive(client, pool.name, worker_name)
    found = []
    for run_id, pid in pids.items():
        if pid not in active and run_id in unasked:
            # Not knowing is not having ended.
            continue
        try:
            run = runs.get(run_id) or await client.read_flow_run(run_id)
        except ObjectNotFound:
            continue
        if run.work_pool_name == pool.name and run.labels.get(WORKER_LABEL) not in alive:
            configuration = of_run.get(run_id) or await configuration_of(run) or of_pool
            found.append(UnfollowedMachine(run, configuration, pid, pid in active))
    machineless = [
        run
        for run in runs.values()
        if run.id not in pids and run.id not in unasked and run.labels.get(WORKER_LABEL) not in alive
    ]
    return LeftByWorkers(found, machineless)


async def claim_machine(client: PrefectClient, machine: UnfollowedMachine, worker_name: str) -> None:
    """Have other workers see that a machine has a worker again.

    Args:
        client: Prefect's API; when it is away, nobody is told.
        machine: the machine.
        worker_name: of its worker.
    """
    run = machine.flow_run
    with suppress(httpx.HTTPError, PrefectException):
        await client.update_flow_run_labels(run.id, {WORKER_LABEL: worker_name})
        if run.infrastructure_pid != str(machine.pid):
            # Whoever rented it ended before that was told.
            await client.update_flow_run(run.id, infrastructure_pid=str(machine.pid))


def _pid_of(run: FlowRun) -> InfrastructurePid | None:
    """The machine that a flow run names; that of an earlier run of it is none of one that waits to begin anew."""
    pid = InfrastructurePid.read(run.infrastructure_pid)
    waits = run.state is not None and run.state.is_pending()
    return None if pid is not None and waits and pid.run_count < run.run_count else pid


async def _others_alive(client: PrefectClient, pool_name: str, worker_name: str) -> set[str]:
    workers = await client.read_workers_for_work_pool(pool_name)
    return {worker.name for worker in workers if str(worker.status).upper().endswith("ONLINE")} - {worker_name}


def active_machines(
    configurations: Iterable[tuple[UUID | None, OctaJobConfiguration]],
) -> tuple[list[InfrastructurePid], set[UUID | None]]:
    """The machines that workers have rented and that run, on the accounts of several flow runs.

    An account that can't be asked costs its own machines, not those of the others.

    Args:
        configurations: each flow run and its job variables, which name its account; None for those of the pool itself.

    Returns:
        The machines, those of a flow run's earlier runs first; and the flow runs whose account could not be asked.
    """
    asked: dict[object, list[InfrastructurePid] | None] = {}
    unasked: set[UUID | None] = set()
    for name, configuration in configurations:
        try:
            with configuration.account().get_client() as client:
                account = (client.transport.account, client.namespace)
                if account not in asked:
                    asked[account] = None
                    sessions = client.sessions.list()
                    pids = (InfrastructurePid.of_session(one, client.namespace) for one in sessions)
                    asked[account] = [pid for pid in pids if pid is not None]
                if asked[account] is None:
                    unasked.add(name)
        except OctaError as error:
            log.warning("an account of the pool can't be asked for its machines now: %s", error)
            unasked.add(name)
    found = [pid for pids_of in asked.values() for pid in pids_of or ()]
    return sorted(found, key=lambda pid: pid.run_count), unasked
