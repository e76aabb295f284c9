"""Where runs take place: an emulator of their own, and the processes that fork the tries."""

from __future__ import annotations

import atexit
import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from octa_provider.emulator.testing import EmulatorHandle, start_emulator

ROOT = Path(__file__).resolve().parents[2]
START_DELAY_S = 0.2

#: Which machines are on offer, by name: options of the emulator.
MARKETS: dict[str, dict[str, Any]] = {
    "wide": {"machines": 40},
    #: One machine that takes one session.
    "one room": {"machines": 1, "room": 1},
    #: One machine that takes all.
    "one node": {"machines": 1, "room": 20},
    #: Where prices rise for good.
    "prices": {"machines": 40},
}
#: A market whose prices rise is left for a new one after so many runs, before nothing cheap is left.
RUNS_UNTIL_DEAR = 8


#: Processes that fork tries and that nobody uses, by interpreter: half a second of imports each.
_idle: dict[str, list[subprocess.Popen[str]]] = {}
_lock = threading.Lock()


class Zygotes:
    """The processes that fork tries, by interpreter."""

    def __init__(self, interpreters: dict[str, str], stack: contextlib.ExitStack) -> None:
        self._interpreters = interpreters
        self._stack = stack
        self._running: dict[str, subprocess.Popen[str]] = {}

    def run(self, module: str, tries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Run tries at the same time; see `tests.chaos.zygote`."""
        interpreter = self._interpreters.get(module, self._interpreters[""])
        zygote = self._running.get(interpreter)
        if zygote is None:
            zygote = self._running[interpreter] = self._stack.enter_context(_zygote(interpreter))
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        zygote.stdin.write(json.dumps({"module": module, "tries": tries}) + "\n")
        zygote.stdin.flush()
        line = zygote.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that forks the tries has ended: {zygote.wait()}")
        outcomes: list[dict[str, Any]] = json.loads(line)
        return outcomes


@contextlib.contextmanager
def _zygote(interpreter: str) -> Iterator[subprocess.Popen[str]]:
    """One for a ground; the next ground takes it over, unless something went wrong with it."""
    with _lock:
        waiting = _idle.get(interpreter)
        process = waiting.pop() if waiting else None
    if process is None or process.poll() is not None:
        process = subprocess.Popen(
            [interpreter, "-m", "tests.chaos.zygote"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        yield process
    except BaseException:
        _end(process)
        raise
    with _lock:
        _idle.setdefault(interpreter, []).append(process)


def _end(process: subprocess.Popen[str]) -> None:
    with process:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _end_idle() -> None:
    for processes in _idle.values():
        for process in processes:
            _end(process)


atexit.register(_end_idle)


class Ground:
    """Emulators with their processes; runs take place on it one after the other.

    Attributes:
        zygotes: what runs the tries.
        folder: where tries keep their files.
    """

    def __init__(self, zygotes: Zygotes, folder: Path, stack: contextlib.ExitStack) -> None:
        self.zygotes, self.folder = zygotes, folder
        self._stack = stack
        self._markets: dict[str, tuple[contextlib.ExitStack, EmulatorHandle]] = {}
        self._dear_runs = 0

    def market(self, name: str) -> EmulatorHandle:
        """The emulator with these machines, for one run."""
        if name == "prices":
            self._dear_runs += 1
            if self._dear_runs > RUNS_UNTIL_DEAR and name in self._markets:
                self._dear_runs = 1
                self._markets.pop(name)[0].close()
        if name not in self._markets:
            own = self._stack.enter_context(contextlib.ExitStack())
            # Billed as fast as real time passes: its count of a session's time is compared with the clients' own.
            options = {"start_delay_s": START_DELAY_S, "balance_octa": 10**9, **MARKETS[name]}
            self._markets[name] = (own, own.enter_context(start_emulator(**options)))
        return self._markets[name][1]


@contextlib.contextmanager
def open_ground(interpreters: dict[str, str]) -> Iterator[Ground]:
    """A ground for a `with` block.

    Args:
        interpreters: module of a client -> the Python that runs it; "" for all others.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="octa-chaos-")))
        yield Ground(Zygotes(interpreters, stack), folder, stack)
