"""Processes that the demo starts, and that end with it, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

PROC = Path("/proc")


class ProcessEndedError(Exception):
    """A process that was to stay has ended; the text holds the end of its log."""


@dataclass(frozen=True)
class Child:
    """One process, the leader of a session of its own: its descendants are found by the session's id."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def has_ended(self) -> bool:
        """Whether it is over; leaves it unreaped, so that its id cannot become another process's."""
        try:
            return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    @property
    def stdout(self) -> IO[bytes]:
        """What it prints, for a child that was started with a pipe."""
        assert self.process.stdout is not None
        return self.process.stdout

    def log_tail(self, lines: int = 12) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class ChildProcesses:
    """A context that ends every process started in it, the youngest first.

    Args:
        patience_s: how long a process may take to end by itself before it is killed.
    """

    def __init__(self, patience_s: float = 10.0) -> None:
        self.patience_s = patience_s
        self.children: list[Child] = []

    def __enter__(self) -> ChildProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start(
        self, name: str, command: Sequence[str | Path], log: Path, env: Mapping[str, str], *, pipe: bool = False
    ) -> Child:
        """Start a process whose output goes to ``log``; with ``pipe``, only its errors do."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else output,
                stderr=output,
                start_new_session=True,
            )
        child = Child(name, process, log)
        self.children.append(child)
        return child

    def check(self) -> None:
        """Look after the processes.

        Raises:
            ProcessEndedError: one has ended.
        """
        for child in self.children:
            if child.has_ended:
                raise ProcessEndedError(f"{child.name} has ended; its log {child.log} ends with:\n{child.log_tail()}")

    def end(self) -> None:
        """Ask all to end, and kill what is left of them when they had their time."""
        children = self.children[::-1]
        self.children = []
        for child in children:
            if not child.has_ended:
                child.process.send_signal(signal.SIGTERM)
        wait_until_ended(children, self.patience_s)
        for number, patience_s in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
            deadline = time.monotonic() + patience_s
            while remaining := [pid for child in children for pid in session_members(child)]:
                for pid in remaining:
                    send(pid, number)
                if time.monotonic() >= deadline:
                    break
                time.sleep(0.1)
        for child in children:
            child.process.wait()
            if child.process.stdout is not None:
                child.process.stdout.close()


def wait_until_ended(children: Sequence[Child], patience_s: float) -> None:
    """Return when all have ended, or after ``patience_s``."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and not all(child.has_ended for child in children):
        time.sleep(0.05)


def session_members(child: Child) -> list[int]:
    """The living processes of a child's session: itself and what it left, also those in process groups of their own."""
    if not PROC.is_dir():
        return [] if child.has_ended else [child.process.pid]
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue  # it ended meanwhile
        # The name, in brackets, may hold anything; state, parent, group and session follow it.
        state, _, _, session = stat.rpartition(")")[2].split()[:4]
        if int(session) == child.process.pid and state not in "ZX":
            found.append(int(entry.name))
    return found


def send(pid: int, number: int) -> None:
    """Signal a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
