"""Local processes of a session: found again by a mark in their environment, ended with all their children."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from octa_provider.emulator.container.frame_faults import SESSION_MARK, STATE_MARK

__all__ = [
    "SESSION_MARK",
    "STATE_MARK",
    "ProcessTable",
    "end_leftovers",
    "end_processes",
    "marked_pids",
    "pids_by_mark",
    "send_signal",
    "wait_for_exit",
]

_PROC = Path("/proc")
_KILLED_WITHIN_S = 5.0
_MOST_AT_ONCE = 64 * 1024


def pids_by_mark(mark: str) -> dict[str, list[int]]:
    """The processes whose environment holds `mark`, by its value; none on systems without /proc."""
    prefix = f"{mark}=".encode()
    found: dict[str, list[int]] = {}
    for name in os.listdir(_PROC) if _PROC.exists() else ():  # noqa: PTH208 - a path for each costs more than reading it
        if not name.isdigit():
            continue
        try:
            environment = _environment(f"{_PROC}/{name}/environ")
        except OSError:
            # It ended meanwhile, or belongs to another user and so is none of ours.
            continue
        # Most processes have none: looking first is quicker than splitting.
        if prefix in environment:
            for line in environment.split(b"\0"):
                if line.startswith(prefix):
                    found.setdefault(os.fsdecode(line[len(prefix) :]), []).append(int(name))
    return found


def _environment(path: str) -> bytes:
    # Every stop reads those of all processes of this computer, several times: a file object costs more than the file.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        environment = piece = os.read(descriptor, _MOST_AT_ONCE)
        while len(piece) == _MOST_AT_ONCE:
            environment += (piece := os.read(descriptor, _MOST_AT_ONCE))
        return environment
    finally:
        os.close(descriptor)


def marked_pids(mark: str, value: str) -> list[int]:
    """The processes whose environment holds `mark=value`."""
    return pids_by_mark(mark).get(value, [])


def send_signal(pids: Iterable[int], number: int, *, groups: bool = False) -> None:
    """Send a signal to processes (or to process groups), some of which may be gone."""
    for pid in pids:
        try:
            if groups:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


class ProcessTable:
    """Which processes belong to which session. One search through /proc answers everybody who waits for one.

    A thousand sessions that end at once would otherwise search a thousand times, through a thousand processes each.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[dict[str, list[int]]] | None = None

    async def pids(self, session_uuid: str) -> list[int]:
        """The processes of a session, by a search that began after this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._search())
        return (await asyncio.shield(self._next)).get(session_uuid, [])

    async def _search(self) -> dict[str, list[int]]:
        async with self._lock:
            # Who asks from now on may have sent a signal that this search does not see: the next one is theirs.
            self._next = None
            return await asyncio.to_thread(pids_by_mark, SESSION_MARK)


async def _pids_for_certain(table: ProcessTable, session_uuid: str) -> list[int]:
    """The processes of a session; none only when two searches found none.

    While a process replaces itself by another program it shows no environment for a moment.
    """
    pids = await table.pids(session_uuid)
    if not pids:
        await asyncio.sleep(0.01)
        pids = await table.pids(session_uuid)
    return pids


async def end_processes(table: ProcessTable, session_uuid: str, leaders: Iterable[int], grace_s: float | None) -> None:
    """End every process of a session: SIGTERM, and SIGKILL for those still there after `grace_s` seconds.

    Args:
        table: finds the processes.
        session_uuid: the session; its processes carry it as a mark.
        leaders: process group leaders that have not been waited for, so that their ids cannot belong to others:
            their groups are signalled too, for children that cleared their environment.
        grace_s: seconds to end by themselves; None kills them at once.
    """
    groups = tuple(leaders)
    asked = () if grace_s is None else ((signal.SIGTERM, grace_s),)
    for number, within_s in (*asked, (signal.SIGKILL, _KILLED_WITHIN_S)):
        deadline = time.monotonic() + within_s
        send_signal(groups, number, groups=True)
        pause_s = 0.005
        while pids := await _pids_for_certain(table, session_uuid):
            # Again each time round: a process may have forked between the search and the signal.
            send_signal(pids, number)
            if time.monotonic() >= deadline:
                break
            await asyncio.sleep(pause_s)
            pause_s = min(0.05, pause_s * 2)
        else:
            send_signal(groups, signal.SIGKILL, groups=True)
            return


def end_leftovers(state: Path) -> list[int]:
    """Kill every session process of a state folder whose emulator is gone for good. Returns their ids."""
    killed: set[int] = set()
    deadline = time.monotonic() + _KILLED_WITHIN_S
    while time.monotonic() < deadline:
        pids = marked_pids(STATE_MARK, str(state.absolute()))
        if not pids:
            break
        send_signal(pids, signal.SIGKILL)
        killed.update(pids)
        time.sleep(0.01)
    return sorted(killed)


async def wait_for_exit(pid: int) -> None:
    """Return when a process, ours or not, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        await _poll_until_gone(pid)
        return
    loop = asyncio.get_running_loop()
    gone = loop.create_future()

    def ended() -> None:
        if not gone.done():
            gone.set_result(None)

    loop.add_reader(descriptor, ended)
    try:
        await gone
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _poll_until_gone(pid: int) -> None:
    while True:
        try:
            # WNOWAIT leaves the exit status to whoever started the process.
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return
        except ChildProcessError:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
        await asyncio.sleep(0.05)
