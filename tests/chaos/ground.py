"""Where runs take place: an emulator of their own, and the processes that fork the tries."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from octa_provider.emulator.testing import EmulatorHandle, start_emulator

ROOT = Path(__file__).resolve().parents[2]
START_DELAY_S = 0.2


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
    with subprocess.Popen(
        [interpreter, "-m", "tests.chaos.zygote"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


class Ground:
    """One emulator with its processes; runs take place on it one after the other.

    Attributes:
        emulator: the emulator.
        zygotes: what runs the tries.
        folder: where tries keep their files.
    """

    def __init__(self, emulator: EmulatorHandle, zygotes: Zygotes, folder: Path) -> None:
        self.emulator, self.zygotes, self.folder = emulator, zygotes, folder


@contextlib.contextmanager
def open_ground(interpreters: dict[str, str]) -> Iterator[Ground]:
    """A ground for a `with` block.

    Args:
        interpreters: module of a client -> the Python that runs it; "" for all others.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="octa-chaos-")))
        emulator = stack.enter_context(
            # Fast billing, so that a session left for milliseconds costs more than a wei.
            start_emulator(machines=40, start_delay_s=START_DELAY_S, speed=60.0, balance_octa=10**9)
        )
        yield Ground(emulator, Zygotes(interpreters, stack), folder)
