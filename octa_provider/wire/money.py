"""Amounts of money: exact integers of wei, and how they are shown."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["WEI_PER_OCTA", "cost_text", "octa_text", "price_text", "usd_of", "usd_text", "wei_of_octa"]

WEI_PER_OCTA = 10**18


def usd_of(wei: int, market_price: float) -> float:
    """An amount in USD, for display.

    Args:
        wei: the amount.
        market_price: USD for one OCTA.
    """
    return wei / WEI_PER_OCTA * market_price


def octa_text(wei: int, digits: int = 4) -> str:
    """An amount in OCTA, for display: `1.2500 OCTA`.

    Args:
        wei: the amount.
        digits: after the point.
    """
    return f"{wei / WEI_PER_OCTA:.{digits}f} OCTA"


def usd_text(usd: float, digits: int = 4) -> str:
    """An amount in USD, for display: `0.4200 USD`.

    Args:
        usd: the amount.
        digits: after the point.
    """
    return f"{usd:.{digits}f} USD"


def cost_text(wei: int | str | None, usd: float | None, *, octa_digits: int = 4, unknown: str = "-") -> str:
    """What something cost, for display: `0.0123 OCTA (0.0045 USD)`, or without the USD where nothing tells them.

    Args:
        wei: the cost; also as the text that it travels as.
        usd: the same in USD; None when the price of an OCTA is not known.
        octa_digits: digits of the OCTA after the point.
        unknown: the text for a cost that nobody tells.
    """
    if wei is None:
        return unknown
    octa = octa_text(int(wei), octa_digits)
    return octa if usd is None else f"{octa} ({usd_text(usd)})"


def price_text(usd_per_hour: float, digits: int | None = None) -> str:
    """A price, for display: `0.42 USD/h`.

    Args:
        usd_per_hour: the price, in USD per hour.
        digits: after the point; None for four significant ones, and no zeros at the end.
    """
    return f"{usd_per_hour:.4g} USD/h" if digits is None else f"{usd_text(usd_per_hour, digits)}/h"


def wei_of_octa(octa: str | float) -> int:
    """An amount of OCTA in wei, as exactly as it was written; a part of a wei is cut off.

    Args:
        octa: the amount, as a number or its text.

    Raises:
        decimal.InvalidOperation: a text that is no number.
        OverflowError, ValueError: it is infinite, or not a number.
    """
    return int(Decimal(str(octa)) * WEI_PER_OCTA)
