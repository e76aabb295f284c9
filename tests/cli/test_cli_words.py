"""Durations, amounts and foreign text."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone
from typing import Any

import pytest

from octa_provider.cli.options.durations import positive_seconds, seconds
from octa_provider.cli.output import listing, wording
from octa_provider.render.blender_frames import blender_frames
from octa_provider.text.quantities import shown_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("20m", 1200), ("2h", 7200), ("1h30m", 5400), ("2d", 172800), ("1.5h", 5400), ("45", 45), ("0", 0)],
)
def test_a_duration_is_read_as_seconds(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "2 weeks", "h", "-5s", "5s!", "1e3"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a duration"):
        seconds(text)


def test_a_wait_of_no_length_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no time at all"):
        positive_seconds("0s")


@pytest.mark.parametrize(
    ("length_s", "text"),
    [(None, "-"), (0, "0s"), (45.4, "45s"), (725, "12m 5s"), (3600, "1h"), (12000, "3h 20m"), (187200, "2d 4h")],
)
def test_a_length_of_time_is_shown_in_its_two_biggest_units(length_s: float | None, text: str) -> None:
    assert shown_duration(length_s) == text


def test_what_could_steer_a_terminal_is_shown_as_its_escape() -> None:
    assert wording.shown_text("a\x1b[2J\nb\u202e") == "a\\x1b[2J\\nb\\u202e"
    assert wording.shown_text(None) == wording.shown_text("") == "-"


def test_lines_and_tabs_stay_and_escapes_go() -> None:
    assert wording.shown_lines("a\tb\n\x1b[31mred\x1b[0m\n") == "a\tb\nred\n"


def test_a_cost_is_shown_in_both_currencies_when_the_price_is_known() -> None:
    assert wording.shown_cost(10**18, 0.5) == "1.0000 OCTA (0.5000 USD)"
    assert wording.shown_cost(10**18, None) == "1.0000 OCTA"
    assert wording.shown_cost(None, None) == wording.shown_octa(None) == "-"


def test_json_keeps_wei_exact_and_leaves_secrets_out() -> None:
    from octa_provider.models import Session

    session = Session(
        uuid="u",
        charge_wei=31428028938060847852,
        user_envs={"TOKEN": "x"},
        started_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
    )
    plain = listing.plain(session)
    assert plain["charge_wei"] == "31428028938060847852"
    assert plain["started_at"] == "2026-01-01T00:00:00+00:00"
    assert not {"raw", "user_envs", "config"} & plain.keys()


def test_a_table_in_a_terminal_has_rules_and_takes_brackets_as_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    listing.print_table(("name", ">number"), [("[red]shot", 1)])
    out = capsys.readouterr().out
    assert "[red]shot" in out
    assert "─" in out


def test_a_value_that_does_not_fit_the_terminal_is_not_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    listing.print_table(("name", ">number"), [("x" * 300, 1)])
    assert capsys.readouterr().out == f"{'x' * 300}\n  number: 1\n"


def test_in_a_pipe_every_row_is_a_line_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    listing.print_table(("name", ">number"), [("x" * 300, 1)])
    assert f"{'x' * 300}       1\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "count"),
    [
        ("blender -b s.blend -s 1 -e 24 -a", 24),
        ("blender -b s.blend -e 10 -j 2 -a", 5),
        ("blender -b s.blend -f 1..4,9", 5),
        ("blender -b s.blend -f 3", 1),
        ("blender -b s.blend --frame-start 1 --frame-end 24 --render-anim", 24),
        ("blender -b s.blend --frame-end 10 --frame-jump 2 -a", 5),
        ("blender -b s.blend --render-frame 1,3,5..8", 6),
        ("blender -b s.blend -a", None),
        ("blender -e many", None),
        ("blender -s 5 -e 1", None),
        ("blender 'unclosed", None),
    ],
)
def test_the_frames_of_a_blender_command_are_counted_for_the_bar(command: str, count: int | None) -> None:
    assert blender_frames(command) == count


def test_plain_values_stay_as_they_are() -> None:
    value: dict[str, Any] = {"a": [1, 2.5, None, "x"], "b_wei": None}
    assert listing.plain(value) == value
