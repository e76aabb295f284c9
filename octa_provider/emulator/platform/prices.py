"""Prices on the emulated market: from wei to every form in which the API names them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from octa_provider.wire.money import WEI_PER_OCTA

#: USD for one OCTA on the emulated market.
MARKET_PRICE_USD = 0.0213


def usd_to_wei(usd: float) -> int:
    """The price in wei, at the emulated market price."""
    return round(usd / MARKET_PRICE_USD * 10**9) * 10**9


def wei_to_usd(wei: int) -> float:
    """The price in USD, at the emulated market price."""
    return wei / WEI_PER_OCTA * MARKET_PRICE_USD


def raised(wei: int, factor: float) -> int:
    """A price `factor` times as high: a whole number of wei, whatever a float of it would round."""
    return int(wei * Fraction(str(factor)))


def ten_thousandths_usd(wei: int) -> int:
    """The price in 1/10,000 USD, as `base_usd`, `storage_usd` and `traffic_usd` count it."""
    return round(wei_to_usd(wei) * 10_000)


def hourly_prices(wei: int) -> dict[str, Any]:
    """What an hour of a machine costs, in every field of its record that says so."""
    return {
        "total_price_usd": round(wei_to_usd(wei), 4),
        "total_price_wei": wei,
        "total_price_ether": wei / WEI_PER_OCTA,
        **unit_prices("base", wei),
    }


def unit_prices(name: str, wei: int) -> dict[str, Any]:
    """`base`, `storage` or `traffic` as a machine's record names it: wei, ether, 1/10,000 USD."""
    return {name: wei, f"{name}_ether": wei / WEI_PER_OCTA, f"{name}_usd": ten_thousandths_usd(wei)}


def vpn_prices(wei_per_gb: int) -> dict[str, Any]:
    """What a GB costs, as a VPN's record names it."""
    return {
        "traffic_price_usd": round(wei_to_usd(wei_per_gb), 4),
        "traffic_price_ether": wei_per_gb / WEI_PER_OCTA,
    }


#: Every field in which a machine, a VPN or a session names its price.
PRICE_NAMES = (*hourly_prices(0), *vpn_prices(0))


def reprice(record: dict[str, Any], prices: dict[str, Any]) -> None:
    """Put new prices into a record, in the form that each has there; one that is missing or null stays so."""
    for name, value in prices.items():
        if record.get(name) is not None:
            record[name] = str(value) if isinstance(record[name], str) else value
