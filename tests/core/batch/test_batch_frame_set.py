"""A set of frames behaves as Python's own set does, in ranges."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from octa_provider.batch.frame_set import FrameSet

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


def plain(ranges: list[tuple[int, int]]) -> set[int]:
    return {place for first, stop in ranges for place in range(first, stop)}


def assert_same(frames: FrameSet, expected: set[int]) -> None:
    assert list(frames) == sorted(expected)
    assert len(frames) == len(expected)
    ranges = frames.ranges()
    assert all(first < stop for first, stop in ranges)
    assert all(low[1] < high[0] for low, high in itertools.pairwise(ranges)), "two ranges touch"


@given(RANGES, RANGES, st.integers(0, 60))
def test_adding_and_taking_out_is_what_a_set_does(
    added: list[tuple[int, int]], removed: list[tuple[int, int]], one: int
) -> None:
    frames = FrameSet(added)
    assert_same(frames, plain(added))
    assert (one in frames) == (one in plain(added))
    twin = frames.copy()
    twin.remove(FrameSet(removed))
    assert_same(twin, plain(added) - plain(removed))
    assert twin.discard(one) == (one in plain(added) - plain(removed))
    assert_same(twin, plain(added) - plain(removed) - {one})
    twin.add(one)
    twin.update(FrameSet(removed))
    assert_same(twin, (plain(added) - plain(removed)) | {one} | plain(removed))
    assert_same(frames, plain(added))


@given(RANGES, st.integers(-3, 70))
def test_taking_the_first_or_last_parts_a_set(ranges: list[tuple[int, int]], count: int) -> None:
    everything = sorted(plain(ranges))
    kept = max(0, count)
    first = FrameSet(ranges)
    assert_same(first.take_first(count), set(everything[:kept]))
    assert_same(first, set(everything[kept:]))
    last = FrameSet(ranges)
    split = max(0, len(everything) - kept)
    assert_same(last.take_last(count), set(everything[split:]))
    assert_same(last, set(everything[:split]))


def test_a_million_frames_in_one_range_are_one_pair() -> None:
    assert FrameSet([(0, 1_000_000)]).ranges() == [(0, 1_000_000)]
    assert "three" not in FrameSet([(0, 5)])
    assert FrameSet([(0, 5)]) == FrameSet([(0, 2), (2, 5)])
    assert FrameSet() != ()
    assert repr(FrameSet([(1, 3)])) == "FrameSet([(1, 3)])"


@given(RANGES, st.integers(0, 60))
def test_those_below_a_place_are_counted(ranges: list[tuple[int, int]], place: int) -> None:
    assert FrameSet(ranges).count_below(place) == sum(one < place for one in plain(ranges))


@given(RANGES, st.integers(0, 60), st.integers(0, 60))
def test_those_from_a_place_on_are_taken_and_then_the_lowest(
    ranges: list[tuple[int, int]], place: int, count: int
) -> None:
    frames, expected = FrameSet(ranges), sorted(plain(ranges), key=lambda one: (one < place, one))
    assert_same(frames.take_from(place, count), set(expected[:count]))
    assert_same(frames, set(expected[count:]))
