"""In which order the frames of a batch are rendered: which frame stands at each place that the scheduler counts by."""

from __future__ import annotations

from collections.abc import Sequence

from octa_provider.errors import OctaConfigError

__all__ = ["ORDERS", "in_order"]

ORDERS = ("forward", "backward", "spread")
#: Frames of a first pass over the film: as many as a contact sheet shows.
_FIRST_PASS = 48


def in_order(numbers: Sequence[int], order: str) -> tuple[tuple[int, ...], int]:
    """The frames in the order they are to be rendered.

    Args:
        numbers: the frames, ascending.
        order: `forward`, `backward`, or `spread`: some 48 that are equally far apart, then those between, ascending.

    Returns:
        The frame at each place, and how many of the first ones are far apart (`BatchTerms.first_pass`).

    Raises:
        OctaConfigError: the order is none of these.
    """
    if order not in ORDERS:
        raise OctaConfigError(f"order must be one of {', '.join(ORDERS)}, not {order!r}")
    if order == "backward":
        return tuple(reversed(numbers)), 0
    step = -(-len(numbers) // _FIRST_PASS)
    if order == "forward" or step < 2:
        return tuple(numbers), 0
    first = numbers[::step]
    between = (number for place, number in enumerate(numbers) if place % step)
    return (*first, *between), len(first)
