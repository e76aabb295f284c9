"""What may leave for an orchestrator: text and numbers that JSON, msgpack, UTF-8 and a database can carry.

What a stranger wrote can hold what they can't: half a surrogate pair, a NUL character, a number of seventy digits. One
such value in an event ends Airflow's triggerer, and every task that waits in it; in a state it leaves Prefect's flow
run running for ever.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

__all__ = ["carried", "carried_dict", "sound", "whole_pairs"]

LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**63 - 1
#: What is nested deeper is no value of ours.
MOST_LEVELS = 40
#: Python refuses to write out integers of more digits than that.
_MOST_BITS = 4096


def sound(text: str) -> str:
    """The text with U+FFFD for what UTF-8 or a database can't hold: halves of surrogate pairs, and NUL."""
    if type(text) is str and text.isascii() and "\0" not in text:
        return text
    from octa_provider.text.odd_text import UNSOUND

    return UNSOUND.sub("\ufffd", text)


def whole_pairs(text: str) -> str:
    """The text with U+FFFD for halves of surrogate pairs alone: what UTF-8 can hold."""
    from octa_provider.text.odd_text import SURROGATES

    return SURROGATES.sub("\ufffd", text)


def carried(value: object, _levels: int = MOST_LEVELS) -> Any:
    """A copy of a value, made of dict, list, sound text, integers of 64 bits, finite floats, bools and None alone.

    Args:
        value: anything. An integer of more than 64 bits becomes its digits as text, NaN and the infinities None, what
            is no JSON value its text.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return carried(value.value, _levels)
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, int):
        return int(value) if LEAST_INTEGER <= value <= MOST_INTEGER else _digits(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        if not _levels:
            return "(nested too deep)"
        if isinstance(value, Mapping):
            return {sound(str(key)): carried(part, _levels - 1) for key, part in value.items()}
        return [carried(part, _levels - 1) for part in value]
    return sound(os.fspath(value)) if isinstance(value, os.PathLike) else sound(str(value))


def carried_dict(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a mapping, as `carried` makes it, with every amount of wei as text: they outgrow 64 bits."""
    return {
        name: _digits(value) if name.endswith("_wei") and isinstance(value, int) else carried(value)
        for name, value in values.items()
    }


def _digits(value: int) -> str:
    return str(value) if value.bit_length() <= _MOST_BITS else f"(a number of {value.bit_length()} bits)"
