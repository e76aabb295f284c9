"""A log that is kept in a file on the machine: each line once, and only what is new is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.logs.cursor import TAIL_BYTES, LogCursor
from octa_provider.logs.drawn_line import MAX_LINE_BYTES
from octa_provider.logs.file_log import FileLog, FilePart
from octa_provider.logs.log_stream import SpooledText
from octa_provider.logs.new_lines import LogFollower


class File:
    """A file that grows, and counts what is read of it."""

    def __init__(self, data: bytes = b"", most_bytes: int = 2**30) -> None:
        self.data = data
        self.read_bytes = 0
        self._most_bytes = most_bytes

    def read(self, offset: int) -> FilePart:
        part = self.data[offset : offset + self._most_bytes]
        self.read_bytes += len(part)
        return FilePart(len(self.data), part)


def look(file: File, cursor: LogCursor | None = None) -> tuple[list[str], LogCursor]:
    """One look of another process: its lines, and the cursor as a database keeps it."""
    log = FileLog(file.read, cursor)
    lines = list(log.new_lines())
    return lines, LogCursor.from_dict(json.loads(json.dumps(log.cursor.to_dict())))


def test_only_what_is_new_is_read() -> None:
    file, cursor = File(), None
    lines: list[str] = []
    for number in range(200):
        file.data += f"frame {number} is done, in so many words\nunfinish".encode()
        new, cursor = look(file, cursor)
        lines += new
        file.data += b"ed\n"
    new, cursor = look(file, cursor)
    assert "\n".join([*lines, *new, ""]).encode() == file.data
    assert file.read_bytes == len(file.data) == cursor.seen


@settings(deadline=None)
@given(
    st.lists(st.text(st.sampled_from("ab\n\ré€😀"), max_size=12), max_size=12),
    st.lists(st.integers(0, 200), max_size=12),
    st.integers(5, 40),
)
def test_wherever_looks_and_reads_end_the_lines_are_those_of_the_file(
    words: list[str], ends: list[int], most_bytes: int
) -> None:
    whole = "".join(words).encode()
    file, cursor, lines = File(most_bytes=most_bytes), None, []
    for end in [*sorted(ends), len(whole)]:
        file.data = whole[:end]
        new, cursor = look(file, cursor)
        lines += new
    assert lines == whole.decode().split("\n")[:-1]
    assert cursor.gaps == 0


def test_a_progress_bar_of_hours_is_not_read_again_and_its_last_state_is_the_line() -> None:
    file, cursor = File(), None
    for percent in range(2000):
        file.data += f"\rProgress: {percent / 20:.1f} %, and so on".encode()
        _, cursor = look(file, cursor)
    file.data += b"\rdone\n"
    lines, cursor = look(file, cursor)
    assert [line.split("\r")[-1] for line in lines] == ["done"]
    assert file.read_bytes == len(file.data)


def test_an_unfinished_line_that_is_longer_than_what_is_kept_is_whole_in_the_end() -> None:
    file = File(b"x" * (3 * TAIL_BYTES))
    _, cursor = look(file)
    file.data += b"y\n"
    assert look(file, cursor)[0] == ["x" * (3 * TAIL_BYTES) + "y"]


def test_a_line_without_an_end_comes_in_pieces_and_is_not_read_again() -> None:
    file, cursor = File(), None
    pieces: list[str] = []
    for _ in range(20):
        file.data += b"z" * MAX_LINE_BYTES + b"zz"
        new, cursor = look(file, cursor)
        pieces += new
    assert len(pieces) == 20
    assert file.read_bytes == len(file.data)


@pytest.mark.parametrize("banner", ["", "== a banner of the image ==\n\n"])
@pytest.mark.parametrize("length", [3, 3000])
def test_what_the_api_has_shown_comes_no_second_time(banner: str, length: int) -> None:
    first = "".join(f"line {number} of the file\n" for number in range(length)) + "unfin"
    of_api = LogFollower()
    assert len(list(of_api.feed(SpooledText.of(banner + first)))) == length + banner.count("\n")
    file = File((first + "ished\nnext\n").encode())
    lines, cursor = look(file, of_api.cursor)
    assert lines == ["unfinished", "next"]
    assert cursor.seen == len(file.data)
    # And back to the API, which lags behind at first.
    again = LogFollower(cursor)
    assert list(again.feed(SpooledText.of(banner + first))) == []
    assert list(again.feed(SpooledText.of(banner + first + "ished\nnext\nlast\n"))) == ["last"]
    assert look(File(file.data + b"last\n"), again.cursor)[0] == []


def test_a_file_that_was_replaced_is_told_anew_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    _, cursor = look(File(b"one\ntwo\nthr"))
    lines, cursor = look(File(b"new\n"), cursor)
    assert (lines, cursor.gaps) == (["thr", "new"], 1)
    assert "was replaced" in caplog.text
