"""`--by 18:00`: today, or tomorrow where it has passed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from octa_provider.cli.options.time_of_day import seconds_until

NOON = datetime(2026, 11, 26, 12, 0, 0)
HOUR = 3600.0


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("18:00", 6),
        ("12:01", 1 / 60),
        ("11:59", 24 - 1 / 60),
        ("12:00", 24),
        ("0:30", 12.5),
        (" 18:00 ", 6),
        ("2026-11-28 08:00", 44),
        ("2026-11-26T18:00", 6),
        ("2026-11-26 18:00+00:00", 7),
    ],
)
def test_a_moment_is_so_far_away(text: str, hours: float) -> None:
    assert seconds_until(text, NOON) == pytest.approx(hours * HOUR)


def test_a_night_on_which_the_clock_is_put_forward_is_shorter() -> None:
    assert seconds_until("06:00", datetime(2026, 3, 28, 20, 0)) == 9 * HOUR


@pytest.mark.parametrize("text", ["25:00", "18", "6 pm", "18:60", "", "tomorrow", "2026-11-31 08:00", "2026-11-28"])
def test_what_is_no_moment_is_told(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no moment: write it like 18:00"):
        seconds_until(text, NOON)


def test_what_has_passed_or_is_years_away_is_told() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="has passed"):
        seconds_until("2026-11-26 11:00", NOON)
    with pytest.raises(argparse.ArgumentTypeError, match="more than a year"):
        seconds_until("2029-11-26 11:00", NOON)
