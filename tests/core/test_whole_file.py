"""A file that is whole or absent, and keeps what a user has set up for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from octa_provider.files.whole_file import PRIVATE, whole_file


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_text("before")
    with whole_file(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_could_not_be_written_whole_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_text("before")

    def break_off() -> None:
        with whole_file(path) as file:
            file.write(b"aft")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        break_off()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_those_of_the_file_that_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.touch()
    path.chmod(0o640)
    with whole_file(path) as file:
        file.write(b"x")
    assert mode_of(path) == 0o640


def test_a_new_file_has_what_the_umask_leaves_and_a_private_one_is_its_owners_alone(tmp_path: Path) -> None:
    plain, private, usual = tmp_path / "plain", tmp_path / "private", tmp_path / "usual"
    usual.touch()
    private.touch()
    for path, mode in ((plain, None), (private, PRIVATE)):
        with whole_file(path, mode=mode) as file:
            file.write(b"x")
    assert mode_of(plain) == mode_of(usual)
    assert mode_of(private) == 0o600


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    there, link = tmp_path / "disk" / "there.log", tmp_path / "job.log"
    there.write_text("before")
    link.symlink_to(there)
    with whole_file(link) as file:
        file.write(b"after")
    assert link.is_symlink()
    assert there.read_text() == "after"


def test_a_name_may_be_as_long_as_a_name_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    with whole_file(path) as file:
        file.write(b"x")
    assert path.read_bytes() == b"x"
