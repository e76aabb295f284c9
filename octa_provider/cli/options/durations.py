"""Lengths of time as people write them: `90s`, `20m`, `2h`."""

from __future__ import annotations

import argparse
import re

from octa_provider.timing.limits import MAX_WAIT_S

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\d+(\.\d+)?")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def seconds(text: str) -> float:
    """The seconds of `90s`, `20m`, `2h`, `1h30m`, `2d`, or of a bare number; what argparse calls for an option.

    Raises:
        argparse.ArgumentTypeError: it is no duration.
    """
    compact = text.replace(" ", "").lower()
    if _NUMBER.fullmatch(compact):
        return _possible(text, float(compact))
    parts = _PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: write it like 90s, 20m, 2h or 1h30m")
    return _possible(text, sum(float(number) * _UNITS[unit] for number, unit in parts))


def _possible(text: str, length_s: float) -> float:
    if length_s > MAX_WAIT_S:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is more than a year: write it like 90s, 20m, 2h or 1h30m")
    return length_s


def positive_seconds(text: str) -> float:
    """As `seconds`, but above 0."""
    value = seconds(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time at all: write it like 90s, 20m or 2h")
    return value
