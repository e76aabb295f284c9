"""A folder that is gone on with: the same batch with more frames, another scene, files that somebody else put there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from folder_bench import (
    RENDERER,
    TWO_FILES,
    batch_of,
    finals,
    made,
    opened,
    plan_line,
    png,
    rendered,
    stored_batch,
    take,
)

from octa_provider.batch.batch import Batch
from octa_provider.batch.folder.fingerprint import fingerprint_of
from octa_provider.batch.folder.status import status
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.errors import OctaConfigError, OctaLocalFileError


def project(root: Path, **files: str) -> Path:
    folder = root / "project"
    for name, text in {"shot.blend": "a scene", **files}.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def batch_in(root: Path, frames: str = "1-4", **fields: Any) -> Batch:
    values = {"main": "shot.blend", "renderer": RENDERER, **fields}
    return Batch(root / "project", frames, root / "out", **values)


def test_every_tenth_frame_first_and_the_rest_later_is_one_batch(tmp_path: Path) -> None:
    first = batch_of(tmp_path, "1001-1100x10")
    with opened(first) as folder:
        take(folder, *first.numbers)
        assert folder.check_whole() == []
        folder.write_results()
    before = finals(tmp_path)
    whole = batch_of(tmp_path, "1001-1100")
    with opened(whole) as folder:
        assert list(folder.accepted) == list(first.numbers)
        folder.planned(plan_line())
        take(folder, *(number for number in whole.numbers if number not in folder.accepted))
        assert folder.check_whole() == []
        folder.write_results()
    after = finals(tmp_path)
    assert len(after) == 100
    assert {name: after[name] for name in before} == before
    # And those of the first time alone are still there to be asked for.
    with opened(first) as folder:
        assert folder.check_whole() == []
    assert status(tmp_path / "out").asked == "1001-1100"


def test_a_resume_needs_nothing_but_the_folder(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, "1-10x3", max_cost_usd=5.0, max_machines=3, order="spread", finish_within_s=3600)
    with opened(batch) as folder:
        take(folder, 1, 4)
    again = stored_batch(tmp_path / "out")
    assert again == Batch(
        **{
            **{name: getattr(batch, name) for name in batch.__dataclass_fields__},
            "scene": str(tmp_path / "scene.blend"),
        }
    )
    assert stored_batch(tmp_path / "out", {"max_cost_usd": 9.0}).max_cost_usd == 9.0
    with pytest.raises(OctaConfigError, match="a batch has no max_cost: choose from check"):
        stored_batch(tmp_path / "out", {"max_cost": 9.0})
    with opened(again, key="nothing") as folder:
        assert list(folder.accepted) == [1, 4]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: project(root, **{"shot.blend": "edited"}), "shot.blend changed"),
        (lambda root: project(root, tex__new="x"), "tex/new is new"),
        (lambda root: (root / "project" / "tex" / "wood").unlink(), "tex/wood is gone"),
    ],
)
def test_a_changed_scene_is_refused_by_the_name_of_what_changed(tmp_path: Path, change: Any, said: str) -> None:
    project(tmp_path, tex__wood="brown")
    batch = batch_in(tmp_path)
    with opened(batch) as folder:
        take(folder, 1, 2)
    change(tmp_path)
    with pytest.raises(OctaConfigError, match="rendered from another scene") as caught:
        opened(batch)
    assert said in str(caught.value)
    assert len(finals(tmp_path)) == 2


def test_another_command_image_or_main_file_is_another_scene_by_name(tmp_path: Path) -> None:
    project(tmp_path, **{"other.blend": "another"})
    with opened(batch_in(tmp_path)):
        pass
    for changes, said in (
        ({"renderer": Renderer("blender:5.2", RENDERER.command)}, 'image is "blender:5.2", and was "blender:4.5"'),
        ({"renderer": Renderer("blender:4.5", "x {frame}")}, 'command is "x {frame}", and was "render'),
        ({"main": "other.blend"}, "the scene's file is other.blend, and was shot.blend"),
    ):
        with pytest.raises(OctaConfigError) as caught:
            opened(batch_in(tmp_path, **changes))
        assert said in str(caught.value)
    # What it costs, how many machines and which frames make no other scene.
    with opened(batch_in(tmp_path, "1-400", max_cost_usd=1.0, max_machines=50)):
        pass


def test_a_replaced_frame_goes_when_its_new_one_is_accepted_and_not_before(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path, "1-3")) as folder:
        folder.renting(0, 100, "key/m0")
        take(folder, 1, 2, 3)
    old = finals(tmp_path)
    edited = batch_of(tmp_path, "1-2", content=b"edited", on_changed="replace")
    with opened(edited) as folder:
        assert len(folder.accepted) == 0
        assert finals(tmp_path) == old
        # A machine of the old scene may still run.
        assert folder.open_rentals == {0: ("key/m0", None)}
        assert folder.next_slot == 1
        new = png(1, took_s=9)
        incoming, verdict = rendered(folder, 1, new, slot=1)
        assert folder.accept(1, incoming, verdict, made(1))
        assert finals(tmp_path) == {**old, "frame_0001.png": new}
    # Interrupted there, it goes on without being told again.
    with opened(stored_batch(tmp_path / "out")) as folder:
        assert list(folder.accepted) == [1]
        assert folder.check_whole() == [2]


def test_frames_that_no_batch_of_ours_made_are_refused_by_name(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, "1-20")
    (tmp_path / "out").mkdir()
    for number in (3, 4, 5, 6, 7, 8, 9, 30):
        (tmp_path / "out" / f"frame_{number:04d}.png").write_bytes(b"mine")
    with pytest.raises(OctaConfigError) as caught:
        opened(batch)
    assert "frame_0003.png, frame_0004.png, frame_0005.png, frame_0006.png, frame_0007.png and 2 more" in str(
        caught.value
    )
    assert all(data == b"mine" for data in finals(tmp_path).values())
    with opened(batch_of(tmp_path, "1-20", on_changed="replace")) as folder:
        take(folder, 3)
    assert finals(tmp_path)["frame_0003.png"] == png(3)
    assert finals(tmp_path)["frame_0004.png"] == b"mine"


def test_a_frame_that_was_written_over_is_rendered_again_and_what_was_written_is_kept(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        take(folder, *batch.numbers)
    painted = tmp_path / "out" / "frame_0005.png"
    painted.write_bytes(b"painted by hand")
    with opened(batch) as folder:
        assert folder.changed == (5,)
        assert folder.check_whole() == [5]
        assert painted.read_bytes() == b"painted by hand"
        take(folder, 5)
        assert folder.check_whole() == []
    assert painted.read_bytes() == png(5)
    assert [path.read_bytes() for path in (tmp_path / "out" / ".octa" / "changed").iterdir()] == [b"painted by hand"]


def test_a_change_that_leaves_size_and_time_is_seen_before_a_run_is_called_whole(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        take(folder, *batch.numbers)
    path = tmp_path / "out" / "frame_0005.png"
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-30] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with opened(batch) as folder:
        assert folder.check_whole() == [5]


def test_a_folder_that_was_copied_is_gone_on_with(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        take(folder, *batch.numbers)
    shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=shutil.copyfile)
    moved = Batch(
        **{**{name: getattr(batch, name) for name in batch.__dataclass_fields__}, "output": tmp_path / "copy"}
    )
    for _ in range(2):
        with opened(moved) as folder:
            assert len(folder.accepted) == 10
            assert folder.check_whole() == []


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OctaConfigError, match=r"out is no folder: take another output folder"):
        opened(batch_of(tmp_path))


def test_an_output_that_is_a_link_is_the_folder_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "large disk")
    with opened(batch_of(tmp_path)) as folder:
        take(folder, 1)
    assert (tmp_path / "large disk" / "frame_0001.png").read_bytes() == png(1)
    assert (tmp_path / "out").is_symlink()


def test_an_output_that_is_a_link_to_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OctaConfigError, match=r"out is no folder"):
        opened(batch_of(tmp_path))


def test_an_output_within_the_scenes_folder_is_refused_before_it_would_be_sent(tmp_path: Path) -> None:
    folder = project(tmp_path)
    batch = Batch(folder, "1-4", folder / "render", main="shot.blend", renderer=RENDERER)
    with pytest.raises(OctaConfigError, match="all of which is sent to each machine: take an output folder beside it"):
        opened(batch)
    assert not (folder / "render").exists()


def test_a_folder_where_nobody_may_write_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "out").mkdir()
    # Root, who runs the tests of many a container, may write everywhere.
    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(OctaLocalFileError, match=r"out can't be made: Permission denied$"):
        opened(batch_of(tmp_path))


@pytest.mark.parametrize("name", [".octa/{frame}.png", "./.octa/{frame}.png", "a/../.octa/{frame}.png"])
def test_no_frame_is_called_as_what_the_batch_keeps_for_itself(tmp_path: Path, name: str) -> None:
    with pytest.raises(OctaConfigError, match="must be a path below the folder of the frames"):
        opened(batch_of(tmp_path, renderer=Renderer("blender:4.5", "x {frame}", (name,))))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"version": 1}', "\0" * 100, '{"version": 2}'])
def test_a_damaged_batch_file_is_told_and_costs_no_frame(tmp_path: Path, text: str) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        take(folder, 1)
    (tmp_path / "out" / ".octa" / "batch.json").write_text(text)
    for act in (lambda: opened(batch), lambda: stored_batch(tmp_path / "out"), lambda: status(tmp_path / "out")):
        with pytest.raises(OctaLocalFileError, match=r"batch\.json (is damaged|was written by another release)"):
            act()
    assert finals(tmp_path) == {"frame_0001.png": png(1)}


def test_a_folder_without_a_batch_has_no_status(tmp_path: Path) -> None:
    with pytest.raises(OctaConfigError, match="is not the output folder of a batch"):
        status(tmp_path)
    with pytest.raises(OctaConfigError, match="is not the output folder of a batch"):
        stored_batch(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_odd_names_of_inputs_are_kept(tmp_path: Path) -> None:
    folder = project(tmp_path)
    for name in (b"caf\xe9.png", "Scène 2.blend".encode(), b"line\nbreak", b"{frame}"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"x")
    batch = batch_in(tmp_path)
    with opened(batch):
        pass
    with opened(batch):
        pass
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png")).write_bytes(b"y")
    with pytest.raises(OctaConfigError, match=r"caf.*\.png changed"):
        opened(batch)


def test_the_fingerprint_is_of_contents_and_names_not_of_places(tmp_path: Path) -> None:
    one, two = project(tmp_path / "a"), project(tmp_path / "b")
    assert fingerprint_of(one, "shot.blend", RENDERER) == fingerprint_of(two, "shot.blend", RENDERER)
    (two / "shot.blend").rename(two / "shot2.blend")
    assert fingerprint_of(one, "shot.blend", RENDERER) != fingerprint_of(two, "shot.blend", RENDERER)
    with pytest.raises(OctaConfigError, match="there is no scene"):
        fingerprint_of(tmp_path / "none", "shot.blend", RENDERER)


def test_a_frame_of_two_files_needs_both(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, renderer=Renderer("blender:4.5", "x {frame}", TWO_FILES))
    with opened(batch) as folder:
        incoming, verdict = rendered(folder, 1)
        assert verdict.flaw == "depth/0001.png is missing"
        (incoming / "depth").mkdir()
        (incoming / "depth" / "0001.png").write_bytes(png(1))
        assert folder.accept(1, incoming, folder.judge(1, incoming, 100), made(0))
    assert sorted(finals(tmp_path)) == ["depth/0001.png", "frame_0001.png"]
    (tmp_path / "out" / "depth" / "0001.png").unlink()
    with opened(batch) as folder:
        assert folder.gone == (1,)
