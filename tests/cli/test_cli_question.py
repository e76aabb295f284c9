"""A question in a terminal: only a yes is one, and nobody waits for ever."""

from __future__ import annotations

import io
import os
import pty
import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from octa_provider.cli.output.question import ask, can_ask


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal as standard input; what is written to it is typed."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        yield ours
    os.close(ours)


@pytest.mark.parametrize(
    ("typed", "is_yes"),
    [("y\n", True), ("yes\n", True), (" Y \n", True), ("n\n", False), ("\n", False), ("yep\n", False), ("\x04", False)],
)
def test_only_a_yes_is_one(keys: int, capsys: pytest.CaptureFixture[str], typed: str, is_yes: bool) -> None:
    os.write(keys, typed.encode())
    assert ask("Rent", 60.0) is is_yes
    assert capsys.readouterr().err.startswith("Rent? [y/N] ")


def test_no_answer_is_a_no(keys: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("Rent", 0.01) is False
    assert "no answer: taken for a no" in capsys.readouterr().err


def test_a_signal_that_does_not_end_the_wait_is_heard_all_the_same(keys: int) -> None:
    """As one that comes just before the wait: these come in another thread, and are heard before anything is typed."""
    is_asking, typed = True, []

    def interrupt() -> None:
        for _ in range(400):
            time.sleep(0.05)
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            if not is_asking:
                return
        typed.append("y")
        os.write(keys, b"y\n")

    def hear(number: int, frame: object) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, hear)
    other = threading.Thread(target=interrupt)
    try:
        other.start()
        with pytest.raises(KeyboardInterrupt):
            ask("Rent", 600.0)
    finally:
        is_asking = False
        other.join()
        signal.signal(signal.SIGUSR1, before)
    assert typed == []


def test_without_a_terminal_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert not can_ask()
