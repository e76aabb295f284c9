"""The ledger: what was started, stopped, billed and requested. A file of JSON lines, so that a kill loses nothing.

Its file is append-only, one object with an `event` a line:

    opened   {balance_wei, pid, wall_ns}             an emulator took the state folder
    clock    {wall_ns, billing_ms, speed, advanced_ms}
    session  {session: {...}}                        a session started or changed; the last one counts
    request  {request: {...}}                        a request was answered, or its connection dropped
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from octa_provider.emulator.platform.session import Session


class Ledger:
    """The ledger of one state folder.

    Attributes:
        sessions: every session ever, by uuid, oldest first.
        requests: every request ever, in the order in which they ended.
        initial_balance_wei: the balance that the account began with.
        clock: the last snapshot of the billing clock, or None.
        had_sessions: whether an earlier emulator left sessions running.
    """

    def __init__(self, path: Path, balance_wei: int) -> None:
        self.sessions: dict[str, Session] = {}
        self.requests: list[dict[str, Any]] = []
        self.initial_balance_wei: int | None = None
        self.clock: dict[str, int | float] | None = None
        self._restore(path)
        self._file = open(path, "ab")  # noqa: SIM115 - closed by close()
        if self.initial_balance_wei is None:
            self.initial_balance_wei = balance_wei
        self._append("opened", balance_wei=self.initial_balance_wei, pid=os.getpid())

    @property
    def balance_start_wei(self) -> int:
        """The balance that the account began with."""
        return self.initial_balance_wei or 0

    def write_clock(self, snapshot: dict[str, int | float]) -> None:
        """Keep the billing clock, after each change."""
        self._append("clock", **snapshot)

    def write_session(self, session: Session) -> None:
        """Keep a session, after each change."""
        self.sessions[session.uuid] = session
        self._append("session", session=session.record())

    def write_request(self, request: dict[str, Any]) -> None:
        """Keep a request, once it has been answered or dropped."""
        self.requests.append(request)
        self._append("request", request=request)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _append(self, event: str, **fields: Any) -> None:
        if self._file.closed:
            return
        self._file.write(json.dumps({"event": event, **fields}).encode() + b"\n")
        # Into the kernel: it survives kill -9 of the emulator, which is all that is promised.
        self._file.flush()

    def _restore(self, path: Path) -> None:
        if not path.exists():
            return
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        for line in content[:whole].splitlines():
            row = json.loads(line)
            match row.pop("event"):
                case "opened":
                    self.initial_balance_wei = int(row["balance_wei"])
                case "clock":
                    self.clock = row
                case "session":
                    session = Session.from_record(row["session"])
                    self.sessions[session.uuid] = session
                case "request":
                    self.requests.append(row["request"])
        if whole < len(content):
            # The last line of an emulator that was killed while it wrote.
            os.truncate(path, whole)


def overlaps(sessions: Iterable[Session], now_ns: int) -> dict[str, dict[str, float]]:
    """For each rental key, how many sessions ever ran at the same time, and for how long more than one did.

    Returns:
        key -> `{"max_running", "overlap_ms", "sessions"}`.
    """
    moments: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for session in sessions:
        if session.rental_key is not None:
            stopped_ns = now_ns if session.stopped_ns is None else session.stopped_ns
            moments[session.rental_key] += [(session.started_ns, 1), (stopped_ns, -1)]
    summary = {}
    for key, changes in moments.items():
        running = most = 0
        overlap_ns = since = 0
        # A stop at the very moment of a start comes first: they did not overlap.
        for at, change in sorted(changes):
            if running > 1:
                overlap_ns += at - since
            running += change
            most = max(most, running)
            since = at
        summary[key] = {
            "max_running": most,
            "overlap_ms": overlap_ns / 1_000_000,
            "sessions": len(changes) // 2,
        }
    return summary
