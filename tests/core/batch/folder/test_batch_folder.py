"""The output folder of a batch: what is accepted, what is refused, what a second run finds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from folder_bench import accepted_files, batch_of, fetched, finals, made, opened, png, rendered, take

from octa_provider.batch.folder.status import status
from octa_provider.batch.folder.work import Spans
from octa_provider.errors import OctaConfigError, OctaLocalFileError


def test_a_frame_is_under_its_name_when_it_is_accepted_and_not_before(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path)) as folder:
        incoming, verdict = rendered(folder, 3)
        assert verdict.flaw == ""
        assert finals(tmp_path) == {}
        assert folder.accept(3, incoming, verdict, made())
        assert finals(tmp_path) == {"frame_0003.png": png(3)}
        assert 3 in folder.accepted
        assert len(folder.accepted) == 1


def test_the_first_copy_of_a_frame_counts(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path)) as folder:
        first, verdict = rendered(folder, 3)
        second, other = rendered(folder, 3, png(3, scene=None), slot=1)
        assert folder.accept(3, second, other, made(1))
        assert not folder.accept(3, first, verdict, made())
        assert finals(tmp_path) == {"frame_0003.png": png(3, scene=None)}


def test_a_second_run_has_what_the_first_accepted_and_renders_the_rest(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        take(folder, 1, 2, 5)
    with opened(batch, key="another/key") as folder:
        assert list(folder.accepted) == [1, 2, 5]
        assert folder.key == "another/key"
        assert folder.check_whole() == [3, 4, 6, 7, 8, 9, 10]
        take(folder, 3, 4, 6, 7, 8, 9, 10)
        assert folder.check_whole() == []


def test_a_frame_that_was_deleted_is_rendered_again_and_no_other(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        take(folder, *range(1, 11))
    (tmp_path / "out" / "frame_0007.png").unlink()
    with opened(batch) as folder:
        assert folder.gone == (7,)
        assert folder.check_whole() == [7]


def test_a_frame_that_is_not_of_the_scene_is_refused_and_kept_to_look_at(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path)) as folder:
        take(folder, 1)
        incoming, verdict = rendered(folder, 2, png(2, scene="Other"))
        assert verdict.flaw == "frame_0002.png is of the scene 'Other', not 'Scene'"
        with pytest.raises(OctaConfigError, match=r"frame 2 can't be accepted: .*'Other'"):
            folder.accept(2, incoming, verdict, made())
        folder.refuse(2, incoming, verdict.flaw, made())
        assert folder.tried == {2: (100,)}
        assert not any(incoming.iterdir())
        assert [path.read_bytes() for path in (tmp_path / "out" / ".octa" / "bad").iterdir()] == [png(2, scene="Other")]


def test_rentals_are_known_after_a_restart(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        assert folder.next_slot == 0
        folder.renting(0, 100, "key/m0")
        folder.rented(0, "uuid-0", 100, 10**18, 0.4)
        folder.renting(1, 101, "key/m1")
    with opened(batch) as folder:
        assert folder.next_slot == 2
        assert folder.open_rentals == {0: ("key/m0", "uuid-0"), 1: ("key/m1", None)}
        folder.ended(0, None, Spans(1.0), "done")
        assert folder.open_rentals == {1: ("key/m1", None)}


def test_the_results_tell_each_frame(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path, "1-3")) as folder:
        folder.renting(0, 100, "key/m0")
        folder.rented(0, "uuid-0", 100, 10**18, 0.4)
        take(folder, 1, 2, 3)
        folder.ended(0, None, Spans(1.0), "done")
        folder.write_results()
    assert [(line["frame"], line["file"], line["attempts"]) for line in accepted_files(tmp_path)] == [
        (1, "frame_0001.png", 1),
        (2, "frame_0002.png", 1),
        (3, "frame_0003.png", 1),
    ]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["whole"]
    assert manifest["cost_wei"] is None
    told = status(tmp_path / "out")
    assert (told.done, told.missing, told.is_whole) == (3, "", True)


def test_an_unfetched_frame_is_missing(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path)) as folder:
        fetched(folder, 4)
        assert folder.judge(3, folder.incoming(0), 100).flaw == "frame_0003.png is missing"


@pytest.mark.parametrize("anew", [False, True])
def test_a_folder_that_is_moved_away_gets_no_more_frames_and_goes_on_where_it_is(tmp_path: Path, anew: bool) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        take(folder, 1, 2)
        incoming, verdict = rendered(folder, 3)
        (tmp_path / "out").rename(tmp_path / "moved")
        if anew:
            (tmp_path / "out" / ".octa").mkdir(parents=True)
        for act in (
            lambda: folder.accept(3, incoming, verdict, made()),
            lambda: folder.incoming(1),
            lambda: folder.renting(1, 101, "tests/batch/m1"),
        ):
            with pytest.raises(OctaLocalFileError, match="was moved or removed while it was rendered into"):
                act()
        # What a machine came to is known where the journal is.
        folder.ended(0, None, Spans(), "the batch has ended")
    assert anew or not (tmp_path / "out").exists()
    moved = batch_of(tmp_path, output=tmp_path / "moved")
    with opened(moved) as folder:
        assert list(folder.accepted) == [1, 2]
        assert folder.check_whole()[:2] == [3, 4]


def test_a_folder_that_is_moved_while_a_frame_is_made_durable_is_told_as_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def move_meanwhile(descriptor: int) -> None:
        fsync(descriptor)
        if (tmp_path / "out").exists():
            (tmp_path / "out").rename(tmp_path / "moved")

    with opened(batch_of(tmp_path)) as folder:
        incoming, verdict = rendered(folder, 3)
        monkeypatch.setattr(os, "fsync", move_meanwhile)
        with pytest.raises(OctaLocalFileError, match="was moved or removed"):
            folder.accept(3, incoming, verdict, made())
