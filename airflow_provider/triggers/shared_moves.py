"""A triggerer that moves the files of a job itself, where it sees those of the worker; see `shared_files`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider.odd_value import why_not_carried
from airflow_provider.shared_files import begun_text, claims_marks, fetched_text, inputs_to_send, spec_to_begin
from airflow_provider.triggers.worker_threads import in_thread, threads_of
from octa_provider.errors import OctaCancelledError, OctaConfigError, OctaLocalFileError
from octa_provider.files.scratch import in_scratch

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
        if self.shared is None or self.shared.get("begins") is None:
            return None
        before = time.monotonic()
        begun = await self._moved(self._begin, state, on_end=on_end)
        if begun is not None and begun.end_by is not None and state.end_by is None:
            self.tell("%s", begun_text(inputs_to_send(self.shared), time.monotonic() - before))
        return begun

    def _begin(self, state: JobState, **options: Any) -> JobState:
        def begin(folder: Path | None = None) -> JobState:
            if (spec := spec_to_begin(self.shared, folder)) is None:
                raise OctaConfigError("a worker has to begin this job")
            return self.client.jobs.begin(state, spec, **options)

        assert self.shared is not None
        return in_scratch(begin) if self.shared.get("texts") else begin()

    async def collect(self, state: JobState) -> JobState | None:
        """Fetch the outputs and the log.

        Args:
            state: of a job that has ended.

        Returns:
            As of `begin`.
        """
        if self.shared is None or not await in_thread(claims_marks, self.shared):
            return None
        value_of = self.shared.get("value_of")
        collected = await (self._fetched(state) if value_of is None else self._with_value(state, value_of))
        # What Airflow can't carry must not stand in an event.
        return None if collected is None or why_not_carried(collected.value) is not None else collected

    async def _fetched(self, state: JobState) -> JobState | None:
        assert self.shared is not None
        before = time.monotonic()
        collected = await self._moved(self.client.jobs.collect, state, log_path=self.shared["log_path"])
        if collected is not None and collected.collected:
            self.tell("%s", fetched_text(len(collected.collected), time.monotonic() - before))
        return collected

    async def _with_value(self, state: JobState, value_of: str) -> JobState | None:
        """The same, with one output read as a JSON value: what is none, or too large for an event, is a worker's."""
        from octa_provider.job.result import JobOutcome

        value, files = None, {remote: local for remote, local in state.outputs.items() if remote != value_of}
        if state.outcome is JobOutcome.SUCCEEDED:
            asked = state.having(outputs={}, result_file=value_of)
            read = await self._moved(self.client.jobs.collect, asked, log_path=None)
            if read is None or read.outcome is JobOutcome.FAILED:
                return None
            if read.phase is asked.phase or read.outcome is not JobOutcome.SUCCEEDED:
                # Its time was over, or a cap was reached.
                return read
            value = read.value
        collected = await self._fetched(state.having(outputs=files))
        return None if collected is None else collected.having(result_file=value_of, value=value)

    async def _moved(
        self, move: Callable[..., JobState], state: JobState, *arguments: object, **options: object
    ) -> JobState | None:
        options |= {"private_key": self.settings.ssh_private_key, "is_cancelled": self.is_too_late}
        try:
            with threads_of((self.settings, "files")):
                return await in_thread(move, state, *arguments, **options)
        except (OctaConfigError, OctaLocalFileError):
            # The key or the files are not here after all, or there is no room for them.
            return None
        except OctaCancelledError:
            return state
