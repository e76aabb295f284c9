"""Amounts, lengths of time and counts, as a person reads them."""

from __future__ import annotations

__all__ = ["counted", "shown_duration", "shown_usd"]


def shown_usd(usd: float) -> str:
    """An amount in USD without its unit, to the cent; small ones to a hundredth of it."""
    return f"{usd:.2f}" if usd >= 0.1 or usd == 0 else f"{usd:.4f}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 session`, `3 sessions`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def shown_duration(length_s: float | None) -> str:
    """A length of time in its two biggest units: `45s`, `12m 5s`, `3h 20m`, `2d 4h`; `-` when unknown."""
    if length_s is None:
        return "-"
    left = max(0, round(length_s))
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part) or "0s"
