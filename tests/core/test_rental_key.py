"""Rental keys: different work, different key; printable and short whatever the parts hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octa_provider.errors import OctaConfigError
from octa_provider.rental_key import MAX_KEY_CHARS, RENTAL_KEY_ENV, checked_key, key_parts, rental_key

PARTS = st.lists(st.text(min_size=1), min_size=1, max_size=5)
TRICKY = st.lists(st.text("a/%2F~. \n\u00e9", min_size=1, max_size=6), min_size=1, max_size=5)
LONG = st.lists(st.text("ab/%", min_size=60, max_size=130), min_size=2, max_size=5)


@given(st.one_of(PARTS, TRICKY, LONG), st.one_of(PARTS, TRICKY, LONG))
def test_different_parts_never_give_the_same_key(one: list[str], other: list[str]) -> None:
    assert (rental_key(*one) == rental_key(*other)) == (one == other)


@given(st.one_of(PARTS, TRICKY, LONG))
def test_a_key_is_a_checked_key_and_the_same_every_time(parts: list[str]) -> None:
    key = rental_key(*parts)
    assert checked_key(key) == key == rental_key(*parts)
    assert len(key) <= MAX_KEY_CHARS
    assert key.isascii()
    assert key.isprintable()
    assert " " not in key


def test_plain_parts_stay_readable() -> None:
    assert rental_key("airflow", "render", "run:2026-01-01T00:00:00+00:00", "start", 3) == (
        "airflow/render/run:2026-01-01T00:00:00+00:00/start/3"
    )
    assert RENTAL_KEY_ENV == "OCTA_RENTAL_KEY"


def test_parts_cannot_move_across_their_border() -> None:
    assert rental_key("a", "b/c") != rental_key("a/b", "c") != rental_key("a", "b", "c")


def test_a_long_key_keeps_its_beginning_so_that_a_prefix_still_finds_it() -> None:
    key = rental_key("airflow", "dag", "x" * 500)
    assert key.startswith("airflow/dag/xxx")
    assert len(key) == MAX_KEY_CHARS
    assert len(rental_key("x" * MAX_KEY_CHARS)) == MAX_KEY_CHARS
    assert "~" not in rental_key("x" * MAX_KEY_CHARS)


@pytest.mark.parametrize("parts", [(), ("",), ("a", "")])
def test_nothing_and_empty_parts_are_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(OctaConfigError):
        rental_key(*parts)


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "é", "x" * (MAX_KEY_CHARS + 1), None, 7, b"bytes"])
def test_what_cannot_be_a_key_is_refused(key: Any) -> None:
    with pytest.raises(OctaConfigError, match="rental_key"):
        checked_key(key)


@pytest.mark.parametrize(
    "parts", [("airflow", "a dag", "manual__2026-01-01T00:00:00+00:00", "group.task", "-1"), ("ä/b", "%41")]
)
def test_a_key_tells_its_parts(parts: tuple[str, ...]) -> None:
    assert key_parts(rental_key(*parts)) == parts


def test_a_key_that_was_too_long_does_not_tell_its_parts() -> None:
    assert key_parts(rental_key("airflow", "x" * 300)) is None
