"""A question in a terminal: only a yes is one, and nobody waits for ever."""

from __future__ import annotations

import io
import os
import pty
import sys
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


def test_without_a_terminal_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert not can_ask()
