"""Processes for a test to kill, forked from one that has loaded Airflow: a new one takes some ten seconds of a core."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["loaded_airflow"])


@contextmanager
def forked(
    work: Callable[[str], object], told: str, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[ForkServerProcess]:
    """A process that is killed at the end of the block.

    Args:
        work: what it does, a function of a module of this folder.
        told: its argument.
        log: where all goes that it prints.
        environment: of the process; that of now, unless it is given.
    """
    log.touch()
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    with pytest.MonkeyPatch.context() as patch:
        # Where the one that all are forked from, which begins with the first of them, finds the modules of the tests.
        patch.setenv("PYTHONPATH", path)
        process = _context.Process(target=_work, args=(work, told, log, dict(environment or os.environ)))
        process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _work(work: Callable[[str], object], told: str, log: Path, environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with log.open("wb") as output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
    # The test reads it meanwhile.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    work(told)
