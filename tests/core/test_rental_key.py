"""Rental keys: different work, different key; printable whatever the parts hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octa_provider.errors import OctaConfigError
from octa_provider.rental.key import (
    MAX_KEY_CHARS,
    checked_key,
    checked_namespace,
    earlier_forms,
    key_parts,
    rental_key,
    split_namespace,
    with_namespace,
)
from octa_provider.wire.session_envs import RENTAL_KEY_ENV

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


@pytest.mark.parametrize("name", ["x" * 250, "ежедневный-рендер-сцены-" * 10, "夜" * 250, "🎬" * 250])
def test_the_longest_names_of_an_orchestrator_keep_their_parts(name: str) -> None:
    parts = ("airflow", name, f"manual__{name}"[:250], name, "12")
    assert key_parts(rental_key(*parts)) == parts


def test_a_key_that_could_not_travel_is_refused() -> None:
    with pytest.raises(OctaConfigError, match=str(MAX_KEY_CHARS)):
        rental_key("x" * (MAX_KEY_CHARS + 1))


# -- namespaces -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("namespace", ["prod", "team/prod", "продакшн", "airflow-prod", "a b", "@x~y"])
def test_a_namespace_is_one_segment_in_front_whatever_is_in_it(namespace: str) -> None:
    encoded = checked_namespace(namespace)
    key = with_namespace(rental_key("airflow", "dag"), encoded)
    assert key == f"{encoded}/airflow/dag"
    assert "/" not in encoded
    assert key_parts(key) == (namespace, "airflow", "dag")
    assert split_namespace(key, encoded) == "airflow/dag"


def test_a_key_that_has_its_namespace_keeps_it() -> None:
    whole = with_namespace("airflow/dag", "airflow-1")
    assert with_namespace(whole, "airflow-1") == whole
    assert split_namespace(whole, "airflow") is None
    assert split_namespace(whole, "airflow-12") is None


def test_without_a_namespace_a_key_is_what_it_is() -> None:
    assert with_namespace("a/b", "") == "a/b"
    assert split_namespace("a/b", "") == "a/b"


@pytest.mark.parametrize("namespace", [None, 7, b"prod", "x" * 201, "airflow", " prefect ", "cli"])
def test_what_cannot_be_a_namespace_is_refused(namespace: Any) -> None:
    with pytest.raises(OctaConfigError, match="namespace"):
        checked_namespace(namespace)


def test_what_earlier_releases_called_the_same_work_is_known() -> None:
    assert earlier_forms("prod/airflow/dag", "prod") == ("airflow/dag",)
    long = rental_key("airflow", "ы" * 60)
    (cut,) = earlier_forms(f"prod/{long}", "prod")
    assert len(cut) == 240
    assert cut.startswith(long[:207] + "~")


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
