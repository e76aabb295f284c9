"""Fetch a session's logs: to the task's log, and to a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator

from airflow_provider.failure import fail_task
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.session_reference import SessionArgument, SessionReference
from airflow_provider.templated import as_int, as_text, is_known
from airflow_provider.written_file import FileArgument, write_text
from octa_provider.errors import OctaConfigError, OctaError, OctaNotFoundError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider import OctaClient
    from octa_provider.models import Logs

__all__ = ["OctaFetchLogsOperator"]


class OctaFetchLogsOperator(BaseOperator):
    """Fetch what a session printed, and what the platform says about it. Also works for a session that has ended.

    To have the logs of a failed step too, give it `trigger_rule="all_done"` and the sensor's output: Airflow lets only
    tasks that need success follow a setup directly. It is skipped when there is no session.

    Args:
        session: the start operator's or the sensor's output, or a uuid.
        path: also write the container's log there: to a file of the worker, to a URL such as
            `s3://aws_default@bucket/key`, or to an `ObjectStoragePath`; folders on the way are made.
        max_lines: show only so many of the last lines in the task's log; None shows all. The file gets everything.
        octa_conn_id: the connection.

    Returns (XCom): `uuid`, `container_lines`, `system_lines`, `path`.

    Example:
        >>> logs = OctaFetchLogsOperator(task_id="logs", session=ready.output, path="/data/{{ run_id }}.log")
    """

    template_fields: Sequence[str] = ("octa_conn_id", "session", "path", "max_lines")
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
        if is_known(max_lines):
            _checked_count(max_lines)

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch; returns how much there was."""
        try:
            reference = SessionReference.from_argument(self.session)
            if reference is None:
                raise AirflowSkipException("No session was started, so there are no logs.")
            max_lines = _checked_count(self.max_lines)
            logs = _logs(OctaHook(self.octa_conn_id).get_conn(), reference.uuid)
        except (OctaError, ValueError) as error:
            fail_task(error)
        from octa_provider.plain_text import plain

        # Only line feeds end lines: what a container prints must not look like lines of Airflow's own.
        container = logs.container.removesuffix("\n").split("\n") if logs.container else []
        for entry in logs.system:
            self.log.info("[system] %s%s", "" if entry.at is None else f"{entry.at:%H:%M:%S} ", plain(entry.message))
        shown = container if max_lines is None else container[max(0, len(container) - max_lines) :]
        if len(shown) < len(container):
            self.log.info("[container] ... %d lines before these", len(container) - len(shown))
        for line in shown:
            self.log.info("[container] %s", plain(line))
        return {
            "uuid": reference.uuid,
            "container_lines": len(container),
            "system_lines": len(logs.system),
            "path": self._written(logs),
        }

    def _written(self, logs: Logs) -> str | None:
        # Text that a template rendered to nothing is no path.
        if self.path is None or as_text(self.path) is None:
            return None
        written = write_text(self.path, logs.container)
        self.log.info("Wrote the container's log to %s", written)
        return written


def _logs(client: OctaClient, uuid: str) -> Logs:
    session = client.services.session(uuid)
    try:
        return session.logs()
    except OctaNotFoundError:
        # A session that has ended is known only as a recent one.
        return session.logs(recent=True)


def _checked_count(max_lines: int | str | None) -> int | None:
    known = as_int("max_lines", max_lines)
    if known is not None and known < 0:
        raise OctaConfigError(f"max_lines={known} is less than nothing: give 0 or more, or leave it out for all.")
    return known
