"""Frames as arguments: each once, in order, and never longer than the system takes."""

from __future__ import annotations

import subprocess

from hypothesis import given
from hypothesis import strategies as st

from octa_provider.batch.renderers.frame_words import MOST_ARGUMENT_BYTES, frame_arguments, own_first, own_in_a_row


def read(arguments: list[str]) -> list[int]:
    frames: list[int] = []
    for word in ",".join(arguments).split(","):
        first, _, last = word.partition("..")
        frames += range(int(first), int(last or first) + 1)
    return frames


def test_runs_are_short_and_the_order_stays() -> None:
    assert frame_arguments([1, 2, 3, 5, 7, 8]) == ["1..3,5,7..8"]
    assert frame_arguments([3, 2, 1]) == ["3,2,1"]
    assert frame_arguments([1, 2, 3, 9], "-") == ["1-3,9"]
    assert frame_arguments([]) == []


def test_a_million_frames_are_arguments_that_the_system_takes() -> None:
    frames = list(range(0, 1_000_000, 2))
    arguments = frame_arguments(frames)
    assert read(arguments) == frames
    assert max(map(len, arguments)) <= MOST_ARGUMENT_BYTES
    assert subprocess.run(["true", *arguments[:5]], check=False).returncode == 0


@given(st.lists(st.integers(0, 60), unique=True), st.integers(1, 5))
def test_each_process_has_every_frame_once_and_begins_with_its_own(frames: list[int], turns: int) -> None:
    orders = [own_first(frames, turn, turns) for turn in range(turns)]
    assert all(sorted(order) == sorted(frames) for order in orders)
    own = [order[: len(frames[turn::turns])] for turn, order in enumerate(orders)]
    assert sorted(frame for part in own for frame in part) == sorted(frames)
    pieces = [own_in_a_row(frames, turn, turns) for turn in range(turns)]
    assert [frame for piece in pieces for frame in piece] == frames
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1
