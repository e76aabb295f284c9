"""The coordinator's own disk is full: one clear sentence, no accepted frame lost, none that only looks accepted."""

from __future__ import annotations

import errno
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from folder_bench import batch_of, fetched, finals, made, opened, png, take
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.batch.folder.batch_folder import BatchFolder
from octa_provider.errors import OctaLocalFileError


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """As a disk that has no more room: each file ends at so many bytes, in the middle of a write if need be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_journal_that_can_grow_no_more_accepts_no_more(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        take(folder, 1, 2)
        journal = tmp_path / "out" / ".octa" / "journal.jsonl"
        incoming = fetched(folder, 3)
        verdict = folder.judge(3, incoming, 100)
        with files_no_larger_than(journal.stat().st_size + 40):
            with pytest.raises(OctaLocalFileError) as caught:
                folder.accept(3, incoming, verdict, made())
            assert str(caught.value) == (
                f"{journal} can't be written: File too large; make room and run it again: accepted frames are kept"
            )
            assert list(folder.accepted) == [1, 2]
            assert finals(tmp_path).keys() == {"frame_0001.png", "frame_0002.png"}
        # There is room again: the same copy is taken, and what the write left behind is no part of the journal.
        assert folder.accept(3, incoming, verdict, made())
        take(folder, 4)
    with opened(batch) as folder:
        assert list(folder.accepted) == [1, 2, 3, 4]
        assert folder.check_whole() == [5, 6, 7, 8, 9, 10]


def test_results_that_have_no_room_leave_the_earlier_ones(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        take(folder, *batch.numbers)
        folder.write_results()
        out = tmp_path / "out"
        before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
        with files_no_larger_than(50), pytest.raises(OctaLocalFileError, match="can't be written: File too large"):
            folder.write_results()
        assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_a_new_batch_without_room_is_one_sentence_and_can_be_begun_again(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with files_no_larger_than(60), pytest.raises(OctaLocalFileError, match="make room and run it again"):
        opened(batch)
    with opened(batch) as folder:
        take(folder, 1)


class FullDisk:
    """Each call of the system that needs room fails from one of them on, for so many calls."""

    def __init__(self, at: int, count: int) -> None:
        self._left, self._count = at, count
        self._real = {name: getattr(os, name) for name in ("write", "replace", "fsync", "mkdir")}

    def __enter__(self) -> None:
        self._patch = mock.patch.multiple(os, **{name: self._call(name) for name in self._real})
        self._patch.start()

    def __exit__(self, *_: object) -> None:
        self._patch.stop()

    def _call(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left < 0 <= self._left + self._count:
                if name == "write" and len(args[1]) > 1:
                    self._real["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            return self._real[name](*args, **kwargs)

        return call


def try_to_take(folder: BatchFolder, frame: int) -> bool:
    """Whether a frame was accepted; what the full disk refuses is an error of ours, and says what to do."""
    try:
        incoming = fetched(folder, frame)
        return folder.accept(frame, incoming, folder.judge(frame, incoming, 100), made())
    except OctaLocalFileError as error:
        if "; make room and run it again: accepted frames are kept" not in str(error):
            raise
        return False


@settings(max_examples=60)
@given(at=st.integers(0, 60), count=st.integers(1, 12))
def test_wherever_the_disk_is_full_what_was_accepted_stays_and_nothing_else_is(at: int, count: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        root, promised = Path(place), set[int]()
        with opened(batch_of(root, "1-6")) as folder, FullDisk(at, count):
            for frame in (1, 2, 3, 3, 4, 4):
                if frame not in promised and try_to_take(folder, frame):
                    promised.add(frame)
                assert set(folder.accepted) == promised
                assert finals(root).keys() == {f"frame_{number:04d}.png" for number in promised}
        with opened(batch_of(root, "1-6")) as folder:
            assert promised <= set(folder.accepted) <= {1, 2, 3, 4}
            assert finals(root) == {f"frame_{number:04d}.png": png(number) for number in folder.accepted}
            take(folder, *(number for number in range(1, 7) if number not in folder.accepted))
            assert folder.check_whole() == []
