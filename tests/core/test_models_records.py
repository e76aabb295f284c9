"""A list of records: a bad one never costs the rest."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octa_provider.errors import OctaDecodeError
from octa_provider.models import Machine, Records, Session, decode_list


def test_an_odd_record_is_kept_raw_and_the_rest_is_read() -> None:
    found = decode_list(Session, [{"uuid": "a"}, {"no": "uuid"}, None, {"uuid": "b"}], "GET /sessions")
    assert [session.uuid for session in found] == ["a", "b"]
    assert found.odd == ({"no": "uuid"}, None)


def test_odd_records_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "octa_provider"):
        for _ in range(3):
            decode_list(Session, [{"uuid": "a"}, {"user_envs": {"TOKEN": "s3cret"}}, 5], "GET /sessions/said-once")
        decode_list(Machine, [5], "GET /services/said-once")
    assert [record.getMessage() for record in caplog.records] == [
        "GET /sessions/said-once: 2 of 3 records could not be read and are kept as received in .odd (said once). "
        "The first: session: no uuid, so it cannot be told from others. Look at .body.",
        "GET /services/said-once: 1 of 1 records could not be read and are kept as received in .odd (said once). "
        "The first: machine: the API answered int where an object belongs. "
        "Look at .body; a newer octa-provider may know this form.",
    ]


def test_good_records_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    decode_list(Session, [{"uuid": "a"}], "GET /sessions")
    assert caplog.records == []


@pytest.mark.parametrize("payload", [None, {"data": [{"uuid": "a"}]}, "[]", 5])
def test_what_is_no_list_is_an_error(payload: object) -> None:
    with pytest.raises(OctaDecodeError, match="GET /sessions: the API answered") as caught:
        decode_list(Session, payload, "GET /sessions")
    assert caught.value.what == "GET /sessions"


def test_records_behave_like_a_list() -> None:
    found = decode_list(Session, [{"uuid": "a"}, {"uuid": "b"}, 1], "GET /sessions")
    first, second = found
    assert len(found) == 2
    assert (found[0], found[-1]) == (first, second)
    assert found[:1] == (first,)
    assert first in found
    assert found.index(second) == 1
    assert list(reversed(found)) == [second, first]
    assert bool(Records()) is False
    assert found == Records([first, second], [1])
    assert found != Records([first, second])
    assert found != [first, second]
    assert repr(Records(["x"], [{"secret": 1}])) == "Records(['x'], odd=1)"


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["uuid", "node_id", "gpus", "ports_matrix", "x"]), inner, max_size=4)
            ),
            max_leaves=6,
        ),
        max_size=8,
    )
)
def test_no_list_ever_raises_and_no_record_is_lost(payload: list[Any]) -> None:
    for model in (Session, Machine):
        found: Records[Any] = decode_list(model, payload, "GET /anything")
        assert len(found) + len(found.odd) == len(payload)
