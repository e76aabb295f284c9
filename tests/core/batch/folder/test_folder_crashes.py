"""Whatever dies at whatever step: an accepted frame stays, and nothing that is not accepted has a frame's name."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from crashing import CrashingDisk
from folder_bench import RENDERER, TWO_FILES, batch_of, fetched, finals, made, opened, png
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.batch.batch import Batch
from octa_provider.batch.folder.batch_folder import BatchFolder
from octa_provider.batch.folder.work import Spans
from octa_provider.batch.renderers.renderer import Renderer

FRAMES = range(1, 6)
#: What a run does: a frame from a machine, whole or cut; or the machine ends.
STEPS = ((1, 0, True), (2, 1, False), (2, 0, True), (1, 1, True), (4, 1, True), (None, 1, True), (5, 0, True))


def two_files(root: Path) -> Batch:
    return batch_of(root, "1-5", renderer=Renderer(RENDERER.image, RENDERER.command, TWO_FILES))


def whole_copy(frame: int, slot: int) -> dict[str, bytes]:
    """The two files of a frame, as one machine renders them: what they took is in them, so that each one's differ."""
    main, depth = f"frame_{frame:04d}.png", f"depth/{frame:04d}.png"
    return {main: png(frame, took_s=1 + slot), depth: png(frame, scene=None, took_s=1 + slot)}


def work(folder: BatchFolder, steps: Sequence[tuple[int | None, int, bool]], promised: dict[int, int]) -> None:
    """Do what a run does; what it was promised is kept in `promised`: whose copy of a frame is accepted."""
    for number, slot, is_whole in steps:
        if number is None:
            folder.ended(slot, None, Spans(), "done")
            continue
        for name, data in whole_copy(number, slot).items():
            incoming = fetched(folder, number, data if is_whole else data[:-7], slot=slot, name=name)
        verdict = folder.judge(number, incoming, 100 + slot)
        assert verdict.is_whole == is_whole
        if not is_whole:
            folder.refuse(number, incoming, verdict.flaw, made(slot))
        elif folder.accept(number, incoming, verdict, made(slot)):
            assert number not in promised
            promised[number] = slot
        else:
            assert number in promised


def check(root: Path, promised: dict[int, int]) -> None:
    """What must hold when it is opened again, and when it is gone on with to the end."""
    with opened(two_files(root)) as folder:
        accepted = set(folder.accepted)
        assert promised.keys() <= accepted
        found = finals(root)
        of_frame: dict[str, int] = {name: number for number in FRAMES for name in whole_copy(number, 0)}
        assert {of_frame[name] for name in found} == accepted
        for number in accepted:
            copies = [whole_copy(number, slot) for slot in (0, 1)]
            mine = {name: found[name] for name in copies[0]}
            assert mine in ([copies[promised[number]]] if number in promised else copies)
        assert not any((root / "out" / ".octa" / "incoming").iterdir())
        assert folder.check_whole() == [number for number in FRAMES if number not in accepted]
        work(folder, [(number, 0, True) for number in FRAMES if number not in accepted], dict.fromkeys(accepted, 0))
        assert folder.check_whole() == []
        assert {name: finals(root)[name] for name in found} == found
        folder.write_results()


def run_until_crash(root: Path, disk: CrashingDisk, steps: Sequence[tuple[int | None, int, bool]]) -> None:
    promised: dict[int, int] = {}
    batch = two_files(root)
    with disk(root), opened(batch) as folder:
        work(folder, steps, promised)
        folder.write_results()
    check(root, promised)


# The same lines hundreds of times: to count them once is enough.
@pytest.mark.parametrize("power", [pytest.param(False, marks=pytest.mark.no_cover), True])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.no_cover)])
def test_a_crash_at_each_step_of_a_run_loses_no_accepted_frame_and_shows_no_other(power: bool, seed: int) -> None:
    at = 0
    while True:
        disk = CrashingDisk(at, seed + at, power=power)
        with tempfile.TemporaryDirectory() as root:
            run_until_crash(Path(root), disk, STEPS)
        if not disk.died:
            break
        at += 1
    assert at > 40


STEP = st.tuples(st.sampled_from([1, 2, 3, 4, 5, None]), st.integers(0, 1), st.booleans())


@settings(max_examples=60)
@given(
    steps=st.lists(STEP, min_size=1, max_size=12),
    crashes=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2**16), st.booleans()), min_size=1, max_size=3),
)
def test_crash_after_crash_loses_no_accepted_frame(
    steps: list[tuple[int | None, int, bool]], crashes: list[tuple[int, int, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root, promised = Path(place), dict[int, int]()
        batch = two_files(root)
        for at, seed, power in crashes:
            with CrashingDisk(at, seed, power=power)(root), opened(batch) as folder:
                # What a crash left half done may have been finished: whose copy it is tells its file.
                for number in set(folder.accepted) - promised.keys():
                    main = finals(root)[f"frame_{number:04d}.png"]
                    promised[number] = 0 if main == next(iter(whole_copy(number, 0).values())) else 1
                work(folder, steps, promised)
        check(root, promised)
