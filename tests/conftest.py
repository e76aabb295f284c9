"""What every suite needs: nothing is left in the home folder of whoever runs it, and no busy machine fails a test."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import is_hypothesis_test, settings
from slow_tests import slow_tests

#: Where the lines of the emulator are counted too.
OF_THE_EMULATOR = Path(__file__).parent / "emulator"

#: The packages whose handlers of signals are ours; those of test modules are too.
OURS = ("octa_provider", "airflow_provider", "prefect_blocks", "demo", "benchmarks", "tests")


def pytest_configure(config: pytest.Config) -> None:
    """Give the run, and every process that it starts, a state folder of its own."""
    folder = tempfile.mkdtemp(prefix="octa-state-")
    os.environ["OCTA_STATE_DIR"] = folder
    # A deadline by the wall clock (200 ms an input) fails what is right, on a machine that is busy.
    settings.register_profile("without deadline", deadline=None)
    settings.load_profile("without deadline")
    # Of pytest-cov, which not everybody who runs a test has.
    config.addinivalue_line("markers", "no_cover: no lines are counted while it runs")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    config.add_cleanup(gc.unfreeze)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell of `--quick`."""
    parser.addoption("--quick", action="store_true", help="leave out the tests that take long: tests/slow_tests.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, if that is wanted.

    Of what stays, count no lines while inputs are drawn: a thousand of them run the same ones, and each costs twice as
    much then.
    """
    if config.getoption("--quick"):
        slow = slow_tests()
        left_out = [item for item in items if item.nodeid.partition("[")[0] in slow]
        items[:] = [item for item in items if item.nodeid.partition("[")[0] not in slow]
        config.hook.pytest_deselected(items=left_out)
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("no_cover")


def pytest_collection_finish() -> None:
    """Set aside what is there before the first test: a search for what nobody needs any more looks at new things alone.

    Thousands of tests and their modules are a seventh of a second of a core in each full search.
    """
    gc.collect()
    gc.freeze()


class NotInEmulators:
    """Begins to count lines in a thread, unless an emulator runs in it: those of its own tests are enough.

    Counting costs as much as what is counted, in aiohttp and asyncssh too, of which no line counts.
    """

    def __init__(self, begin: Any) -> None:
        self.begin = begin

    def __call__(self, *event: Any) -> Any:
        if threading.current_thread().name == "octa-emulator":
            sys.settrace(None)
            return None
        return self.begin(*event)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say of the threads that this test starts whether lines are counted in them."""
    begin = threading.gettrace()
    if isinstance(begin, NotInEmulators):
        begin = begin.begin
    if begin is not None:
        threading.settrace(begin if item.path.is_relative_to(OF_THE_EMULATOR) else NotInEmulators(begin))


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
