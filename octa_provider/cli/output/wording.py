"""How amounts, times and foreign text are shown."""

from __future__ import annotations

from datetime import datetime

from octa_provider.text.plain_text import plain
from octa_provider.wire.money import cost_text, octa_text


def shown_text(value: object) -> str:
    """Text from outside on one line, with whatever could steer a terminal shown as its escape; `-` when empty."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text) or "-"


def shown_lines(text: str) -> str:
    """Text from outside that keeps its lines and tabs, and nothing else that a terminal would obey."""
    return "\n".join(plain(line) for line in text.split("\n"))


def shown_octa(wei: int | None) -> str:
    """An amount in OCTA, rounded for reading; `-` when unknown."""
    return "-" if wei is None else octa_text(wei)


def shown_cost(wei: int | None, usd: float | None) -> str:
    """What something cost, in OCTA and, when the price is known, in USD; `-` when unknown."""
    return cost_text(wei, usd)


def shown_time(moment: datetime | None) -> str:
    """A moment in this machine's time zone; `-` when unknown."""
    return "-" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
