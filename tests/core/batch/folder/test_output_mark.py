"""Whether an output folder can hold a batch, and is the same one for whoever comes next."""

from __future__ import annotations

import threading
from pathlib import Path, PurePosixPath

import pytest

from octa_provider.batch.folder.output_mark import check_mark, check_output, leave_mark
from octa_provider.errors import OctaConfigError, OctaLocalFileError


def test_a_folder_that_can_hold_a_batch_is_made_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    folder = check_output(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    assert list((folder / ".octa").iterdir()) == []


@pytest.mark.parametrize("address", ["s3://bucket/shot", "gs://b/x", "file:///srv/out", PurePosixPath("x")])
def test_object_storage_is_refused_and_told_why(address: object) -> None:
    with pytest.raises(OctaConfigError, match=r"must be a folder .* object storage has neither\. Render into a folder"):
        check_output(address)  # type: ignore[arg-type]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OctaConfigError, match="is no folder"):
        check_output(tmp_path / "file")


def test_a_folder_that_can_not_be_made_is_refused() -> None:
    with pytest.raises(OctaLocalFileError, match="can't be made"):
        check_output(Path("/proc/frames"))


def test_a_mark_stays_and_says_whether_it_is_the_same_folder(tmp_path: Path) -> None:
    mark = leave_mark(tmp_path / "out")
    assert leave_mark(tmp_path / "out") == mark
    check_mark(tmp_path / "out", mark)
    (tmp_path / "link").symlink_to(tmp_path / "out")
    check_mark(tmp_path / "link", mark)
    leave_mark(tmp_path / "other")
    for another in (tmp_path / "other", tmp_path / "none"):
        with pytest.raises(OctaConfigError, match=r"is not the folder that .* has marked: output must be on storage"):
            check_mark(another, mark)


def test_of_many_that_mark_it_at_once_all_have_the_same_mark(tmp_path: Path) -> None:
    marks: list[str] = []
    threads = [threading.Thread(target=lambda: marks.append(leave_mark(tmp_path))) for _ in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(marks) == 16
    assert len(set(marks)) == 1
    assert [path.name for path in (tmp_path / ".octa").iterdir()] == ["mark"]
