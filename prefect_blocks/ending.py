"""What the tasks that read logs and stop sessions do."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from typing import Any

from octa_provider.text.carried import carried_dict
from octa_provider.text.plain_text import plain
from prefect_blocks.at_exit import signals_as_before
from prefect_blocks.credentials import OctaCredentials
from prefect_blocks.events import emit
from prefect_blocks.rental_guard import let_go
from prefect_blocks.session_argument import SessionArgument, rental_of

__all__ = ["fetch_logs", "stop_session"]


def fetch_logs(
    session: SessionArgument,
    *,
    path: str | None = None,
    tail_lines: int = 100,
    credentials: OctaCredentials | None = None,
) -> dict[str, Any]:
    """Read a session's log: of one that runs as of one that has ended.

    Args:
        session: what a start task returned, or a uuid.
        path: a local file that gets all of it.
        tail_lines: how many of its last lines to return.
        credentials: the account; the environment's when left out.

    Returns:
        `uuid`, `lines` (how many there are), `tail` (the last of them), `system` (the platform's last entries), `path`.
    """
    from octa_provider.logs.session_log import SessionLog

    with (credentials or OctaCredentials()).get_client() as client, ExitStack() as stack:
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


def stop_session(
    session: SessionArgument | None,
    *,
    score: int | None = None,
    deadline_s: float = 300.0,
    credentials: OctaCredentials | None = None,
) -> dict[str, Any] | None:
    """Stop a session and every other one of its key, and return when they have been seen gone. Safe to repeat.

    Args:
        session: what a start task returned, or a uuid; None, when nothing was started, does nothing.
        score: what the machine was worth, 1 to 5.
        deadline_s: seconds to try for.
        credentials: the account; the environment's when left out.

    Returns:
        The bill: `uuid`, `charge_wei` (as text), `charge_usd`, `duration_s`, `termination_reason`.

    Raises:
        OctaStopError: not seen gone in time; it bills until it is stopped.
    """
    if session is None:
        return None
    with (credentials or OctaCredentials()).get_client() as client:
        rental = rental_of(client, session)
        bill = rental.stop(score=score, deadline_s=deadline_s)
        let_go(rental.uuid)
        signals_as_before()
        emit("stopped", rental, **bill.to_dict())
        return carried_dict(bill.to_dict())
