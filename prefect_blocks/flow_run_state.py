"""A flow run's state, as Prefect's server tells it; the server may be away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.states import Cancelled

from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import State

__all__ = ["SeenState", "mark_as_cancelled", "read_state"]

log = plain_logger("prefect_blocks.flow_run_state")


class SeenState:
    """What was last seen of a flow run.

    Args:
        known: whether Prefect's API could be asked.
        state: what it told.
        exists: whether there is such a flow run.

    Attributes:
        known: whether Prefect's API could be asked.
        state: the flow run's state; None where there is none, and where it was only asked whether the flow run is over.
        exists: whether there is such a flow run: not so when it was deleted.
    """

    def __init__(self, known: bool = False, state: State | None = None, *, exists: bool = True) -> None:
        self.known = known
        self.state = state
        self.exists = exists

    @property
    def is_to_end(self) -> bool:
        """Whether the flow run is known to have ended, or is being cancelled."""
        return self.known and self.state is not None and (self.state.is_cancelling() or self.state.is_final())

    @property
    def is_over(self) -> bool:
        """Whether the flow run is known to be over, or to be ended; one that was deleted is."""
        return self.known and (not self.exists or self.is_to_end)


async def read_state(client: PrefectClient, flow_run_id: UUID) -> SeenState:
    """Ask Prefect's API once; its client goes on for minutes when it is away.

    Args:
        client: Prefect's API.
        flow_run_id: the flow run.

    Returns:
        What was seen; an API that does not answer is logged, and told as not known.
    """
    try:
        flow_run = await client.read_flow_run(flow_run_id)
    except ObjectNotFound:
        return SeenState(True, exists=False)
    except (httpx.HTTPError, PrefectException) as error:
        log.warning("the state of flow run %s can't be read now: %s", flow_run_id, error)
        return SeenState()
    return SeenState(flow_run.state is not None, flow_run.state)


async def mark_as_cancelled(client: PrefectClient, flow_run_id: UUID, message: str) -> None:
    """Tell the end of a flow run that is being cancelled; one that has told its end itself keeps it.

    Args:
        client: Prefect's API; when it is away, that is logged.
        flow_run_id: the flow run.
        message: says how it ended.
    """
    seen = await read_state(client, flow_run_id)
    if seen.state is None or not seen.state.is_cancelling():
        return
    try:
        await client.set_flow_run_state(flow_run_id, Cancelled(message=message), force=True)
    except (httpx.HTTPError, PrefectException) as error:
        log.warning("flow run %s can't be marked as cancelled: %s", flow_run_id, error)
