"""The journal, torn or damaged anywhere: what it still tells is right, and what it lost is told or rendered again."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

import pytest
from folder_bench import batch_of, finals, made, opened, png, take
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.batch.folder.frame_ranges import numbers_of, ranges_of, ranges_text
from octa_provider.batch.folder.journal import Journal, JournalLines
from octa_provider.batch.folder.lines import GivenUpLine
from octa_provider.batch.folder.status import status
from octa_provider.errors import OctaConfigError
from octa_provider.render.frames import parse


def rendered_batch(root: Path) -> Path:
    """A folder with three accepted frames; its journal."""
    with opened(batch_of(root, "1-4")) as folder:
        folder.renting(0, 100, "key/m0")
        take(folder, 1, 2, 3)
    return root / "out" / ".octa" / "journal.jsonl"


def accepted_now(root: Path) -> set[int]:
    """What a new run has; each of it is looked at byte by byte."""
    with opened(batch_of(root, "1-4")) as folder:
        accepted = set(folder.accepted)
        assert set(folder.check_whole()) == {1, 2, 3, 4} - accepted
        take(folder, *sorted({1, 2, 3, 4} - accepted))
        assert folder.check_whole() == []
    return accepted


def opens(root: Path) -> bool:
    """Whether a new run is let in, or told which files it knows nothing of."""
    try:
        with opened(batch_of(root, "1-4")):
            return True
    except OctaConfigError as error:
        return "which this batch did not render" not in str(error)


def test_a_journal_cut_off_at_any_byte_makes_nothing_accepted_that_is_not(tmp_path: Path) -> None:
    data = rendered_batch(tmp_path / "made").read_bytes()
    line_ends = [at for at, byte in enumerate(data) if byte == 10]
    near = {end + by for end in line_ends for by in (-1, 0, 1, 2)}
    for length in sorted(near & set(range(len(data))) | set(range(0, len(data), 29))):
        root = tmp_path / "cut"
        shutil.copytree(tmp_path / "made", root)
        (root / "out" / ".octa" / "journal.jsonl").write_bytes(data[:length])
        whole_lines = data[:length].rpartition(b"\n")[0].count(b'"t":"frame"')
        if length and not data[:length].endswith(b"\n"):
            assert len(accepted_now(root)) == whole_lines
            assert finals(root) == {f"frame_{number:04d}.png": png(number) for number in (1, 2, 3, 4)}
        elif whole_lines < 3:
            # Cut off between two lines: nothing tells the lost frames from somebody else's, so they are named.
            assert not opens(root)
            assert finals(root) == {f"frame_{number:04d}.png": png(number) for number in (1, 2, 3)}
        shutil.rmtree(root)


@settings(max_examples=25)
@given(place=st.floats(0, 1, exclude_max=True), junk=st.binary(min_size=1, max_size=20))
def test_a_damaged_line_costs_that_line_alone(place: float, junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as made_in:
        root = Path(made_in)
        journal = rendered_batch(root)
        lines = journal.read_bytes().splitlines(keepends=True)
        at = int(place * len(lines))
        hit = lines[at]
        lines[at] = hit[: len(hit) // 2] + junk.replace(b"\n", b"?") + b"\n"
        journal.write_bytes(b"".join(lines))
        assert len(accepted_now(root)) == 3 - (b'"t":"frame"' in hit)
        assert finals(root) == {f"frame_{number:04d}.png": png(number) for number in (1, 2, 3, 4)}


def test_damage_is_told_by_its_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = rendered_batch(tmp_path)
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[3] = b"\0" * 40 + b"\n"
    journal.write_bytes(b"".join(lines))
    with caplog.at_level(logging.WARNING):
        assert status(tmp_path / "out").done == 2
    assert "line 4 of " in caplog.text
    assert "is damaged: it is left out" in caplog.text


def test_lines_after_a_torn_one_begin_on_their_own(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.append(GivenUpLine(1, "why"))
    with path.open("ab") as file:
        file.write(b'{"t":"given up","frame":2,"wh')
    with Journal(path) as journal:
        journal.append(GivenUpLine(3, "why"), GivenUpLine(4, "why"))
    lines = JournalLines(path)
    assert [line.frame for line in lines if isinstance(line, GivenUpLine)] == [1, 3, 4]
    assert (lines.damaged, lines.is_torn) == (0, False)


def test_a_frame_that_was_given_up_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        for slot in (0, 1):
            folder.refuse(3, folder.incoming(slot), "cut", made(slot))
        folder.refuse(4, folder.incoming(0), "cut", made(0))
        assert folder.tried == {3: (100, 101), 4: (100,)}
        folder.give_up(3, "no machine gives it whole")
    assert status(tmp_path / "out").failed == {3: "no machine gives it whole"}
    with opened(batch) as folder:
        assert folder.failed == {}
        assert folder.tried == {4: (100,)}


@given(numbers=st.sets(st.integers(-50, 300), max_size=60))
def test_ranges_are_the_numbers_they_were_made_of(numbers: set[int]) -> None:
    ordered = sorted(numbers)
    assert list(numbers_of(ranges_of(ordered))) == ordered
    if ordered:
        assert list(parse(ranges_text(ordered))) == ordered


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], ""),
        ([17], "17"),
        ([17, *range(90, 96)], "17,90-95"),
        (range(1001, 1101, 10), "1001-1091x10"),
        ([1, 3], "1,3"),
        ([1, 2], "1-2"),
        ([1, 5, 9, 10, 11], "1-9x4,10-11"),
    ],
)
def test_ranges_are_as_a_user_types_them(numbers: list[int], text: str) -> None:
    assert ranges_text(numbers) == text
