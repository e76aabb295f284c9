"""Amounts of money: exact integers of wei, and how they are shown."""

from __future__ import annotations

__all__ = ["WEI_PER_OCTA", "octa_text"]

WEI_PER_OCTA = 10**18


def octa_text(wei: int, digits: int = 4) -> str:
    """An amount in OCTA, for display.

    Args:
        wei: the amount.
        digits: after the point.
    """
    return f"{wei / WEI_PER_OCTA:.{digits}f} OCTA"
