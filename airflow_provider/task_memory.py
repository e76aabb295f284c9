"""What a try tells the next one where Airflow keeps it (3.3 and newer): only a shortcut, the rental key suffices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider.job_json import job_from_json, job_to_json
from octa_provider.errors import OctaError
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider import JobState

__all__ = ["TaskMemory"]

log = plain_logger(__name__)

_JOB, _SESSION, _FOLDER = "octa_job", "octa_session", "octa_folder"


class TaskMemory:
    """The task's `task_state_store`, if there is one.

    With it a retry shows no log line twice, and can adopt a VPN, which no rental key tells.

    Args:
        context: of the task that runs.
    """

    def __init__(self, context: Context) -> None:
        self._store: Any = context.get("task_state_store")

    @property
    def is_kept(self) -> bool:
        """Whether this Airflow keeps it."""
        return self._store is not None

    def job(self) -> JobState | None:
        """How far the job of an earlier try of this task was."""
        found = self._get(_JOB)
        try:
            return None if found is None else job_from_json(found)
        except OctaError:
            # Written by another version of this package.
            return None

    def keep_job(self, state: JobState) -> None:
        """Write down how far the job is.

        Args:
            state: the job.
        """
        self._set(_JOB, job_to_json(state.for_next_try()))

    def session(self) -> Mapping[str, Any] | None:
        """The session that an earlier try of this task started, as it was put into XCom."""
        return self._get(_SESSION)

    def keep_session(self, session: Mapping[str, Any]) -> None:
        """Write down which session was started.

        Args:
            session: the session, as it is put into XCom.
        """
        self._set(_SESSION, dict(session))

    def mark_of(self, output: str) -> str | None:
        """The mark of a batch's output folder, as an earlier try of this task found it.

        Args:
            output: the folder, absolute.
        """
        found = self._get(_FOLDER) or {}
        mark = found.get("mark") if found.get("output") == output else None
        return mark if isinstance(mark, str) else None

    def keep_mark(self, output: str, mark: str) -> None:
        """Write down the mark of a batch's output folder.

        Args:
            output: the folder, absolute.
            mark: what tells it from others.
        """
        self._set(_FOLDER, {"output": output, "mark": mark})

    def _get(self, key: str) -> Mapping[str, Any] | None:
        if self._store is None:
            return None
        try:
            found = self._store.get(key)
        except Exception as error:  # noqa: BLE001 - the store is a convenience, and its errors have no common class
            log.warning("What the last try knew can't be read: %s", error)
            return None
        return found if isinstance(found, Mapping) else None

    def _set(self, key: str, value: Mapping[str, Any]) -> None:
        if self._store is None:
            return
        try:
            self._store.set(key, value)
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("What this try knows can't be written down for the next: %s", error)
            self._store = None
