"""What a person approves: a small value, that a step hands to the next."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from octa_provider import BatchQuote, OctaConfigError
from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.plan import Plan, PlanLine, PlannedMachine, Spread
from octa_provider.errors import Refusal

CENT = 10**16


def a_line(name: str = "cheapest", p50: int = 10, p90: int = 12, most: int = 15) -> PlanLine:
    machine = PlannedMachine(MachineEstimate(7, 10**18, 1.0, 1.0, 60.0, 10.0), 24, 0.0)
    return PlanLine(
        name=name,
        machines=(machine,) * 3,
        cost_p50_wei=p50 * CENT,
        cost_p90_wei=p90 * CENT,
        cost_most_wei=most * CENT,
        cost_usd=Spread(p50 / 100, p90 / 100),
        cost_most_usd=most / 100,
        finish_s=Spread(600.0, 750.0),
        startup_share=0.2,
        transfer_share=0.05,
    )


def a_plan(refusals: tuple[Refusal, ...] = ()) -> Plan:
    line = a_line()
    return Plan(24, line, None, a_line("fastest for the budget", 14, 16, 20), line, (), refusals)


def a_quote(**changes: Any) -> BatchQuote:
    plan = a_plan()
    return replace(BatchQuote.of(plan, a_line(), fingerprint="f" * 64, spent_wei=0, now=1.8e9), **changes)


def test_it_says_in_one_sentence_what_would_be_spent() -> None:
    assert a_quote().text == (
        "24 frames on 3 machines (cheapest): 0.10 USD, nine times in ten no more than 0.12 USD, stopped at 0.15 USD; "
        "done in 10m, nine times in ten within 12m 30s"
    )


def test_amounts_are_octa_where_no_machine_tells_its_price_in_usd() -> None:
    line = replace(a_line(), cost_usd=Spread(0.0, 0.0), cost_most_usd=0.0)
    assert "0.1000 OCTA, nine times in ten" in BatchQuote.of(a_plan(), line, fingerprint="", spent_wei=0, now=0.0).text


def test_it_goes_through_json_and_back() -> None:
    quote = a_quote(spent_wei=str(2**80))
    assert BatchQuote.from_dict({**json.loads(json.dumps(quote.to_dict())), "text": "beside it"}) == quote


def test_it_stays_small_whatever_the_market_says() -> None:
    refusals = tuple(Refusal(n, f"reason {n} " + "x" * 5000) for n in range(10_000))
    quote = BatchQuote.of(a_plan(refusals), a_line(), fingerprint="f" * 64, spent_wei=0, now=0.0)
    assert quote.refused == 10_000
    assert len(json.dumps(quote.to_dict()) + quote.markdown() + quote.text) < 50_000


@pytest.mark.parametrize(
    "spoilt",
    [
        {"frames": "many"},
        {"frames": -1},
        {"chosen": None},
        {"spent_wei": "1e9"},
        {"spent_wei": "9" * 5000},
        {"options": [{}]},
        {"fingerprint": 5},
    ],
)
def test_what_is_no_quote_is_refused_in_one_sentence(spoilt: dict[str, Any]) -> None:
    with pytest.raises(OctaConfigError, match="no quote of a batch"):
        BatchQuote.from_dict({**a_quote().to_dict(), **spoilt})


def test_what_strangers_call_things_is_only_text_in_its_table() -> None:
    quote = a_quote(unmet=("no <script>alert(1)</script> [x](http://x) | `y`\n# z",))
    told = quote.markdown()
    assert "**cheapest**" in told
    assert "| 0.10 USD | 0.12 USD | 0.15 USD |" in told
    assert "\\<script\\>" in told
    assert "\\[x\\]\\(http" in told
    assert "\n# z" not in told


def test_it_says_nothing_of_another_scene_or_of_more_frames() -> None:
    quote = a_quote()
    assert quote.breach(frames=24, fingerprint="f" * 64) == ""
    assert quote.breach(frames=3, fingerprint="f" * 64) == ""
    assert "changed since it was quoted" in quote.breach(frames=24, fingerprint="0" * 64)
    assert "24 frames were quoted, 25 are" in quote.breach(frames=25, fingerprint="f" * 64)


def test_what_it_leaves_is_what_was_not_spent_since() -> None:
    quote = a_quote(spent_wei=str(5 * CENT))
    assert quote.left_wei(5 * CENT) == 15 * CENT
    assert quote.left_wei(9 * CENT) == 11 * CENT
    assert quote.left_wei(90 * CENT) == 0


def test_a_dearer_market_breaks_it_and_a_batch_that_was_begun_is_ended_as_long_as_it_likely_can() -> None:
    quote = a_quote()
    assert quote.breach_of_price(a_line(p50=12, p90=15), 0) == ""
    assert "said 0.15 USD at most, today's market asks for 0.16 USD" in quote.breach_of_price(a_line(p50=12, p90=16), 0)
    assert quote.breach_of_price(a_line(p50=12, p90=16), 2 * CENT) == ""
    assert "quote it again" in quote.breach_of_price(a_line(p50=14, p90=16), 2 * CENT)
