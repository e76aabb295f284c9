"""Frame ranges and chunks: every frame in exactly one chunk, none past the end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octa_provider.errors import OctaConfigError
from octa_provider.render.frames import Frames, chunks, parse

FRAMES = st.sets(st.integers(-3_000, 3_000), min_size=1, max_size=200).map(lambda s: Frames(tuple(sorted(s))))
RANGES = st.tuples(st.integers(-500, 500), st.integers(0, 500), st.integers(1, 60))


@given(FRAMES, st.integers(1, 300))
def test_cut_into_parts_every_frame_is_in_exactly_one_chunk(frames: Frames, parts: int) -> None:
    cut = chunks(frames, parts=parts)
    assert [number for chunk in cut for number in chunk] == list(frames.numbers)
    lengths = [len(chunk) for chunk in cut]
    assert len(cut) == min(parts, len(frames))
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= 1


@given(FRAMES, st.integers(1, 300))
def test_cut_by_size_every_frame_is_in_exactly_one_chunk(frames: Frames, size: int) -> None:
    cut = chunks(frames, size=size)
    assert [number for chunk in cut for number in chunk] == list(frames.numbers)
    assert all(len(chunk) == size for chunk in cut[:-1])
    assert 1 <= len(cut[-1]) <= size


@given(RANGES, st.integers(1, 40))
def test_no_chunk_of_a_stepped_range_goes_past_its_end(given_range: tuple[int, int, int], parts: int) -> None:
    first, length, step = given_range
    last = first + length
    cut = chunks(f"{first}-{last}x{step}", parts=parts)
    assert [number for chunk in cut for number in chunk] == list(range(first, last + 1, step))
    assert all(first <= chunk.first <= chunk.last <= last for chunk in cut)


@given(FRAMES)
def test_the_compact_form_reads_back_to_the_same_frames(frames: Frames) -> None:
    assert parse(str(frames)) == frames


@given(st.lists(RANGES, min_size=1, max_size=4))
def test_ranges_that_overlap_count_each_frame_once(ranges: list[tuple[int, int, int]]) -> None:
    text = ", ".join(f"{first}-{first + length}x{step}" for first, length, step in ranges)
    expected = {n for first, length, step in ranges for n in range(first, first + length + 1, step)}
    assert parse(text).numbers == tuple(sorted(expected))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("7", (7,)),
        ("1-4", (1, 2, 3, 4)),
        ("1-10x3", (1, 4, 7, 10)),
        ("1-240x239", (1, 240)),
        ("5,1,3-4", (1, 3, 4, 5)),
        ("-3--1", (-3, -2, -1)),
        ("-1-1", (-1, 0, 1)),
        (" 1 , 2 ", (1, 2)),
        ("3-3", (3,)),
        ("0001-0003", (1, 2, 3)),
    ],
)
def test_a_range_is_read(text: str, numbers: tuple[int, ...]) -> None:
    frames = parse(text)
    assert frames.numbers == numbers
    assert (frames.first, frames.last, len(frames), list(frames)) == (numbers[0], numbers[-1], len(numbers), [*numbers])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ",",
        "1,",
        "a",
        "1-",
        "1-10:3",
        "1-10y3",
        "1-10x",
        "1-10x0",
        "10-1",
        "1-10x-2",
        "1.5",
        "1--",
        "1 2",
        "١-٣",
    ],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(OctaConfigError):
        parse(text)


@pytest.mark.parametrize("text", [None, 7, b"1-2", ["1-2"]])
def test_what_is_no_text_is_refused(text: Any) -> None:
    with pytest.raises(OctaConfigError):
        parse(text)


@pytest.mark.parametrize("text", ["1-1000001", "0-999999999", "1-600000,600001-1200000"])
def test_more_than_a_million_frames_are_refused(text: str) -> None:
    with pytest.raises(OctaConfigError, match="1000000"):
        parse(text)


def test_what_fileseq_refuses_is_refused_in_our_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from fileseq.exceptions import ParseException

    def refuse(text: str) -> None:
        raise ParseException("no")

    monkeypatch.setattr("fileseq.frameset.FrameSet", refuse)
    with pytest.raises(OctaConfigError, match="write it like"):
        parse("1-10")


@pytest.mark.parametrize("numbers", [(), (2, 1), (1, 1)])
def test_frames_are_ascending_each_once_and_at_least_one(numbers: tuple[int, ...]) -> None:
    with pytest.raises(OctaConfigError):
        Frames(numbers)


@pytest.mark.parametrize(
    "how", [{}, {"parts": 2, "size": 2}, {"parts": 0}, {"size": 0}, {"size": -1}, {"parts": True}, {"size": 1.5}]
)
def test_chunks_need_exactly_one_sensible_measure(how: dict[str, Any]) -> None:
    with pytest.raises(OctaConfigError):
        chunks("1-10", **how)
