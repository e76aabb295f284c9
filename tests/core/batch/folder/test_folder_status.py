"""How a batch stands, told by its folder alone."""

from __future__ import annotations

import json
from pathlib import Path

from folder_bench import KEY, batch_of, made, opened, take

from octa_provider.batch.folder.status import status
from octa_provider.batch.folder.work import Spans
from octa_provider.rental.terms import Bill


def test_the_status_tells_what_is_done_what_is_missing_and_what_runs(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, "1-10")
    with opened(batch) as folder:
        folder.renting(0, 100, "key/m0")
        folder.rented(0, "uuid-0", 100, 10**18, 0.4)
        folder.renting(1, 101, "key/m1")
        take(folder, 1, 2, 3, 7)
        folder.refuse(8, folder.incoming(0), "cut", made())
        folder.give_up(9, "nobody has it")
        told = status(tmp_path / "out")
    assert (told.frames, told.done, told.missing, told.asked) == (10, 4, "4-6,8-10", "1-10")
    assert told.failed == {9: "nobody has it"}
    assert told.refused == 1
    assert told.running
    assert told.open_rentals == ("uuid-0", "key/m1")
    assert (told.machines, told.cost_wei, told.runs, told.key) == (2, 0, 1, KEY)
    assert not told.is_whole
    assert json.loads(json.dumps(told.to_dict()))["failed"] == {"9": "nobody has it"}


def test_the_status_changes_nothing_and_sees_what_is_gone(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path, "1-3")) as folder:
        folder.renting(0, 100, "key/m0")
        take(folder, 1, 2, 3)
        folder.ended(0, Bill("uuid-0", 7, 0.1, 1.0, "done"), Spans(), "done")
    (tmp_path / "out" / "frame_0002.png").unlink()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    told = status(str(tmp_path / "out"))
    assert (told.done, told.missing, told.cost_wei, told.open_rentals) == (2, "2", 7, ())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_the_status_after_a_scene_was_replaced_is_of_the_new_one(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path, "1-3")) as folder:
        folder.renting(0, 100, "key/m0")
        take(folder, 1, 2, 3)
    with opened(batch_of(tmp_path, "1-3", content=b"edited", on_changed="replace")) as folder:
        take(folder, 2, slot=1)
    told = status(tmp_path / "out")
    assert (told.done, told.missing, told.runs) == (1, "1,3", 1)
    # The old scene's machine may still run, and cost.
    assert told.open_rentals == ("key/m0",)
