"""More time than users have: for what our own code, and Prefect's, gives up after some seconds.

What is given up so costs a report, a note or the grace of a process, as it should where somebody waits for a machine
that bills; a test that looks for it would fail on a computer that is busy. Each change is made as its module is loaded,
so that nobody loads more than before: here by `install`, and in processes that have this folder in their PYTHONPATH by
`sitecustomize`.
"""

from __future__ import annotations

import gc
import importlib.abc
import importlib.machinery
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

#: Names a file that holds how many seconds a process's clock is ahead, as `ahead_by` writes it; none is no seconds.
AHEAD = "TESTS_CLOCK_AHEAD"
MUCH_S = 600.0

#: Module -> the seconds in it that are more here.
SECONDS: dict[str, tuple[str, ...]] = {
    # Until a bill, a bar or a note is on Prefect's server.
    "prefect_blocks.job_report": ("FLUSH_S",),
    "prefect_blocks.batch_report": ("FLUSH_S",),
    "prefect_blocks.machine_report": ("FLUSH_S",),
    # Until Prefect's server answers.
    "prefect_blocks.intents": ("TIMEOUT_S",),
    "prefect_blocks.taken_over": ("ANSWERS_S",),
    "prefect_blocks.doctor": ("ASK_S",),
    # Until machines are stopped.
    "prefect_blocks.at_exit": ("END_ON_SIGNAL_S",),
    "prefect_blocks.stop_on_error": ("STOP_S",),
    # Until a frame that takes many times what the others took is given up.
    "octa_provider.batch.fleet": ("_HANGS_LEAST_S",),
}


def ahead_by(seconds: float, file: Path) -> None:
    """Set the clock of the processes that were started with this file forward."""
    new = file.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(file)


def _with_a_clock_ahead(module: ModuleType) -> None:
    file = os.environ.get(AHEAD)
    if file is None:
        return

    def monotonic(self: object) -> float:
        with suppress(FileNotFoundError):
            return time.monotonic() + float(Path(file).read_text())
        return time.monotonic()

    module.Clock.monotonic = monotonic
    # What it counts is no other process's count.
    module.Clock.boot = property(lambda self: "")


def _with_long_ends(module: ModuleType) -> None:
    module._end_all.__defaults__ = (MUCH_S, *module._end_all.__defaults__[1:])


def _with_long_answers(module: ModuleType) -> None:
    """An answer of OctaSpace's API may take longer than its client waits where nobody says how long: 30 s."""
    begin = module.TimeLimit.__init__

    def begins(self: object, seconds: float, **options: Any) -> None:
        begin(self, seconds if seconds < 30 else max(seconds, MUCH_S), **options)

    module.TimeLimit.__init__ = begins


def _with_a_patient_end(module: ModuleType) -> None:
    """Prefect's runner kills a flow 30 s after it has asked it to end: with its machine still there."""
    import anyio

    kill = module.ProcessManager.kill

    async def kill_later(self: Any, flow_run_id: Any, *args: Any, **options: Any) -> None:
        handle = self.get(flow_run_id)
        # A Prefect before 3.8.8 has no such handle.
        if hasattr(handle, "is_alive") and handle.pid is not None and not options.get("force"):
            with suppress(ProcessLookupError):
                handle.graceful_kill()
            until = time.monotonic() + MUCH_S
            while handle.is_alive() and time.monotonic() < until:
                await anyio.sleep(0.2)
        await kill(self, flow_run_id, *args, **options)

    module.ProcessManager.kill = kill_later


def _with_a_quick_end(module: ModuleType) -> None:
    """A plain flow's end waits for the thread of its heartbeats, which sleeps for the rest of a second.

    It does nothing more when it has slept, and a coroutine's end waits for none.
    """
    beat = module._send_heartbeats
    module._send_heartbeats = lambda engine, join_on_exit=False: beat(engine, join_on_exit=False)


#: Module -> what else is changed in it.
CHANGES: dict[str, Callable[[ModuleType], None]] = {
    "prefect_blocks.at_exit": _with_long_ends,
    "octa_provider.http.time_limit": _with_long_answers,
    "octa_provider.timing.clock": _with_a_clock_ahead,
    "prefect.flow_engine": _with_a_quick_end,
    "prefect.runner._process_manager": _with_a_patient_end,
}


def change(module: ModuleType) -> None:
    """Make the changes of a module that was just loaded."""
    for name in SECONDS.get(module.__name__, ()):
        assert hasattr(module, name), f"{module.__name__} has no {name} any more"
        setattr(module, name, MUCH_S)
    if module.__name__ in CHANGES:
        CHANGES[module.__name__](module)


class _Changing(importlib.abc.MetaPathFinder):
    """Finds modules as ever, and changes those that are named above."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name not in SECONDS and name not in CHANGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                change(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Have this process, too, take its time."""
    # To look for what nobody holds any more takes a tenth of what Prefect takes to load, and finds little.
    gc.set_threshold(50_000, 20, 100)
    for name in {*SECONDS, *CHANGES} & set(sys.modules):
        change(sys.modules[name])
    sys.meta_path.insert(0, _Changing())
