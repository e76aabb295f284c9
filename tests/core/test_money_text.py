"""Amounts as they are shown: the same words on the command line, in Airflow and in Prefect."""

from __future__ import annotations

import pytest

from octa_provider.wire.money import cost_text, octa_text, price_text, usd_of, usd_text


def test_an_amount_has_the_digits_that_its_reader_needs() -> None:
    assert octa_text(1_250_000_000_000_000_000) == "1.2500 OCTA"
    assert octa_text(12 * 10**21, 2) == "12000.00 OCTA"
    assert usd_text(0.42) == "0.4200 USD"
    assert usd_text(0.000123, 6) == "0.000123 USD"


def test_a_cost_is_told_in_both_currencies_as_far_as_they_are_known() -> None:
    assert cost_text(12_300_000_000_000_000, 0.0045) == "0.0123 OCTA (0.0045 USD)"
    assert cost_text(12_300_000_000_000_000, None) == "0.0123 OCTA"
    assert cost_text(12_300_000_000_000_000, 0.0045, octa_digits=6) == "0.012300 OCTA (0.0045 USD)"
    assert cost_text(None, None) == "-"
    assert cost_text(None, None, unknown="unknown") == "unknown"


def test_wei_that_travelled_as_text_cost_the_same() -> None:
    assert cost_text(str(2**70), 1.0) == cost_text(2**70, 1.0)


@pytest.mark.parametrize(
    ("usd_per_hour", "told"),
    [(0.42, "0.42 USD/h"), (0.123456, "0.1235 USD/h"), (12.0, "12 USD/h"), (0.00042, "0.00042 USD/h")],
)
def test_a_price_has_four_digits_that_tell_something(usd_per_hour: float, told: str) -> None:
    assert price_text(usd_per_hour) == told


def test_where_prices_stand_beside_each_other_they_have_the_same_digits() -> None:
    assert price_text(0.5, 2) == "0.50 USD/h"
    assert price_text(0.42, 4) == "0.4200 USD/h"


def test_usd_go_by_the_market_price() -> None:
    assert usd_of(2 * 10**18, 0.0213) == pytest.approx(0.0426)
