"""A log of any length: its end is kept, in a file of bounded size, or in memory where the disk is full."""

from __future__ import annotations

import errno
import io
import tempfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.logs import spool as spooled_text
from octa_provider.logs.log_stream import read_system, spool_logs
from octa_provider.logs.new_lines import LogFollower
from octa_provider.logs.spool import EndOfText


class SmallDisk(io.BytesIO):
    """A file on a disk that has room for so many bytes."""

    room = 10

    def write(self, data: Any) -> int:
        written = memoryview(data)[: max(0, self.room - self.tell())]
        if data and not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(written)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.binary(max_size=30), max_size=12), st.integers(1, 40), st.integers(0, 50), st.integers(0, 50))
def test_the_end_of_a_text_is_kept_whatever_its_pieces(
    pieces: list[bytes], most: int, offset: int, length: int
) -> None:
    with EndOfText(most_bytes=most) as text:
        for piece in pieces:
            text.write(piece)
        whole = b"".join(pieces)
        kept = whole[-most:]
        assert text.size == len(kept)
        assert text.read(0, most + 1) == kept
        assert text.read(offset, length) == kept[offset : offset + length]
        assert text.is_cut == (len(whole) >= most)


@pytest.mark.parametrize("room", [0, 3, 10, 25])
def test_a_full_disk_costs_the_beginning_and_fails_nothing(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooled_text, "LEAST_BYTES", 8)
    monkeypatch.setattr(SmallDisk, "room", room)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: SmallDisk())
    with EndOfText() as text:
        written = b""
        for number in range(20):
            piece = b"piece %02d;" % number
            text.write(piece)
            written += piece
            assert text.read(0, text.size) == written[-text.size :]
        assert 8 <= text.size <= max(8, room)


def test_no_temporary_folder_at_all_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**options: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", none)
    with spool_logs([b'{"container": "one\\ntwo\\n"}']) as logs:
        assert logs.container.read(0, 100) == b"one\ntwo\n"


def test_a_log_longer_than_is_kept_gives_its_new_lines_once() -> None:
    follower, lines = LogFollower(), []
    printed = ""
    for look in range(40):
        printed += "".join(f"look {look} line {number} of it\n" for number in range(60))
        with EndOfText(most_bytes=12_000) as text:
            text.write(printed.encode())
            lines += follower.feed(text)
    assert lines == printed.splitlines()


def test_of_the_system_log_alone_nothing_else_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**options: object) -> None:
        raise AssertionError("a file was made")

    monkeypatch.setattr(tempfile, "TemporaryFile", none)
    body = [b'{"container": "', *(b"x" * 65536 for _ in range(64)), b'", "system": [{"ts": 1, "msg": "why"}], "z": 1}']
    assert [entry.message for entry in read_system(body)] == ["why"]
