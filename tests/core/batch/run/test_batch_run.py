"""A batch, from the first machine to the bill, on the emulator."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import asyncssh
import pytest
from studio import PACING, open_studio

from octa_provider.batch.events import BatchEvent
from octa_provider.batch.plan import Plan
from octa_provider.batch.result import BatchOutcome
from octa_provider.errors import OctaConfigError, OctaLocalFileError, OctaPlanError, OctaSshError
from octa_provider.files.limits import TransferLimits
from octa_provider.pictures import check_frames

if TYPE_CHECKING:
    from studio import Studio


def test_every_frame_is_there_and_whole_and_the_bill_is_the_ledgers_to_the_wei(studio: Studio) -> None:
    result = studio.run(studio.batch("1-12"))
    assert result.outcome is BatchOutcome.WHOLE, result
    assert (result.done, result.rendered, result.missing) == (12, 12, "")
    assert check_frames(studio.output, "1-12").whole
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()
    with (studio.output / "cost.csv").open() as file:
        assert sum(int(row["cost_wei"]) for row in csv.DictReader(file)) == result.cost_wei
    manifest = json.loads((studio.output / "manifest.json").read_text())
    assert manifest["whole"] is True
    assert studio.events[0].kind == "started"
    assert studio.events[-1].kind == "ended"
    assert {event.frame for event in studio.told("frame accepted")} == set(range(1, 13))
    rented = [event.uuid for event in studio.told("machine rented")]
    assert rented
    assert sorted(map(str, rented)) == sorted(str(event.uuid) for event in studio.told("machine ended"))


def test_an_organization_pays_for_every_machine_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTA_ORGANIZATION_ID", "77")
    with open_studio(tmp_path) as studio:
        assert studio.run(studio.batch("1-3")).outcome is BatchOutcome.WHOLE
        sessions = studio.emulator.ledger()["sessions"]
    assert {session["organization_id"] for session in sessions} == {77}


def test_a_finished_batch_makes_no_post(studio: Studio) -> None:
    studio.run(studio.batch("1-3"))
    posts = studio.posts()
    again = studio.run(studio.batch("1-3"))
    assert again.outcome is BatchOutcome.WHOLE
    assert again.rendered == 0
    assert studio.posts() == posts


def test_one_frame_that_was_deleted_is_rendered_and_no_other(studio: Studio) -> None:
    studio.run(studio.batch("1-6"))
    before = {path.name: path.stat().st_mtime_ns for path in studio.output.glob("*.png")}
    (studio.output / "frame_0004.png").unlink()
    again = studio.run(studio.batch("1-6"))
    assert again.outcome is BatchOutcome.WHOLE
    assert again.rendered == 1
    assert [event.frame for event in studio.told("frame accepted")] == [4]
    after = {path.name: path.stat().st_mtime_ns for path in studio.output.glob("*.png")}
    assert {name for name in after if after[name] != before[name]} == {"frame_0004.png"}


def test_every_tenth_frame_first_and_the_rest_later_is_one_batch(studio: Studio) -> None:
    first = studio.run(studio.batch("1001-1020x10"))
    assert first.rendered == 2
    rest = studio.run(studio.batch("1001-1020"))
    assert (rest.done, rest.rendered) == (20, 18)
    assert check_frames(studio.output, "1001-1020").whole


def test_labels_are_on_every_machine_and_make_no_other_batch(studio: Studio) -> None:
    told = {"project": "atlas", "\u00fcbung": "1/2"}
    assert studio.run(studio.batch("1-3", labels=told)).outcome is BatchOutcome.WHOLE
    labelled = [one.labels for one in studio.octa.sessions.list(recent=True)]
    assert labelled == [told] * len(labelled) != []
    assert json.loads((studio.output / "manifest.json").read_text())["labels"] == told
    # What is rendered is not rendered again for another word; the folder of an earlier release knows none.
    assert studio.run(studio.batch("1-3", labels={"project": "other"})).rendered == 0
    record = studio.output / ".octa" / "batch.json"
    value = json.loads(record.read_text())
    assert value["terms"].pop("labels") == told
    record.write_text(json.dumps(value))
    assert studio.octa.batches.resume(studio.output, private_key=studio.emulator.ssh_private_key).rendered == 0
    with pytest.raises(OctaConfigError, match="labels: the value of project"):
        studio.batch("1-3", labels={"project": "two\nlines"})


def test_a_resume_needs_the_folder_alone(studio: Studio) -> None:
    stopped = studio.run(
        studio.batch("1-24", frame_s=0.4), is_cancelled=lambda: len(studio.told("frame accepted")) >= 3
    )
    assert stopped.outcome is BatchOutcome.CANCELLED
    assert 3 <= stopped.done < 24
    assert studio.nothing_runs()
    resumed = studio.resume()
    assert resumed.outcome is BatchOutcome.WHOLE
    assert resumed.rendered == 24 - stopped.done
    assert resumed.cost_wei == studio.charged_wei()


def test_a_changed_scene_is_refused_by_name_before_anything_is_rented(studio: Studio) -> None:
    studio.run(studio.batch("1-3"))
    posts = studio.posts()
    script = studio.scene / "shot.py"
    script.write_text(script.read_text() + "# brighter\n")
    with pytest.raises(OctaConfigError, match=r"shot\.py changed"):
        studio.run(studio.batch("1-3"))
    assert studio.posts() == posts
    assert studio.run(studio.batch("1-3", on_changed="replace")).rendered == 3


def test_a_scene_that_is_saved_while_it_is_rendered_is_given_to_no_other_machine(studio: Studio) -> None:
    script = studio.scene / "shot.py"
    before = script.read_text()

    def save_and_lose_the_machine(event: BatchEvent) -> None:
        if event.kind == "frame accepted" and script.read_text() == before:
            script.write_text(before.replace("frame * 7", "frame * 9"))
            for uuid in studio.emulator.ledger()["running_uuids"]:
                studio.emulator.end_session(uuid)

    batch = studio.batch("1-20", frame_s=0.6, seconds_per_frame=12.0, max_machines=1)
    with pytest.raises(OctaLocalFileError, match="scene was changed while it was rendered"):
        studio.run(batch, on_event=save_and_lose_the_machine)
    assert studio.starts() == 1
    assert studio.nothing_runs()
    script.write_text(before)
    assert studio.run(batch).outcome is BatchOutcome.WHOLE


def test_a_machine_that_has_the_scene_ends_the_batch_although_it_is_saved_meanwhile(studio: Studio) -> None:
    script = studio.scene / "shot.py"

    def save(event: BatchEvent) -> None:
        if event.kind == "machine ready":
            script.write_text(script.read_text() + "# saved")

    result = studio.run(studio.batch("1-6", frame_s=0.1, seconds_per_frame=30.0, max_machines=1), on_event=save)
    assert result.outcome is BatchOutcome.WHOLE


def test_a_key_that_no_machine_takes_costs_two_start_ups(studio: Studio, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    with pytest.raises(OctaSshError, match="refused the key: give the private key whose public half"):
        studio.run(
            studio.batch("1-40", seconds_per_frame=60.0, max_machines=1),
            private_key=other,
            pacing=replace(PACING, login_s=1.0),
        )
    assert studio.starts() == 2
    assert studio.nothing_runs()


def test_frames_that_the_disk_here_cant_take_are_not_paid_for(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def room_for(size: int) -> None:
        free = TransferLimits().keep_free_bytes + size
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=free, used=0, free=free))

    room_for(0)
    with pytest.raises(OctaLocalFileError, match="out is full: make room"):
        studio.run(studio.batch("1-12"))
    assert studio.posts() == 0
    monkeypatch.undo()
    # Three frames are measured, and so many more of their size do not fit.
    room_for(2000)
    asked: list[Plan] = []
    batch = studio.batch("1-100")
    with pytest.raises(OctaLocalFileError, match="are to be fetched: make room"):
        studio.run(batch, approve=lambda plan: bool(asked.append(plan)))
    assert (asked, studio.starts(), studio.nothing_runs()) == ([], 1, True)


def test_a_batch_that_nothing_pays_for_says_so_in_one_line(tmp_path: Path) -> None:
    with open_studio(tmp_path, machines=1, balance_octa=0.0001) as poor:
        result = poor.run(poor.batch("1-6", seconds_per_frame=30.0))
        assert result.outcome is BatchOutcome.INCOMPLETE
        assert "the balance is empty; session ended: insufficient_funds" in result.message
        assert "\n" not in result.message
        assert poor.nothing_runs()


def test_a_plan_that_is_not_approved_rents_nothing_more(studio: Studio) -> None:
    plans: list[Plan] = []

    def refuse(plan: Plan) -> bool:
        plans.append(plan)
        return False

    result = studio.run(studio.batch("1-12", seconds_per_frame=60.0), approve=refuse)
    assert result.outcome is BatchOutcome.CANCELLED
    assert len(plans) == 1
    assert studio.posts() == 0
    assert not studio.events[-1].progress.machines


def test_what_a_frame_takes_is_measured_on_one_machine_before_the_plan_is_told(studio: Studio) -> None:
    seen: list[tuple[int, Plan]] = []

    def approve(plan: Plan) -> bool:
        seen.append((studio.starts(), plan))
        return True

    result = studio.run(studio.batch("1-12", frame_s=0.1), approve=approve)
    assert result.outcome is BatchOutcome.WHOLE
    [(starts, plan)] = seen
    assert starts == 1
    assert plan.frames == 9
    assert {event.frame for event in studio.told("frame accepted")[:3]} == {1, 7, 12}


def test_no_plan_that_meets_the_deadline_is_said_before_anything_is_rented(studio: Studio) -> None:
    with pytest.raises(OctaPlanError, match="do not finish within"):
        studio.run(studio.batch("1-100", seconds_per_frame=600.0, finish_within_s=600.0, max_machines=2))
    assert studio.posts() == 0


def test_measuring_rents_one_machine_keeps_its_frames_and_makes_a_plan(studio: Studio) -> None:
    batch = studio.batch("1-12", frame_s=0.1)
    key = studio.emulator.ssh_private_key
    plan = studio.octa.batches.measure(batch, "test/batch", private_key=key)
    assert plan.chosen is not None
    assert studio.nothing_runs()
    assert studio.starts() == 1
    assert studio.octa.batches.status(studio.output).done == 3
    again = studio.octa.batches.plan(batch)
    assert again.frames == 9
    assert studio.run(batch).rendered == 9


def test_a_batch_never_costs_more_than_its_cap_and_one_look(tmp_path: Path) -> None:
    with open_studio(tmp_path, speed=60.0) as studio:
        batch = studio.batch("1-200", frame_s=0.3, seconds_per_frame=0.5, max_cost_usd=0.02, confidence=0.5)
        result = studio.run(batch)
        assert result.outcome is BatchOutcome.OVER_BUDGET, result
        assert result.done < 200
        assert studio.nothing_runs()
        assert result.cost_usd is not None
        assert result.cost_wei is not None
        look_usd = studio.one_look_wei() * result.cost_usd / result.cost_wei
        assert result.cost_usd <= 0.02 + look_usd
        assert result.missing
        assert "raise it" in result.message
        with pytest.raises(OctaPlanError, match=r"budget|above"):
            studio.run(replace(batch, max_cost_usd=result.cost_usd))


def test_no_more_is_spent_than_was_agreed_to_at_most(tmp_path: Path) -> None:
    with open_studio(tmp_path, speed=20.0) as studio:
        plans: list[Plan] = []
        batch = studio.batch("1-200", frame_s=0.4, seconds_per_frame=0.01)
        result = studio.run(batch, approve=lambda plan: plans.append(plan) is None)
        assert result.outcome is BatchOutcome.OVER_BUDGET, result
        [plan] = plans
        assert plan.chosen is not None
        assert result.cost_wei is not None
        assert result.cost_wei <= plan.chosen.cost_most_wei + studio.one_look_wei()
        assert "at most" in result.message


def test_what_a_listener_raises_ends_the_batch_with_nothing_running(studio: Studio) -> None:
    def fail(event: object) -> None:
        if getattr(event, "kind", "") == "frame accepted":
            raise BrokenPipeError("nobody reads")

    with pytest.raises(BrokenPipeError):
        studio.run(studio.batch("1-12"), on_event=fail)
    assert studio.nothing_runs()
    # What it cost until then is in the folder, for whoever reads the results alone.
    told = json.loads((studio.output / "manifest.json").read_text())
    assert int(told["cost_wei"]) == studio.octa.batches.status(studio.output).cost_wei > 0
    assert all(one["has_ended"] for one in told["machines"])


def test_an_api_that_is_away_when_a_run_begins_is_asked_again(studio: Studio) -> None:
    studio.emulator.faults({"kind": "status", "status": 503, "times": 6})
    assert studio.run(studio.batch("1-3")).outcome is BatchOutcome.WHOLE


def test_terms_that_were_refused_are_not_gone_on_with(studio: Studio) -> None:
    key = studio.emulator.ssh_private_key
    stopped = studio.run(
        studio.batch("1-6", frame_s=1.5, seconds_per_frame=5.0),
        is_cancelled=lambda: len(studio.told("frame accepted")) >= 2,
    )
    assert stopped.outcome is BatchOutcome.CANCELLED
    with pytest.raises(OctaPlanError):
        studio.octa.batches.resume(studio.output, private_key=key, finish_within_s=1.0)
    more = studio.batch("1-600", frame_s=1.5, seconds_per_frame=5.0)
    assert studio.run(more, approve=lambda plan: False).rendered == 0
    resumed = studio.resume()
    assert (resumed.outcome, resumed.frames) == (BatchOutcome.WHOLE, 6)
