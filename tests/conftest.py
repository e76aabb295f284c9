"""What every suite needs: nothing is left in the home folder of whoever runs it, and no busy machine fails a test."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings


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
    """A handler that a test leaves behind answers the signals of another test, and ends what runs all of them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)}
    yield
    left = {number: signal.getsignal(number) for number in before}
    for number, handler in before.items():
        if left[number] is not handler and handler is not None:
            signal.signal(number, handler)
    assert left == before, "this test has left a handler of a signal behind"
