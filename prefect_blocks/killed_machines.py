"""Machines that were stopped through Prefect, by `kill_infrastructure`: their end is no crash."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound

from octa_provider.errors import OctaError
from prefect_blocks.events import emit
from prefect_blocks.infrastructure_pid import InfrastructurePid
from prefect_blocks.session_argument import as_known

if TYPE_CHECKING:
    from prefect_blocks.flow_run_starts import InThread
    from prefect_blocks.worker_configuration import OctaJobConfiguration

__all__ = ["KilledMachines"]


class KilledMachines:
    """Those of one worker, by their rental keys: a flow run may have got another machine meanwhile."""

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def forget(self, key: str) -> bool:
        """Whether the machine of a key was killed; asked once, at its end.

        Args:
            key: the rental key.
        """
        was_killed = key in self._keys
        self._keys.discard(key)
        return was_killed

    async def kill(self, infrastructure_pid: str, configuration: OctaJobConfiguration, in_thread: InThread) -> None:
        """Stop a machine, and return when it has been seen gone: see `OctaWorker.kill_infrastructure`.

        Args:
            infrastructure_pid, configuration: as there.
            in_thread: runs blocking work.

        Raises:
            InfrastructureNotFound, InfrastructureNotAvailable, OctaStopError: as there.
        """
        pid = InfrastructurePid.read(infrastructure_pid)
        if pid is None:
            raise InfrastructureNotAvailable(f"{infrastructure_pid!r} is not a machine of an octa worker")
        with configuration.account().get_client() as client:
            if not await in_thread(partial(pid.is_active, client)):
                raise InfrastructureNotFound(f"session {pid.uuid} has ended already")
            self._keys.add(pid.key)
            rental = pid.rental(client)
            try:
                bill = await in_thread(rental.stop)
            except OctaError:
                # It may end by itself later, and that is a crash.
                self._keys.discard(pid.key)
                raise
            emit(
                "stopped",
                await in_thread(partial(as_known, client, rental)),
                bill=bill,
                reason="its infrastructure was killed through Prefect",
                flow_run_id=pid.flow_run_id,
                name=configuration.name,
                labels=configuration.labels,
            )
