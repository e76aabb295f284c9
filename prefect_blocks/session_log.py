"""What the task that reads a session's log does."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from typing import Any

from octa_provider.text.plain_text import plain
from prefect_blocks.credentials import OctaCredentials, account_of
from prefect_blocks.session_argument import SessionArgument, rental_of

__all__ = ["fetch_logs"]


def fetch_logs(
    session: SessionArgument,
    *,
    path: str | None = None,
    tail_lines: int = 100,
    credentials: OctaCredentials | str | None = None,
) -> dict[str, Any]:
    """Read a session's log: of one that runs as of one that has ended.

    Args:
        session: what a start task returned, or a uuid.
        path: a local file that gets all of it.
        tail_lines: how many of its last lines to return.
        credentials: the account, a block or the name of a saved one; the environment's when left out.

    Returns:
        `uuid`, `lines` (how many there are), `tail` (the last of them), `system` (the platform's last entries), `path`.
    """
    from octa_provider.logs.session_log import SessionLog

    with account_of(credentials).get_client() as client, ExitStack() as stack:
        session_log = SessionLog(client, rental_of(client, session).uuid)
        file = stack.enter_context(open(path, "w", encoding="utf-8")) if path is not None else None
        tail: deque[str] = deque(maxlen=tail_lines)
        count = 0
        for line in session_log.last_lines():
            count += 1
            tail.append(line)
            if file is not None:
                file.write(f"{line}\n")
        system = [plain(entry.message) for entry in session_log.system[-tail_lines:]]
        return {"uuid": session_log.uuid, "lines": count, "tail": list(tail), "system": system, "path": path}
