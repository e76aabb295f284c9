"""A triggerer that moves the files of a job itself, where it sees those of the worker; see `shared_files`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider.shared_files import begun_text, claims_marks, fetched_text, spec_to_begin
from airflow_provider.triggers.worker_threads import in_thread, threads_of
from octa_provider.errors import OctaCancelledError, OctaConfigError

if TYPE_CHECKING:
    from airflow_provider.connection_settings import ConnectionSettings
    from octa_provider import JobState, OctaClient

__all__ = ["SharedMoves"]


@dataclass(frozen=True)
class SharedMoves:
    """The files of one job. They move in threads of their own: looks at other jobs do not wait for them.

    Attributes:
        client: the API.
        settings: the connection's.
        shared: what the worker told; None where it moves the files.
        is_too_late: asked again and again while files move; when it says yes they are given up.
        tell: gets each line of the log.
    """

    client: OctaClient
    settings: ConnectionSettings
    shared: Mapping[str, Any] | None
    is_too_late: Callable[[], bool]
    tell: Callable[..., object]

    async def begin(self, state: JobState, on_end: Callable[[], object]) -> JobState | None:
        """Send the inputs and begin the command.

        Args:
            state: of a job whose machine is up.
            on_end: as in `Jobs.begin`.

        Returns:
            How far it is then; the same state when its time was over. None where a worker has to do it.
        """
        if (spec := await in_thread(spec_to_begin, self.shared)) is None:
            return None
        before = time.monotonic()
        begun = await self._moved(self.client.jobs.begin, state, spec, on_end=on_end)
        if begun is not None and begun.end_by is not None and state.end_by is None:
            self.tell("%s", begun_text(len(spec.inputs), time.monotonic() - before))
        return begun

    async def collect(self, state: JobState) -> JobState | None:
        """Fetch the outputs and the log.

        Args:
            state: of a job that has ended.

        Returns:
            As of `begin`.
        """
        if self.shared is None or not await in_thread(claims_marks, self.shared):
            return None
        before = time.monotonic()
        collected = await self._moved(self.client.jobs.collect, state, log_path=self.shared["log_path"])
        if collected is not None and collected.collected:
            self.tell("%s", fetched_text(len(collected.collected), time.monotonic() - before))
        return collected

    async def _moved(
        self, move: Callable[..., JobState], state: JobState, *arguments: object, **options: object
    ) -> JobState | None:
        options |= {"private_key": self.settings.ssh_private_key, "is_cancelled": self.is_too_late}
        try:
            with threads_of((self.settings, "files")):
                return await in_thread(move, state, *arguments, **options)
        except OctaConfigError:
            # The key or the files are not here after all.
            return None
        except OctaCancelledError:
            return state
