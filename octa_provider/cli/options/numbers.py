"""Numbers as options take them. What is none is told in plain words, never with the name of a Python type."""

from __future__ import annotations

import argparse
import math

MAX_PORT = 65535


def whole_number(text: str) -> int:
    """A whole number; what argparse calls for an option.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def number(text: str) -> float:
    """A number, with or without a point. Raises argparse.ArgumentTypeError when it is none, or is infinite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number: write it like 2 or 0.5")
    return value


def port(text: str) -> int:
    """A port to listen on; 0 is any. Raises argparse.ArgumentTypeError for what is none."""
    value = whole_number(text)
    if not 0 <= value <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: take 1 to {MAX_PORT}, or 0 for a free one")
    return value


def nodes(text: str) -> tuple[int, ...]:
    """The ids of nodes, separated by commas. Raises argparse.ArgumentTypeError for what is no list of ids."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of node ids, such as 12,15") from None
