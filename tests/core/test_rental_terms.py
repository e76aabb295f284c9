"""A rental's terms: what travels between processes comes back as it went, and nonsense is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timezone

import pytest

from octa_provider import JobState, OctaConfigError, Rental
from octa_provider.rental.intents import Intent
from octa_provider.rental.terms import Terms
from tests.core.rental_bench import Bench, bench, emulator

__all__ = ["bench", "emulator"]

WHOLE = Terms(
    "u-1",
    key="prod/a",
    service="mr",
    node_id=7,
    price_usd=0.5,
    price_wei=2**70,
    started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    adopted=True,
    max_cost_usd=2.5,
    max_duration_s=3600,
    max_price_usd=0.6,
    claim="c",
)


def test_terms_come_back_from_json_also_where_wei_travel_as_text() -> None:
    told = json.loads(json.dumps(WHOLE.to_dict()))
    assert told == WHOLE.to_dict()
    assert Terms.from_dict(told) == WHOLE
    assert Terms.from_dict(told | {"price_wei": str(2**70), "novelty": 1}) == WHOLE


@pytest.mark.parametrize("cap", ["max_cost_usd", "max_duration_s", "max_price_usd", "price_usd"])
@pytest.mark.parametrize("value", ["nan", float("nan"), "inf", -1, "much"])
def test_a_cap_that_holds_nothing_is_refused_when_it_is_read(cap: str, value: object) -> None:
    with pytest.raises(OctaConfigError, match="not the state of a rental"):
        Terms.from_dict({"uuid": "u", cap: value})


def test_a_rental_is_its_terms_in_sets_and_shows_no_client(bench: Bench) -> None:
    rental = Rental.of(WHOLE, bench.client)
    assert rental == WHOLE == rental.terms
    assert len({rental, WHOLE}) == 1
    assert "client" not in repr(rental).lower()
    assert bench.client.transport.secret not in repr(rental)


def test_a_stop_is_content_with_what_can_be_read_of_a_damaged_state(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    left = bench.start()
    damaged = left.to_dict() | {"max_cost_usd": "", "started_at": "yesterday", "price_wei": 1.5}
    with pytest.raises(OctaConfigError):
        bench.client.rentals.restore(damaged)
    rental = bench.client.rentals.restore(damaged, to_stop=True)
    assert (rental.uuid, rental.key) == (left.uuid, left.key)
    assert rental.stop().uuid == left.uuid
    assert bench.running() == []
    with pytest.raises(OctaConfigError):
        bench.client.rentals.restore({"key": "k"}, to_stop=True)


def test_what_is_told_of_a_job_or_an_intent_is_plain_json() -> None:
    state = JobState("k", WHOLE, "n", over_ssh=True, timeout_s=1, appear_by=1, ready_by=2, collected=("a", "b"))
    intent = Intent("a", "f", "mr", 7, ("u", "v"), 1.0)
    for told in (state.to_dict(), intent.to_dict()):
        assert json.loads(json.dumps(told)) == told


def test_a_job_that_holds_a_bound_rental_is_told_without_its_client(bench: Bench) -> None:
    state = JobState("k", Rental.of(WHOLE, bench.client), "n", over_ssh=True, timeout_s=1, appear_by=1, ready_by=2)
    assert state.to_dict()["rental"] == WHOLE.to_dict()


@pytest.mark.parametrize("name", ["Rental", "JobState", "JobSpec", "Requirements", "Bill"])
def test_naming_a_value_loads_no_http_library(name: str) -> None:
    script = (
        f"import sys; from octa_provider import {name}; sys.exit(bool({{'requests', 'urllib3'}} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=600).returncode == 0
