"""Copies of frames as strangers' machines send them: what is refused, by which words, and what is never touched."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from folder_bench import TWO_FILES, batch_of, fetched, finals, made, opened, png, rendered, take

from octa_provider.batch.check import Check
from octa_provider.batch.folder.work import Measured, Spans
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.errors import OctaConfigError, OctaLocalFileError

BLACK = "frame_0005.png is of one colour throughout: 0"


@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (b"", "is empty"),
        (png(5)[:-9], "is cut off"),
        (png(6), "is stamped as frame 6"),
        (png(5, size=(8, 6)), "is 8x6 pixels, not 4x3"),
        (png(5, scene="Other"), "is of the scene 'Other', not 'Scene'"),
        (b"\x76\x2f\x31\x01" + bytes(100), "is a picture of the format EXR, not the PNG that its name says"),
        (b"#!/bin/sh\n", "is no PNG"),
        (png(5) + b"more", "goes on past the end of its picture"),
        (png(5, grey=0), "is of one colour throughout: 0"),
        (png(5) + bytes(300_000), "is 300.2 kB, and the limit 100.0 kB"),
    ],
)
def test_what_is_not_the_frame_is_refused_in_words(tmp_path: Path, data: bytes, flaw: str) -> None:
    with opened(batch_of(tmp_path, check=Check(max_frame_bytes=100_000))) as folder:
        take(folder, 1)
        verdict = rendered(folder, 5, data)[1]
        assert verdict.flaw.startswith(f"frame_0005.png {flaw}")
        assert finals(tmp_path).keys() == {"frame_0001.png"}


def outside(root: Path) -> Path:
    secret = root / "secret.png"
    secret.write_bytes(png(5))
    return secret


@pytest.mark.parametrize(
    ("lay", "flaw"),
    [
        (lambda path, root: path.symlink_to(outside(root)), "is a link"),
        (lambda path, root: path.symlink_to("frame_0005.png"), "is a link"),
        (lambda path, root: os.mkfifo(path), "is no file"),
        (lambda path, root: path.mkdir(), "is no file"),
        (lambda path, root: None, "is missing"),
    ],
)
def test_what_is_no_file_is_refused_and_never_read(
    tmp_path: Path, lay: Callable[[Path, Path], None], flaw: str
) -> None:
    with opened(batch_of(tmp_path)) as folder:
        incoming = folder.incoming(0)
        lay(incoming / "frame_0005.png", tmp_path)
        verdict = folder.judge(5, incoming, 100)
        assert verdict.flaw == f"frame_0005.png {flaw}"
        folder.refuse(5, incoming, verdict.flaw, made())
        assert not os.path.lexists(incoming / "frame_0005.png") or (incoming / "frame_0005.png").is_dir()
    if (tmp_path / "secret.png").exists():
        assert (tmp_path / "secret.png").read_bytes() == png(5)


def test_a_folder_that_is_a_link_leads_nowhere(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, renderer=Renderer("blender:4.5", "x {frame}", TWO_FILES))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "0005.png").write_bytes(png(5))
    with opened(batch) as folder:
        incoming = fetched(folder, 5)
        (incoming / "depth").symlink_to(tmp_path / "elsewhere")
        verdict = folder.judge(5, incoming, 100)
        assert verdict.flaw == "depth/0005.png is reached by a link"
        folder.refuse(5, incoming, verdict.flaw, made())
    assert (tmp_path / "elsewhere" / "0005.png").read_bytes() == png(5)


def test_what_a_machine_sent_is_taken_away_even_when_it_is_closed(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    (tmp_path / "kept").write_text("kept")
    with opened(batch) as folder:
        for slot in (0, 1):
            closed = folder.incoming(slot) / "a" / "b"
            closed.mkdir(parents=True)
            (closed / "file").write_text("x")
            (closed / "link").symlink_to(tmp_path / "kept")
            closed.chmod(0)
            closed.parent.chmod(0)
        folder.ended(0, None, Spans(), "done")
        assert [path.name for path in (tmp_path / "out" / ".octa" / "incoming").iterdir()] == ["m1"]
    with opened(batch):
        assert not any((tmp_path / "out" / ".octa" / "incoming").iterdir())
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_file_that_is_written_to_after_it_was_judged_is_not_accepted(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path)) as folder:
        incoming, verdict = rendered(folder, 5)
        (incoming / "frame_0005.png").write_bytes(png(5, took_s=2))
        with pytest.raises(OctaLocalFileError, match="was written to after it was looked at"):
            folder.accept(5, incoming, verdict, made())
        assert finals(tmp_path) == {}
        assert folder.accept(5, incoming, folder.judge(5, incoming, 100), made())


def test_a_sum_that_the_machine_tells_must_be_right(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path)) as folder:
        incoming = fetched(folder, 5)
        right = hashlib.sha256(png(5)).hexdigest()
        assert folder.judge(5, incoming, 100, {"frame_0005.png": right.upper()}).is_whole
        verdict = folder.judge(5, incoming, 100, {"frame_0005.png": "0" * 64})
        assert verdict.flaw == "frame_0005.png is not what it was on the machine: its SHA-256 differs"


def test_one_colour_is_whole_when_another_machine_gives_it_too(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        incoming, verdict = rendered(folder, 5, png(5, grey=0), slot=0)
        assert verdict.flaw.startswith(BLACK)
        folder.refuse(5, incoming, verdict.flaw, made(0))
        # The same machine again proves nothing.
        assert rendered(folder, 5, png(5, grey=0), slot=0)[1].flaw.startswith(BLACK)
        # Another colour is no confirmation.
        assert rendered(folder, 5, png(5, grey=255), slot=1)[1].flaw
    with opened(batch) as folder:
        incoming, verdict = rendered(folder, 5, png(5, grey=0), slot=1)
        assert folder.accept(5, incoming, verdict, made(1)), verdict.flaw


@pytest.mark.parametrize(("one_colour", "is_whole"), [("refuse", False), ("allow", True)])
def test_one_colour_is_what_the_user_says(tmp_path: Path, one_colour: str, is_whole: bool) -> None:
    with opened(batch_of(tmp_path, check=Check(one_colour=one_colour))) as folder:
        for slot in (0, 1):
            incoming, verdict = rendered(folder, 5, png(5, grey=0), slot=slot)
            assert verdict.is_whole == is_whole
            if not is_whole:
                folder.refuse(5, incoming, verdict.flaw, made(slot))


def test_pixels_are_looked_at_only_when_the_size_is_right(tmp_path: Path) -> None:
    # Of one colour too: were it decoded, that would be what is said.
    with opened(batch_of(tmp_path, check=Check(size=(4, 3)))) as folder:
        assert rendered(folder, 5, png(5, size=(2, 2), grey=0))[1].flaw == "frame_0005.png is 2x2 pixels, not 4x3"


def test_size_and_scene_are_the_users_then_the_scenes_then_the_first_frames(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        take(folder, 1)
    with opened(batch) as folder:
        # The first frame was of an earlier run.
        assert rendered(folder, 2, png(2, size=(8, 6)))[1].flaw == "frame_0002.png is 8x6 pixels, not 4x3"
        folder.measured(Measured(1.0, [2.0], preflight={"size": [8, 6], "scene": "Other"}))
    with opened(batch) as folder:
        assert folder.measurement is not None
        assert folder.measurement.seconds == [2.0]
        assert rendered(folder, 2, png(2, size=(8, 6)))[1].flaw == "frame_0002.png is of the scene 'Scene', not 'Other'"
        assert rendered(folder, 2, png(2, size=(8, 6), scene="Other"))[1].is_whole
    with opened(batch_of(tmp_path, check=Check(size=(5, 5)))) as folder:
        assert rendered(folder, 2, png(2, size=(8, 6)))[1].flaw == "frame_0002.png is 8x6 pixels, not 5x5"


@pytest.mark.parametrize(
    "told", [{}, {"size": "8x6"}, {"size": [8]}, {"size": [True, 6]}, {"size": [0, 6], "scene": 5}]
)
def test_a_preflight_that_makes_no_sense_tells_nothing(tmp_path: Path, told: dict[str, object]) -> None:
    with opened(batch_of(tmp_path)) as folder:
        folder.measured(Measured(1.0, [2.0], preflight=told))
        assert rendered(folder, 2)[1].is_whole


def test_two_first_frames_of_different_sizes_are_not_both_whole(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path)) as folder:
        first, second = folder.incoming(0), folder.incoming(1)
        fetched(folder, 1, png(1), slot=0)
        fetched(folder, 2, png(2, size=(8, 6)), slot=1)
        verdicts: dict[int, str] = {}
        start = threading.Barrier(2)

        def judge(frame: int, incoming: Path) -> None:
            start.wait()
            verdicts[frame] = folder.judge(frame, incoming, 100 + frame).flaw

        threads = [threading.Thread(target=judge, args=one) for one in ((1, first), (2, second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(bool, verdicts.values())) == [False, True]


def test_twenty_refused_pictures_are_kept_at_most_the_oldest_go(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path, "1-40")) as folder:
        for frame in range(1, 31):
            incoming, verdict = rendered(folder, frame, png(frame)[:-5])
            folder.refuse(frame, incoming, verdict.flaw, made())
    kept = sorted(path.name for path in (tmp_path / "out" / ".octa" / "bad").iterdir())
    assert kept == [f"{frame}_m0_frame_{frame:04d}.png" for frame in range(11, 31)]


def test_a_reason_of_a_stranger_is_one_short_line(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch) as folder:
        folder.refuse(5, folder.incoming(0), "\x1b[2J\n" + "x" * 10_000, made())
        folder.give_up(5, "a\nb\u202e")
    with opened(batch):
        journal = (tmp_path / "out" / ".octa" / "journal.jsonl").read_text()
    assert max(map(len, journal.splitlines())) < 800
    assert "\x1b" not in journal
    assert "\u202e" not in journal


def test_what_nobody_asked_for_is_not_accepted(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path)) as folder:
        incoming, verdict = rendered(folder, 11)
        with pytest.raises(OctaConfigError, match="nobody asked for it"):
            folder.accept(11, incoming, verdict, made())


def test_a_copy_from_a_folder_of_the_callers_own_is_accepted(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path)) as folder:
        own = tmp_path / "own"
        shutil.copytree(fetched(folder, 5), own)
        assert folder.accept(5, own, folder.judge(5, own, 100), made())
