"""A line that is drawn anew with carriage returns: its states are progress, and it is one line when it ends."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.logs.cursor import LogCursor
from octa_provider.logs.drawn_line import MAX_LINE_BYTES, MAX_STATE_BYTES
from octa_provider.logs.log_stream import SpooledText
from octa_provider.logs.new_lines import BLOCK_BYTES, LogFollower
from octa_provider.text.plain_text import plain


class Listener:
    """Follows a log and writes down what it is told, lines as `("line", ...)` and states as `("state", ...)`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self._follow(None)

    @property
    def lines(self) -> list[str]:
        return [plain(text) for kind, text in self.told if kind == "line"]

    @property
    def states(self) -> list[str]:
        return [text for kind, text in self.told if kind == "state"]

    def look(self, text: str | bytes) -> list[tuple[str, str]]:
        before = len(self.told)
        for line in self._follower.feed(SpooledText.of(text)):
            self.told.append(("line", line))
        return self.told[before:]

    def finish(self) -> None:
        self.told += [("line", line) for line in self._follower.finish()]

    def hand_over(self) -> None:
        """Another process goes on."""
        self._follow(LogCursor.from_dict(json.loads(json.dumps(self._follower.cursor.to_dict()))))

    def _follow(self, cursor: LogCursor | None) -> None:
        self._follower = LogFollower(cursor, on_unfinished=lambda text: self.told.append(("state", text)))


@pytest.mark.parametrize("hand_over", [False, True])
def test_states_of_a_bar_are_told_as_they_come_and_the_line_once_at_its_end(hand_over: bool) -> None:
    listener, told = Listener(), []
    for text in ("one\n", "\r 10%|#", "\r 20%|##", "\r 30%|###\r 40%|####", "\r100%|#####", "\n", "end\n"):
        listener.look("".join([*told, text]))
        told.append(text)
        if hand_over:
            listener.hand_over()
    assert listener.told == [
        ("line", "one"),
        ("state", " 10%|#"),
        ("state", " 10%|#"),
        ("state", " 20%|##"),
        ("state", " 20%|##"),
        ("state", " 30%|###"),
        ("state", " 40%|####"),
        ("state", " 40%|####"),
        ("state", "100%|#####"),
        ("line", "\r 10%|#\r 20%|##\r 30%|###\r 40%|####\r100%|#####"),
        ("line", "end"),
    ]
    assert listener.lines == ["one", "100%|#####", "end"]


def test_states_that_came_and_went_within_one_look_are_told_too() -> None:
    listener = Listener()
    assert listener.look("\r50%\r100%\n\r50%\r100%\n") == [
        ("state", "50%"),
        ("line", "\r50%\r100%"),
        ("state", "50%"),
        ("line", "\r50%\r100%"),
    ]


def test_a_bar_that_ends_each_state_with_a_carriage_return_is_told_at_once_too() -> None:
    listener = Listener()
    assert listener.look("frame=12\r") == [("state", "frame=12")]
    assert listener.look("frame=12\rframe=120\r") == [("state", "frame=12"), ("state", "frame=120")]


def test_a_number_at_the_end_may_go_on_and_is_left_out() -> None:
    listener = Listener()
    assert listener.look("step 1/1") == [("state", "step 1/")]
    assert listener.look("step 1/10") == [("state", "step 1/")]
    assert listener.look("step 1/100 ") == [("state", "step 1/100 ")]
    assert listener.look("step 1/100 \n") == [("line", "step 1/100 ")]


def test_a_line_that_stays_as_it_is_is_told_once() -> None:
    listener = Listener()
    assert listener.look("\r50%") == [("state", "50%")]
    assert listener.look("\r50%") == []
    listener.hand_over()
    assert listener.look("\r50%") == []


def test_lines_with_the_ends_of_other_systems_have_no_states() -> None:
    listener = Listener()
    listener.look("one\r\ntwo\r\n\r\n\n")
    assert (listener.lines, listener.states) == (["one", "two", "", ""], [])


def test_who_does_not_ask_is_told_no_states() -> None:
    follower = LogFollower()
    assert [plain(line) for line in follower.feed(SpooledText.of("\r50%\r60%\n\r10%"))] == ["60%"]


def test_a_log_that_is_cut_inside_a_bar_goes_on_with_its_states() -> None:
    bar = "".join(f"\r{number:4} of 3000" for number in range(3000))
    listener = Listener()
    listener.look("before\n" + bar)
    listener.told.clear()
    # What is left begins in the middle of the bar.
    listener.look((bar + "\r3000 of 3000\nend\n")[20_000:])
    assert listener.states == ["2999 of 3000"]
    assert listener.lines == ["3000 of 3000", "end"]


def test_a_log_that_is_replaced_inside_a_bar_gives_the_bar_as_it_was_and_the_new_one() -> None:
    listener = Listener()
    listener.look("\rold 10%")
    listener.look("\rquite another log 20%\r30%")
    assert listener.told == [
        ("state", "old 10%"),
        ("line", "\rold 10%"),
        ("state", "quite another log 20%"),
        ("state", "30%"),
    ]


def test_a_line_that_is_given_again_after_a_stop_tells_its_states_again_and_none_is_missing() -> None:
    states: list[str] = []
    follower = LogFollower(on_unfinished=states.append)
    text = SpooledText.of("\r1%\r2%\n\r3%\r4%\n")
    for line in follower.feed(text):
        assert plain(line) == "2%"
        break
    assert [plain(line) for line in follower.feed(text)] == ["4%"]
    assert states == ["1%", "3%"]


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.sampled_from("ab\n\r\ré1"), max_size=200),
    st.lists(st.floats(0, 1), max_size=8),
    st.booleans(),
)
def test_wherever_looks_cut_a_log_each_line_comes_once_and_each_state_in_order(
    text: str, cuts: list[float], hand_over: bool
) -> None:
    listener = Listener()
    for end in [*sorted(int(cut * len(text)) for cut in cuts), len(text)]:
        listener.look(text[:end])
        if hand_over:
            listener.hand_over()
    listener.finish()
    whole = text.split("\n")
    assert listener.lines == [plain(line) for line in (whole if whole[-1] else whole[:-1])]
    # What was told of a line, without what is only the beginning of the next thing told, is its states.
    expected = [state for line in whole for state in [one for one in line.split("\r") if one][:-1]]
    told = iter(listener.states)
    assert all(state in told for state in expected)
    every = {state[:end] for line in whole for state in line.split("\r") for end in range(1, len(state) + 1)}
    assert set(listener.states) <= every


@pytest.mark.parametrize(
    "state", [b"\r 50%|####", b"\r", b"\r\x1b[K50%", b"\r" + b"x" * 100_000], ids=["bar", "empty", "escapes", "long"]
)
def test_megabytes_of_a_bar_without_end_stay_in_bounds(state: bytes) -> None:
    listener = Listener()
    text = b"70%" + state * (2_000_000 // len(state))
    start = time.thread_time()
    for end in range(500_000, len(text), 500_000):
        listener.look(text[:end])
    tracemalloc.start()
    listener.told.clear()
    more = text + b"\r80%"
    before = tracemalloc.get_traced_memory()[0]
    listener.look(more)
    assert tracemalloc.get_traced_memory()[1] - before < 64 * BLOCK_BYTES
    tracemalloc.stop()
    assert listener.states[-1] == "80%"
    assert all(len(one) <= MAX_STATE_BYTES for one in listener.states)
    listener.look(more + b"\n")
    assert listener.lines == ["80%"]
    assert time.thread_time() - start < 60


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "bc"]), st.integers(1, 5)), min_size=1, max_size=30),
    st.sampled_from(["", "\r", "end"]),
    st.integers(1, 70_000),
)
def test_the_line_of_a_bar_of_any_length_is_its_last_state(parts: list[tuple[str, int]], end: str, repeat: int) -> None:
    bar = "".join(("\r" * times) + state for state, times in parts)
    text = "x" * 70_000 + "\rbegun" + bar * max(1, min(repeat, 400_000 // len(bar))) + end
    listener = Listener()
    listener.look(text + "\n")
    assert listener.lines == [plain(text)]


def test_a_long_line_that_was_cut_is_overwritten_by_what_comes_behind_a_carriage_return() -> None:
    listener = Listener()
    listener.look("y" * (BLOCK_BYTES - 1) + "\r" + "done\n" + "y" * (MAX_LINE_BYTES + 7) + "\r\n")
    assert listener.lines == ["done", "y" * MAX_LINE_BYTES + " [cut: 7 more bytes in this line]"]
