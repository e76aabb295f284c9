"""Fetch a session's logs: to the task's log, and to a file."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider.failure import fail_task
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.rendering import RendersWhatIsWritten
from airflow_provider.session_reference import SessionArgument, SessionReference, check_known_session
from airflow_provider.templated import as_int, as_text, check_known
from airflow_provider.written_file import FileArgument, write_file
from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.text.plain_text import plain_words

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider.logs.session_log import SessionLog

__all__ = ["OctaFetchLogsOperator"]


class OctaFetchLogsOperator(RendersWhatIsWritten):
    """Fetch what a session printed, and what the platform says about it. Also works for a session that has ended.

    To have the logs of a failed step too, give it `trigger_rule="all_done"` and the sensor's output: Airflow lets only
    tasks that need success follow a setup directly. It is skipped when there is no session.

    Args:
        session: the start operator's or the sensor's output, or a uuid.
        path: also write the container's log there: to a file of the worker, to a URL such as
            `s3://aws_default@bucket/key`, or to an `ObjectStoragePath`; folders on the way are made.
        max_lines: show only so many of the last lines in the task's log; None shows all. The file gets everything.
        octa_conn_id: the connection.
        kwargs: as of every operator.

    Returns (XCom): `uuid`, `container_lines`, `system_lines`, `path`.

    Example:
        >>> logs = OctaFetchLogsOperator(task_id="logs", session=ready.output, path="/data/{{ run_id }}.log")
    """

    template_fields: Sequence[str] = ("octa_conn_id", "session", "path", "max_lines")
    mapping_fields: ClassVar[frozenset[str]] = frozenset({"session"})
    ui_color = "#e4e8f7"

    def __init__(
        self,
        *,
        session: SessionArgument | None,
        path: FileArgument | None = None,
        max_lines: int | str | None = None,
        octa_conn_id: str = OctaHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.session = session
        self.path = path
        self.max_lines = max_lines
        self.octa_conn_id = octa_conn_id
        self.check_known_arguments()

    def check_known_arguments(self) -> None:
        """Refuse what can never work, as far as it is known when the DAG file is parsed.

        Raises:
            ValueError: naming the argument and what to do.
        """
        check_known_session(self.session)
        check_known(self, max_lines=_checked_count)

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch; returns how much there was."""
        # HTTP comes with it, and is needed by tasks that run alone.
        from octa_provider.logs.session_log import SessionLog

        try:
            reference = SessionReference.from_argument(self.session)
            if reference is None:
                raise AirflowSkipException("No session was started, so there are no logs.")
            max_lines = _checked_count(self.max_lines)
            return self._fetch(SessionLog(OctaHook(self.octa_conn_id).get_conn(), reference.uuid), max_lines)
        except (OctaError, ValueError) as error:
            fail_task(error)

    def _fetch(self, log: SessionLog, max_lines: int | None) -> dict[str, Any]:
        """Read the log once, of whatever size: it goes to a file, and no more than the last lines are held."""
        last: deque[str] = deque(maxlen=max_lines)
        lines, count = log.lines_now(), 0
        first = next(lines, None)
        # Known once the answer has come, which is before its first line.
        for entry in log.system:
            at = "" if entry.at is None else f"{entry.at:%H:%M:%S} "
            self.log.info("[system] %s%s", at, plain_words(entry.message))
        with tempfile.TemporaryDirectory(prefix="octa-log-") as folder:
            spooled = Path(folder) / "container.log"
            with spooled.open("w", encoding="utf-8") as file:
                for line in () if first is None else chain((first,), lines):
                    count += 1
                    if self._is_wanted:
                        file.write(f"{line}\n")
                    if max_lines is None:
                        self.log.info("[container] %s", plain_words(line))
                    else:
                        last.append(line)
            if count > len(last) and max_lines is not None:
                self.log.info("[container] ... %d lines before these", count - len(last))
            for line in last:
                self.log.info("[container] %s", plain_words(line))
            return {
                "uuid": log.uuid,
                "container_lines": count,
                "system_lines": len(log.system),
                "path": self._write(spooled),
            }

    @property
    def _is_wanted(self) -> bool:
        # Text that a template rendered to nothing is no path.
        return self.path is not None and as_text("path", self.path) is not None

    def _write(self, spooled: Path) -> str | None:
        if self.path is None or not self._is_wanted:
            return None
        written = write_file(self.path, spooled)
        self.log.info("Wrote the container's log to %s", written)
        return written


def _checked_count(max_lines: int | str | None) -> int | None:
    known = as_int("max_lines", max_lines)
    if known is not None and known < 0:
        raise OctaConfigError(f"max_lines={known} is less than nothing: give 0 or more, or leave it out for all.")
    return known
