"""Whether another worker has a flow run by now: it goes on with what this one has started for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import httpx
from prefect.exceptions import ObjectNotFound, PrefectException

from octa_provider.rental.stop import stop_command
from prefect_blocks.infrastructure_pid import InfrastructurePid
from prefect_blocks.unbegun_runs import SETTLE_S
from prefect_blocks.unfollowed_machines import WORKER_LABEL

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.blocks.abstract import LoggerOrAdapter
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

__all__ = ["is_taken_over"]

#: Prefect's client asks a server that is away for minutes, and a worker that leaves is killed soon.
ANSWERS_S = 10.0


async def is_taken_over(
    client: PrefectClient, flow_run_id: UUID, worker_name: str, key: str, uuid: str, logger: LoggerOrAdapter
) -> bool:
    """Whether another worker has the flow run; asked by one that leaves, and that has told of no machine itself.

    One that takes a flow run over puts its name to it first, and then tells of the machine; one of the same name, which
    was started anew, tells of the machine alone. So it is asked twice. Where Prefect's API does not answer, the machine
    is left: the next worker finds it by its key, and its log says how to stop it.

    Args:
        client: Prefect's API.
        flow_run_id: the flow run.
        worker_name: of the worker that leaves.
        key: the rental key.
        uuid: the session that it is about.
        logger: the flow run's.
    """
    # The worker is being cancelled, and its requests with it.
    with anyio.CancelScope(shield=True):
        for pause_s in (SETTLE_S, 0.0):
            try:
                with anyio.fail_after(ANSWERS_S):
                    run = await client.read_flow_run(flow_run_id)
            except ObjectNotFound:
                # Nobody takes it over.
                return False
            except (httpx.HTTPError, PrefectException, TimeoutError) as error:
                logger.warning(
                    "This worker leaves, and whether another one has session %s by now can't be seen (%s): it is left "
                    "to the next one. Should there be none, run: %s",
                    *(uuid, str(error) or type(error).__name__, stop_command([uuid])),
                )
                return True
            if _is_anothers(run, worker_name, key):
                logger.info("This worker leaves session %s to the one that has the flow run by now", uuid)
                return True
            await anyio.sleep(pause_s)
    return False


def _is_anothers(run: FlowRun, worker_name: str, key: str) -> bool:
    pid = InfrastructurePid.read(run.infrastructure_pid)
    told = pid is not None and (pid.key == key or pid.key.endswith(f"/{key}"))
    return told or run.labels.get(WORKER_LABEL) not in (None, worker_name)
