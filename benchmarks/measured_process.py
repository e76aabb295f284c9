"""What a process takes of its computer, and what it asks of an emulator."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octa_provider.emulator.testing import EmulatorHandle

__all__ = ["cpu_s", "of_session", "requests_of", "resident_mb", "shared_mb"]


def cpu_s(pid: int, *, with_ended: bool = False) -> float:
    """Seconds of CPU that a process has taken.

    Args:
        pid: the process.
        with_ended: those of its children that have ended too.
    """
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11 : 15 if with_ended else 13])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Megabytes of memory that a process has now."""
    return round(int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024, 1)


def shared_mb(pids: Iterable[int]) -> float:
    """Megabytes of memory that processes have together: what forked ones share is counted once."""
    told = [Path(f"/proc/{pid}/smaps_rollup").read_text().partition("\nPss:")[2] for pid in pids]
    return round(sum(int(text.split()[0]) for text in told) / 1024, 1)


def of_session(leader: int) -> list[int]:
    """The processes of a session, by the pid of its leader."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[3]) == leader:
            found.append(int(stat.parent.name))
    return found


def requests_of(emulator: EmulatorHandle) -> Counter[str]:
    """By route, how often the API was asked."""
    counts: dict[str, int] = emulator.ledger(requests=False)["request_counts"]
    return Counter({route: count for route, count in counts.items() if "/_emulator" not in route})
