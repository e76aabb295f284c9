"""What a batch shows while it runs and when it has ended, and that no stranger's word in it is more than text."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect import flow
from prefect_server import PrefectServer
from renting import Renting
from shots import ONE_MACHINE, shot
from this_run import this_run
from waiting_for import wait_for

from octa_provider import BatchEvent, BatchProgress, BatchResult
from octa_provider.batch.result import BatchOutcome
from prefect_blocks import OctaRenderBatch
from prefect_blocks.batch_report import UPDATE_S, BatchReport
from prefect_blocks.batch_sheet import BatchSheet
from prefect_blocks.batch_totals import cost_table, totals_of
from prefect_blocks.flows import render_animation_flow

HOSTILE = "![x](http://evil.example/x.png) <img src=x onerror=alert(1)> \x1b[2J`|\n# title"


def progress(done: int, left_s: float | None = 61.0) -> BatchProgress:
    return BatchProgress(
        frames=100,
        done=done,
        failed=1,
        machines=3,
        rendering=2,
        spent_wei=10**18,
        spent_usd=0.25,
        elapsed_s=10.0,
        left_s=left_s,
    )


class Drawn:
    """The artifacts that Prefect is asked for, instead of Prefect."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.bars: list[tuple[float, str]] = []
        module = "prefect_blocks.batch_report"
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(monotonic=lambda: self.now))
        draws = SimpleNamespace(create_progress_artifact=self.draw, update_progress_artifact=self.move)
        monkeypatch.setattr(f"{module}.artifacts", draws)
        monkeypatch.setattr(f"{module}.FlowRunContext", SimpleNamespace(get=lambda: self))

    def draw(self, percent: float, key: str, text: str, **_: Any) -> None:
        assert key == "octa-render-progress"
        self.bars.append((percent, text))

    def move(self, artifact: object, percent: float, text: str, **_: Any) -> None:
        self.bars.append((percent, text))


def test_how_far_it_is_is_told_every_five_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn(monkeypatch)
    report = BatchReport("Frames 1-100 of shot.blend", "prefect/run", logging.getLogger("quiet"))
    report.expected_usd = 1.0
    for step in range(1000):
        drawn.now = step * 0.05
        report.event(BatchEvent("progress", progress(step // 10)))
        due = int(drawn.now // UPDATE_S) + 1
        # Of what waits to be sent the latest is.
        wait_for(lambda due=due: len(drawn.bars) == due, "it is drawn when it is due", every_s=0.01)
    percent, text = drawn.bars[-1]
    assert percent == 90.0
    assert text == (
        "Frames 1-100 of shot.blend: 90 of 100 frames, 1 given up, 3 machines, 0.25 of some 1.00 USD, 1m 1s left"
    )
    # The end does not wait for its turn.
    report.event(BatchEvent("ended", progress(100, None), reason="whole"))
    wait_for(lambda: drawn.bars[-1][0] == 100.0, "the end is drawn")


def test_a_batch_that_stands_still_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn(monkeypatch)
    report = BatchReport("Frames 1-100", "prefect/run", logging.getLogger("quiet"))
    for step in range(10):
        drawn.now = step * 60.0
        report.event(BatchEvent("progress", progress(5)))
        wait_for(lambda: drawn.bars, "it is drawn")
    assert len(drawn.bars) == 1


def test_a_strangers_words_are_one_line_of_text_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    report = BatchReport("Frames 1-100", "prefect/run", logging.getLogger("batch"))
    with caplog.at_level(logging.INFO, logger="batch"):
        report.event(BatchEvent("frame given up", progress(1), frame=7, node_id=3, slot=1, reason=HOSTILE))
    said = [record.getMessage() for record in caplog.records if "given up" in record.getMessage()]
    assert said[0].startswith("frame 7 was given up: ![x]")
    assert all(character.isprintable() for character in said[0])
    assert caplog.records[0].levelname == "WARNING"


def test_a_strangers_words_are_text_in_the_sheet_and_the_table(tmp_path: Path) -> None:
    sheet = BatchSheet(f"/out/{HOSTILE}", b"jpeg").markdown(f"Frames 1-2 of {HOSTILE}")
    picture, _, rest = sheet.partition("\n\n")
    assert picture.startswith("![Frames 1-2 of x")
    assert picture.endswith("](data:image/jpeg;base64,anBlZw==)")
    assert picture.count("![") == 1
    assert "<" not in picture
    assert "\n" not in rest
    assert rest.startswith("The whole sheet: ``")
    (tmp_path / "manifest.json").write_text(
        json.dumps({"machines": [{"slot": 1, "node_id": 5, "uuid": HOSTILE, "why": HOSTILE, "frames": 2}]})
    )
    result = BatchResult(BatchOutcome.INCOMPLETE, str(tmp_path), 2, 1, missing="2", message=HOSTILE)
    cells = [cell for row in cost_table(totals_of(result, None)) for cell in row.values()]
    assert all(character.isprintable() for cell in cells for character in cell)


def test_a_manifest_that_can_not_be_read_costs_the_rows_of_machines(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    result = BatchResult(BatchOutcome.WHOLE, str(tmp_path), 2, 2, cost_wei=10**30, cost_usd=1.0)
    (row,) = cost_table(totals_of(result, {"p50": 1.0, "p90": 2.0, "most": 3.0}))
    assert (row["frames"], row["wei"], row["at most"]) == ("2 of 2", str(10**30), "3.000000")


def test_a_large_sheet_is_named_and_not_stored() -> None:
    assert BatchSheet("/out/sheet.png", b"").markdown("Frames 1-2") == "The whole sheet: `/out/sheet.png`"


@pytest.mark.e2e
def test_the_contact_sheet_is_in_its_artifact(server: PrefectServer, renting: Renting, tmp_path: Path) -> None:
    """The picture is within: Prefect's UI can't read the worker's files."""

    @flow
    def renders() -> tuple[str, dict[str, Any]]:
        return this_run(), OctaRenderBatch(**shot(tmp_path, "1-6", **ONE_MACHINE)).render()

    run, totals = renders()
    assert totals["sheet"] == str(tmp_path / "out" / "sheet.png")
    assert Path(totals["sheet"]).read_bytes().startswith(b"\x89PNG")
    (sheet,) = [one for one in server.artifacts_of(run) if one["key"] == "octa-render-sheet"]
    assert sheet["data"].startswith("![Frames 1-6 of shot.py](data:image/jpeg;base64,/9j/")
    assert f"`{totals['sheet']}`" in sheet["data"]
    assert len(sheet["data"]) < 300_000


@pytest.mark.e2e
def test_its_sessions_are_events(server: PrefectServer, renting: Renting, tmp_path: Path) -> None:
    render_animation_flow(**shot(tmp_path, "1-3", **ONE_MACHINE))
    (session,) = renting.sessions

    def told() -> set[str]:
        resource = {"id": [f"octa.session.{session['uuid']}"]}
        found = server.post("/events/filter", filter={"resource": resource})["events"]
        return {str(event["event"]) for event in found}

    wait_for(lambda: told() == {"octa.session.started", "octa.session.ready", "octa.session.stopped"}, "its events")
