"""A flow run is begun on its machine: over SSH, where it is not the container's own command."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.from_thread

from octa_provider.errors import OctaConfigError
from octa_provider.job.result import JobOutcome
from octa_provider.job.state import JobState

if TYPE_CHECKING:
    from octa_provider import OctaClient
    from prefect_blocks.worker_configuration import OctaJobConfiguration

__all__ = ["begin_flow_run", "is_left"]


def begin_flow_run(
    client: OctaClient, state: JobState, configuration: OctaJobConfiguration, private_key: str | Path | None
) -> JobState:
    """Begin a flow run over SSH, in a thread of anyio's; once however often it is asked for.

    Args:
        client: the account's.
        state: its job, whose machine is ready.
        configuration: its job variables, prepared.
        private_key: the text of a private key or the path of its file; None for the agent and the default files.

    Raises:
        OctaCancelledError: the worker is being shut down; the machine is left as it is.
    """
    try:
        spec = configuration.spec()
    except OctaConfigError as error:
        # Its job variables were changed since it was rented: it must not wait, and bill, for ever.
        return state.ending(JobOutcome.FAILED, str(error))
    return client.jobs.begin(state, spec, private_key=private_key, is_cancelled=is_left)


def is_left() -> bool:
    """In a thread of anyio's: whether the worker waits for it no more, since it is being shut down."""
    try:
        anyio.from_thread.check_cancelled()
    except asyncio.CancelledError:
        return True
    return False
