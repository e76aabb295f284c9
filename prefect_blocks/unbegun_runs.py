"""Flow runs that a worker took and began nothing for, since it ended before: Prefect hands them to no worker again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

import anyio
from prefect.exceptions import ObjectNotFound

from octa_provider.text.loggers import plain_logger
from prefect_blocks.infrastructure_pid import InfrastructurePid
from prefect_blocks.unfollowed_machines import WORKER_LABEL

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

__all__ = ["UnbegunRuns", "is_cancelled_unbegun", "is_unbegun"]

log = plain_logger("prefect_blocks.unbegun_runs")

#: Of two workers that take the same flow run at once, the one whose claim is seen after so long has it.
SETTLE_S = 1.5


def is_unbegun(run: FlowRun) -> bool:
    """Whether a flow run waits, for its machine as far as it tells; the account's sessions may know of one.

    One that is submitted without a deployment waits for its bundle at first, with whoever submits it, until a worker
    has put its name to it.

    Args:
        run: the flow run.
    """
    if run.state is None or not run.state.is_pending():
        return False
    pid = InfrastructurePid.read(run.infrastructure_pid)
    if run.infrastructure_pid and (pid is None or pid.run_count >= run.run_count):
        return False
    return run.deployment_id is not None or WORKER_LABEL in run.labels


def is_cancelled_unbegun(run: FlowRun) -> bool:
    """Whether a flow run is to be cancelled that a worker took, and that has never told of a machine.

    Prefect leaves it to that worker to tell its end.

    Args:
        run: the flow run.
    """
    is_cancelling = run.state is not None and run.state.is_cancelling()
    return is_cancelling and not run.infrastructure_pid and WORKER_LABEL in run.labels


class UnbegunRuns:
    """Those that this worker has seen, and those that it takes.

    A flow run is taken when it was seen twice in one state: it may only be about to be begun. Should two workers take
    one all the same they rent under one key, so that there is one machine.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[UUID, UUID]] = set()
        self._taken: dict[UUID, FlowRun] = {}

    def take(self, found: Iterable[FlowRun]) -> list[FlowRun]:
        """Those that were there at the last look too.

        Args:
            found: what this look has found.
        """
        now = {(run.id, run.state.id): run for run in found if run.state is not None}
        taken = [run for seen, run in now.items() if seen in self._seen]
        self._seen = set(now)
        self._taken |= {run.id: run for run in taken}
        return taken

    def leave(self, run: FlowRun) -> None:
        """It is not taken after all; the next look sees it anew.

        Args:
            run: the flow run.
        """
        self._taken.pop(run.id, None)

    def is_taken(self, run: FlowRun) -> bool:
        """Whether it was taken here and not claimed yet.

        Args:
            run: the flow run.
        """
        return run.id in self._taken

    async def claim(self, client: PrefectClient, run: FlowRun, worker_name: str) -> bool:
        """Put this worker's name to a flow run that was taken.

        Args:
            client: Prefect's API.
            run: the flow run.
            worker_name: this worker's.

        Returns:
            Whether it is this worker's now; not so when it has gone on meanwhile, or another worker has it.

        Raises:
            httpx.HTTPError, PrefectException: Prefect's API can't be asked.
        """
        was = self._taken.pop(run.id)
        try:
            now = await client.read_flow_run(run.id)
            if not _is_as_seen(now, was) or now.labels.get(WORKER_LABEL) != was.labels.get(WORKER_LABEL):
                return False
            await client.update_flow_run_labels(run.id, {WORKER_LABEL: worker_name})
            await anyio.sleep(SETTLE_S)
            now = await client.read_flow_run(run.id)
        except ObjectNotFound:
            return False
        return _is_as_seen(now, was) and now.labels.get(WORKER_LABEL) == worker_name


def _is_as_seen(now: FlowRun, was: FlowRun) -> bool:
    return now.state is not None and was.state is not None and now.state.id == was.state.id and is_unbegun(now)
