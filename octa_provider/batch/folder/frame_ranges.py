"""Frame numbers as ranges: a million of them in a few bytes, read and written without a set of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["numbers_of", "ranges_of", "ranges_text"]


def ranges_of(numbers: Iterable[int]) -> Iterator[tuple[int, int, int]]:
    """Ascending numbers as ranges: first, last, step.

    Args:
        numbers: ascending, each once.
    """
    first = last = step = None
    for number in numbers:
        if first is None or last is None:
            first = last = number
        elif step is None:
            step, last = number - last, number
        elif number - last == step:
            last = number
        elif step == 1 or last - first > step:
            yield first, last, step
            first, last, step = number, number, None
        else:
            # Two numbers that are apart make no range.
            yield first, first, 1
            first, step, last = last, number - last, number
    if first is None or last is None:
        return
    if step is None or step == 1 or last - first > step:
        yield first, last, step or 1
    else:
        yield first, first, 1
        yield last, last, 1


def numbers_of(ranges: Iterable[Sequence[int]]) -> Iterator[int]:
    """The numbers of ranges, in their order.

    Args:
        ranges: first, last, step of each.
    """
    for first, last, step in ranges:
        yield from range(first, last + 1, step)


def ranges_text(numbers: Iterable[int]) -> str:
    """Ascending numbers as a range that a user can type: `1-10`, `17,90-95`, `1001-1091x10`; empty for none.

    Args:
        numbers: ascending, each once.
    """
    said = []
    for first, last, step in ranges_of(numbers):
        said.append(f"{first}" if first == last else f"{first}-{last}" if step == 1 else f"{first}-{last}x{step}")
    return ",".join(said)
