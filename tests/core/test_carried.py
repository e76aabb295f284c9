"""What leaves for an orchestrator is nothing that JSON, msgpack, UTF-8 or a database can't carry."""

from __future__ import annotations

import json
import math
import os
import pickle
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octa_provider import JobState
from octa_provider.errors import OctaError, OctaSessionFailedError, OctaSshError
from octa_provider.http.api_error import api_error
from octa_provider.job.result import JobOutcome
from octa_provider.models import Machine, Session
from octa_provider.rental.rental import Rental
from octa_provider.text.carried import carried, carried_dict, sound

ODD_TEXT = st.text(st.characters(categories=None), max_size=40)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ODD_TEXT | st.binary(max_size=9)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT | st.integers(), inner, max_size=4)
)


def check_carried(value: object) -> None:
    """The three formats take it, and give back the same."""
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value)) == value
    assert b"\\u0000" not in msgspec.json.encode(value)


@given(ANYTHING)
def test_whatever_goes_in_what_comes_out_can_be_carried(value: object) -> None:
    check_carried(carried(value))
    assert carried(carried(value)) == carried(value)


@given(st.dictionaries(st.sampled_from(["uuid", "charge_wei", "price_wei", "duration_s"]), ANYTHING))
def test_so_it_is_with_wei_which_become_text(values: dict[str, Any]) -> None:
    told = carried_dict(values)
    check_carried(told)
    assert all(
        told[name] == str(value)
        for name, value in values.items()
        if name.endswith("_wei") and type(value) is int and abs(value) < 2**256
    )


def test_what_can_be_carried_stays_as_it_is() -> None:
    value = {"a": [1, -(2**63), 2**63 - 1, 0.5, True, None, "é漢🎬\t\n"], "b": {}}
    assert carried(value) == value


def test_what_can_not_becomes_the_nearest_thing() -> None:
    assert carried({"n": 2**70, "x": math.nan, "t": (1, {2}), 3: JobOutcome.LOST, "p": Path("a/b")}) == {
        "n": str(2**70),
        "x": None,
        "t": [1, [2]],
        "3": "lost",
        "p": "a/b",
    }
    assert carried(10**5000) == "(a number of 16610 bits)"
    assert carried(datetime(2026, 1, 1, tzinfo=timezone.utc)) == "2026-01-01T00:00:00+00:00"
    assert sound("a\ud83db\0c") == "a\ufffdb\ufffdc"


def test_a_value_without_an_end_has_one() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "nested too deep" in json.dumps(carried(endless))


@pytest.mark.parametrize("body", [rb'{"message":"key \ud83d"}', rb'{"detail":"\udfff","code":"\ud800"}', b"\xff\xfe"])
def test_half_a_surrogate_pair_in_an_error_of_the_api_reaches_no_message(body: bytes) -> None:
    error = api_error(403, method="GET", url="http://h/x", body=body.decode("latin-1"), request_id="\ud800")
    check_carried([str(error), error.body, error.code, error.request_id, *map(str, error.args)])
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(ODD_TEXT, ODD_TEXT)
def test_no_error_of_ours_holds_what_can_not_be_carried(message: str, more: str) -> None:
    error = OctaSessionFailedError(message, uuid="u", system_log_tail=more)
    error.also(more)
    check_carried([str(error), error.message, error.system_log_tail])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.message) == (str(error), error.message)


@pytest.mark.parametrize("told", [2**70, -(2**70), str(2**70), 1e30, 2**63])
def test_a_number_of_more_than_64_bits_is_no_duration_node_or_count(told: object) -> None:
    session = Session.from_payload({"uuid": "u", "duration": told, "node_id": told, "tx": told, "rx": told})
    assert (session.duration_s, session.node_id, session.tx_bytes, session.rx_bytes) == (None, None, None, None)
    assert Machine.from_payload({"node_id": 1, "total_memory": told}).memory_bytes is None


def test_money_stays_exact_beyond_64_bits() -> None:
    assert Session.from_payload({"uuid": "u", "charge_amount": 2**70}).charge_wei == 2**70
    state = carried_dict(Rental("u", price_wei=2**70).to_dict())
    assert state["price_wei"] == str(2**70)


def test_the_state_of_a_job_on_a_strangers_machine_can_be_carried() -> None:
    state = JobState(
        key="k",
        rental=Rental("u\ud800"),
        nonce="n",
        over_ssh=True,
        timeout_s=1.0,
        appear_by=1.0,
        ready_by=2.0,
    )
    state = state.ending(JobOutcome.LOST, str(OctaSshError("can't fetch \udce9\0.png")))
    state = state.having(collected=(os.fsdecode(b"out/caf\xe9.png"),))
    check_carried(carried_dict(state.to_dict()))


def test_a_message_of_any_length_is_kept_short_at_both_ends() -> None:
    error = OctaError("begins " + "x" * 10**6 + " ends")
    assert len(str(error)) <= 10_000
    assert str(error).startswith("begins x")
    assert str(error).endswith("x ends")
