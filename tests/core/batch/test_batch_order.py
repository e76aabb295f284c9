"""Every order renders each frame once, and a spread one shows the whole film early."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octa_provider import OctaConfigError
from octa_provider.batch.order import ORDERS, in_order


@given(st.sets(st.integers(-1000, 100_000), min_size=1, max_size=400), st.sampled_from(ORDERS))
def test_each_frame_has_one_place(numbers: set[int], order: str) -> None:
    ordered, first_pass = in_order(sorted(numbers), order)
    assert sorted(ordered) == sorted(numbers)
    assert 0 <= first_pass <= 48
    assert list(ordered[:first_pass]) == sorted(ordered[:first_pass])
    if order != "spread":
        assert first_pass == 0


def test_orders_are_what_they_are_called() -> None:
    assert in_order(range(1, 5), "forward") == ((1, 2, 3, 4), 0)
    assert in_order(range(1, 5), "backward") == ((4, 3, 2, 1), 0)
    assert in_order(range(1, 5), "spread") == ((1, 2, 3, 4), 0)
    with pytest.raises(OctaConfigError, match="order must be one of forward, backward, spread, not 'sideways'"):
        in_order(range(1, 5), "sideways")


@pytest.mark.parametrize("frames", [97, 240, 1000, 1_000_000])
def test_a_first_pass_leaves_no_large_gap(frames: int) -> None:
    ordered, first_pass = in_order(range(frames), "spread")
    assert 24 < first_pass <= 48
    gaps = {later - earlier for earlier, later in itertools.pairwise([*ordered[:first_pass], frames])}
    assert max(gaps) <= -(-frames // 48)
    assert list(ordered[first_pass:]) == sorted(ordered[first_pass:])
