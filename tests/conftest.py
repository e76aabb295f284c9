"""What every suite needs: nothing is left in the home folder of whoever runs it, and no busy machine fails a test."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

#: The packages whose handlers of signals are ours; those of test modules are too.
OURS = ("octa_provider", "airflow_provider", "prefect_blocks", "demo", "benchmarks", "tests")


def pytest_configure(config: pytest.Config) -> None:
    """Give the run, and every process that it starts, a state folder of its own."""
    folder = tempfile.mkdtemp(prefix="octa-state-")
    os.environ["OCTA_STATE_DIR"] = folder
    # A deadline by the wall clock (200 ms an input) fails what is right, on a machine that is busy.
    settings.register_profile("without deadline", deadline=None)
    settings.load_profile("without deadline")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(autouse=True)
def handlers_stay() -> Iterator[None]:
    """A handler that a test leaves behind answers the signals of another test, and ends what runs all of them.

    What an orchestrator leaves is its own.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)}
    yield
    left = dict[signal.Signals, object]()
    for number, handler in before.items():
        now = signal.getsignal(number)
        package = getattr(now, "__module__", "").partition(".")[0]
        if now is not handler and (package in OURS or package.startswith("test_")):
            signal.signal(number, handler)
            left[number] = now
    assert not left, "this test has left a handler of a signal behind"
