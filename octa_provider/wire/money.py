"""Amounts of money: exact integers of wei, and how they are shown."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["WEI_PER_OCTA", "octa_text", "wei_of_octa"]

WEI_PER_OCTA = 10**18


def octa_text(wei: int, digits: int = 4) -> str:
    """An amount in OCTA, for display.

    Args:
        wei: the amount.
        digits: after the point.
    """
    return f"{wei / WEI_PER_OCTA:.{digits}f} OCTA"


def wei_of_octa(octa: str | float) -> int:
    """An amount of OCTA in wei, as exactly as it was written; a part of a wei is cut off.

    Args:
        octa: the amount, as a number or its text.

    Raises:
        decimal.InvalidOperation: a text that is no number.
        OverflowError, ValueError: it is infinite, or not a number.
    """
    return int(Decimal(str(octa)) * WEI_PER_OCTA)
