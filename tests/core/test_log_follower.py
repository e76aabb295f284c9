"""New lines out of a text that comes whole every time."""

from __future__ import annotations

import itertools
import json
import logging
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.errors import OctaConfigError
from octa_provider.logs.cursor import TAIL_BYTES, LogCursor
from octa_provider.logs.drawn_line import MAX_LINE_BYTES
from octa_provider.logs.log_stream import SpooledText
from octa_provider.logs.new_lines import BLOCK_BYTES, LogFollower
from octa_provider.logs.overlap import SEARCH_BYTES


def fed(follower: LogFollower, text: str | bytes) -> list[str]:
    return list(follower.feed(SpooledText.of(text)))


def handed_over(follower: LogFollower) -> LogFollower:
    """The same follower in another process."""
    return LogFollower(LogCursor.from_dict(json.loads(json.dumps(follower.cursor.to_dict()))))


def numbered(start: int, stop: int) -> str:
    return "".join(f"line number {i}\n" for i in range(start, stop))


def test_each_line_comes_once_when_it_is_complete() -> None:
    follower = LogFollower()
    assert fed(follower, "one\ntw") == ["one"]
    assert fed(follower, "one\ntw") == []
    assert fed(follower, "one\ntwo\n\nthr") == ["two", ""]
    assert list(follower.finish()) == ["thr"]
    assert list(follower.finish()) == []


def test_a_line_that_grows_after_the_end_comes_only_with_what_is_new_to_it() -> None:
    follower = LogFollower()
    fed(follower, "one\ntw")
    list(follower.finish())
    assert fed(follower, "one\ntwo\nthree\n") == ["o", "three"]


def test_an_empty_text_says_nothing() -> None:
    follower = LogFollower()
    assert fed(follower, "") == []
    fed(follower, "one\n")
    assert fed(follower, "") == []
    assert fed(follower, "one\ntwo\n") == ["two"]


def test_a_text_cut_at_the_front_gives_only_what_is_new() -> None:
    follower = LogFollower()
    assert len(fed(follower, numbered(0, 2000))) == 2000
    assert fed(follower, numbered(500, 2100)) == [f"line number {i}" for i in range(2000, 2100)]
    # Less than what is remembered is left of it.
    assert fed(follower, numbered(2095, 2103)) == ["line number 2100", "line number 2101", "line number 2102"]
    assert follower.cursor.gaps == 0


def test_a_text_cut_inside_a_line_gives_only_what_is_new() -> None:
    follower = LogFollower()
    fed(follower, numbered(0, 10))
    assert fed(follower, numbered(0, 12)[len(numbered(0, 8)) + 5 :]) == ["line number 10", "line number 11"]


def test_a_text_cut_inside_the_line_that_is_held_gives_what_is_left_of_it() -> None:
    follower = LogFollower()
    fed(follower, "one\n" + "x" * 30)
    assert fed(follower, "x" * 20 + "y\nnext\n") == ["x" * 20 + "y", "next"]


def test_a_replaced_text_is_new_and_the_held_line_is_not_lost(caplog: pytest.LogCaptureFixture) -> None:
    follower = LogFollower()
    fed(follower, numbered(0, 600) + "unfini")
    with caplog.at_level(logging.WARNING):
        assert fed(follower, "fresh start\nsecond\n") == ["unfini", "fresh start", "second"]
    assert "lines may be missing" in caplog.text
    assert follower.cursor.gaps == 1
    assert fed(follower, "fresh start\nsecond\nthird\n") == ["third"]


def test_a_held_line_survives_another_process_and_a_replaced_text() -> None:
    follower = LogFollower()
    fed(follower, "one\nunfini")
    assert fed(handed_over(follower), "fresh\n") == ["unfini", "fresh"]
    assert list(handed_over(follower).finish()) == ["unfini"]


def test_a_replaced_text_that_holds_the_old_one_later_is_new() -> None:
    follower = LogFollower()
    fed(follower, "a\n")
    assert fed(follower, "b\na\nc\n") == ["b", "a", "c"]


def test_an_older_answer_gives_nothing_twice() -> None:
    follower = LogFollower()
    fed(follower, numbered(0, 1000))
    assert fed(follower, numbered(0, 900)) == []
    assert fed(handed_over(follower), numbered(0, 950)) == []
    assert fed(follower, numbered(0, 1001)) == ["line number 1000"]
    assert follower.cursor.stale == 0


def test_a_shorter_text_that_stays_is_a_new_one() -> None:
    follower = LogFollower()
    fed(follower, numbered(0, 1000))
    assert [len(fed(follower, numbered(0, n))) for n in (3, 4, 5, 6)] == [0, 0, 5, 1]


def test_repeated_lines_may_be_missing_and_never_come_twice() -> None:
    follower = LogFollower()
    assert len(fed(follower, "tick\n" * 5000)) == 5000
    assert len(fed(follower, "tick\n" * 5003)) == 3
    # Cut by 100 lines with 50 more: the same as 50 fewer, for anybody who remembers 4 KB.
    assert fed(follower, "tick\n" * 4953) == []


def test_stopping_in_the_middle_loses_nothing() -> None:
    follower = LogFollower()
    text = numbered(0, 100) + "unfinished"
    taken = list(itertools.islice(follower.feed(SpooledText.of(text)), 40))
    assert follower.cursor == LogCursor(
        len(numbered(0, 40)), numbered(0, 40).encode(), 0, numbered(0, 40).encode()[:256]
    )
    rest = fed(handed_over(follower), text)
    assert taken + rest == [f"line number {i}" for i in range(100)]
    assert taken + fed(follower, text) == taken + rest
    assert list(follower.finish()) == ["unfinished"]


def test_a_long_line_is_cut_with_a_mark() -> None:
    follower = LogFollower()
    line = "x" * (MAX_LINE_BYTES + 5)
    assert fed(follower, line) == []
    assert fed(follower, line + "\nnext\n") == ["x" * MAX_LINE_BYTES + " [cut: 5 more bytes in this line]", "next"]
    assert fed(follower, line + "\nnext\n" + "y" * (BLOCK_BYTES * 2)) == []
    (last,) = follower.finish()
    assert len(last) < MAX_LINE_BYTES + 100
    assert last.endswith(f"[cut: {BLOCK_BYTES * 2 - MAX_LINE_BYTES} more bytes in this line]")


@pytest.mark.parametrize("step", [10_000, 100_000, 10_000_000])
def test_of_a_long_progress_bar_the_last_state_stays(step: int) -> None:
    bar = "".join(f"\r{i:6}/20000 frames" for i in range(20001)) + "\r\n"
    follower = LogFollower()
    lines = [line for end in range(step, len(bar) + step, step) for line in fed(follower, bar[:end])]
    assert len(lines) == 1
    assert lines[0].rstrip("\r").rsplit("\r")[-1] == " 20000/20000 frames"
    assert "cut" not in lines[0]


def test_a_progress_bar_after_a_long_beginning_is_kept_too() -> None:
    text = "x" * BLOCK_BYTES + "\r" + "done\n"
    assert fed(LogFollower(), text) == ["done"]
    # The carriage return is in one block and what overflows in the next one.
    head = "n" * (BLOCK_BYTES - MAX_LINE_BYTES) + "\na\r" + "b" * (MAX_LINE_BYTES - 3)
    assert len(head) == BLOCK_BYTES
    assert fed(LogFollower(), head + "c" * 90 + "\n")[1] == (
        "b" * (MAX_LINE_BYTES - 3) + "c" * 3 + " [cut: 87 more bytes in this line]"
    )


def test_the_overlap_is_found_in_a_big_text_quickly() -> None:
    old = b"".join(b"%d\n" % i for i in range(1_000_000))
    new = old[SEARCH_BYTES:] + b"more\n"
    follower = LogFollower(LogCursor(len(old), old[-TAIL_BYTES:], 0, old[:256]))
    start = time.process_time()
    assert fed(follower, new) == ["more"]
    # The last 4 KB of a text of one byte, against a text with nearly the same byte run everywhere: not quadratic.
    nasty = LogFollower(LogCursor(30_000_000, b"b" + b"a" * (TAIL_BYTES - 1), TAIL_BYTES - 1, b"b" + b"a" * 255))
    assert fed(nasty, b"a" * 8_000_000) == []
    assert time.process_time() - start < 60


def test_what_is_not_a_cursor_is_refused() -> None:
    for state in (
        {"seen": "x"},
        {"seen": 5, "tail": "", "held": 0, "head": ""},
        {"seen": 0, "tail": "!", "held": 0, "head": ""},
        {"seen": 0, "tail": "", "held": 2, "head": ""},
        {"seen": None},
    ):
        with pytest.raises(OctaConfigError, match="log cursor"):
            LogCursor.from_dict(state)
    assert LogCursor.from_dict({}) == LogCursor()


def test_a_cursor_stays_small() -> None:
    follower = LogFollower()
    fed(follower, "é" * 1_000_000)
    assert len(json.dumps(follower.cursor.to_dict())) < 6200


class GrowingLog:
    """A log of lines that all differ, and the truth about what a follower should have given."""

    def __init__(self, width: int) -> None:
        self.text = ""
        self.truth: list[str] = []
        self.followed = 0
        self._width = width
        self._count = itertools.count()
        self._coming = ""

    def grow(self, lines: int, part: int) -> None:
        """Whole lines, and `part` percent of one more."""
        for _ in range(lines):
            self._coming = self._coming or self._line()
            self.text += self._rest_of_line() + "\n"
            self.truth.append(self._coming)
            self._coming = ""
        if part:
            self._coming = self._coming or self._line()
            rest = self._rest_of_line()
            self.text += rest[: len(rest) * part // 100]

    def cut(self, share: int, inside: int) -> None:
        """Drop what was followed, but for its last line at least; `inside` characters short of a line's start."""
        ends = [i + 1 for i, c in enumerate(self.text[: self.followed]) if c == "\n"][:-1]
        if ends:
            at = max(0, ends[(len(ends) - 1) * share // 100] - inside)
            self.text = self.text[at:]
            self.followed -= at

    def replace(self, lines: int) -> None:
        """Another text; the unfinished line ends where it was seen."""
        held = self.text[: self.followed].rpartition("\n")[2]
        if self._coming and held:
            self.truth.append(held)
        self.text, self.followed, self._coming = "", 0, ""
        self.grow(lines, 0)

    def _line(self) -> str:
        return f"{next(self._count)}." + "é" * self._width + "."

    def _rest_of_line(self) -> str:
        return self._coming[len(self.text.rpartition("\n")[2]) :]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["grow", "cut", "replace", "hand over", "old answer"]),
        st.integers(0, 60),
        st.integers(0, 99),
        st.integers(0, 3),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.sampled_from([3, 40, 400]))
def test_lines_that_differ_come_once_and_in_order_whatever_happens(
    steps: list[tuple[str, int, int, int]], width: int
) -> None:
    source = GrowingLog(width)
    follower = LogFollower()
    got: list[str] = []
    for what, lines, share, inside in steps:
        if what == "replace":
            # All that was printed has been seen: what is replaced unseen is lost, and no follower can help it.
            got += fed(follower, source.text)
            source.followed = len(source.text)
            source.replace(lines + 1)
        elif what == "old answer" and follower.cursor.stale < 2:
            got += fed(follower, source.text[: source.followed * share // 100])
        elif what == "hand over":
            follower = handed_over(follower)
        else:
            if what == "cut":
                source.cut(share, inside)
            source.grow(lines, share)
        got += fed(follower, source.text)
        source.followed = len(source.text)
    got += list(follower.finish())
    unfinished = source.text.rpartition("\n")[2]
    assert got == source.truth + ([unfinished] if unfinished else [])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=30), st.text(st.sampled_from("ab\n\r é"), max_size=400), st.booleans())
def test_a_text_that_grows_byte_by_byte_gives_its_lines(steps: list[int], text: str, hand_over: bool) -> None:
    data = text.encode()
    follower = LogFollower()
    got: list[str] = []
    for end in itertools.accumulate(steps):
        got += fed(follower, data[:end])
        if hand_over:
            follower = handed_over(follower)
    got += fed(follower, data)
    got += list(follower.finish())
    lines = text.split("\n")
    assert got == (lines if lines[-1] else lines[:-1])


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.sampled_from("abc\n"), max_size=60), st.integers(0, 60), st.text(st.sampled_from("abc\n"), max_size=40)
)
def test_with_lines_that_repeat_nothing_comes_twice_after_a_cut(old: str, cut: int, grown: str) -> None:
    """Whatever is ambiguous, no more comes than was printed since."""
    follower = LogFollower()
    old += "\n"
    fed(follower, old)
    kept = old[cut:]
    if "\n" in kept[:-1] and (cut == 0 or old[cut - 1] == "\n"):
        got = fed(follower, kept + grown + "\n")
        assert len(got) <= (grown + "\n").count("\n")
