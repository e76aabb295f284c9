"""A batch that waits without a worker slot, while its machines have work."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow_runs import Renting, run
from dag_to_kill import AT, batch_to_kill
from quick_batch import hold_frames, quick_batch, whole_frames
from test_kill_batch import noted_frames
from test_killed_in_dag_test import first_try, process_until
from waited_for import once, pauses_end_at_once

from airflow_provider.operators.render_animation import OctaRenderAnimationOperator
from airflow_provider.triggers import batch as batch_module


def deferred(folder: Path, frames: str = "1-40", **changes: Any) -> dict[str, Any]:
    """A batch that is worth a pause, since the most of it is held until `go_on`.

    Of one machine: two change their shares more often.
    """
    options = {"frame_s": 1.0, "max_machines": 1, "deferrable": True, "min_pause_s": 10}
    batch = quick_batch(folder, frames, **options | changes)
    hold_frames(folder, 3, until=folder / "paused")
    return batch


def go_on(folder: Path) -> None:
    """Render what was held."""
    (folder / "paused").touch()


def said(capfd: pytest.CaptureFixture[str]) -> str:
    log = capfd.readouterr()
    return log.out + log.err


def test_a_batch_renders_on_while_its_task_holds_no_slot(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = deferred(tmp_path)
    drawn = noted_frames(tmp_path)
    with pauses_end_at_once() as pauses:
        going_on = once(lambda: pauses, lambda: go_on(tmp_path))
        ended = run(batch_to_kill("deferred_batch", **arguments))
        going_on.join()
    assert ended.state == "success"
    log = said(capfd)
    assert "1 machine renders on while this task waits without a slot" in log
    assert whole_frames(tmp_path) == list(range(1, 41))
    assert sorted(drawn()) == list(range(1, 41))
    told = ended.result("render")
    # As one try, however often a worker came back.
    assert (told["done"], told["rendered"], told["machines"]) == (40, 40, 1)
    drawn_at = [path.stat().st_mtime for path in (tmp_path / "out").glob("frame_*.png")]
    assert told["seconds"] > max(drawn_at) - min(drawn_at)
    (session,) = renting.sessions
    assert int(told["cost_wei"]) == int(session["charge_wei"])
    assert json.loads(Path(told["manifest"]).read_text())["whole"] is True
    assert renting.running() == []


def test_a_process_that_dies_while_the_batch_is_deferred_loses_nothing(renting: Renting, tmp_path: Path) -> None:
    name, log = "deferred_batch_killed", tmp_path / "log"
    arguments = deferred(tmp_path)
    drawn = noted_frames(tmp_path)
    with first_try(log, name, kind="batch", **arguments) as process:
        process_until(process, log, lambda: "on while this task waits" in log.read_text())
    (session,) = renting.running()
    go_on(tmp_path)
    ended = run(batch_to_kill(name, **arguments), at=AT)
    assert ended.state == "success"
    assert whole_frames(tmp_path) == list(range(1, 41))
    assert len(drawn()) <= 41
    assert [one["uuid"] for one in renting.sessions] == [session]
    assert renting.running() == []


def test_a_timeout_while_it_is_deferred_stops_every_machine(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pauses_end_at_once(time_is_over=True):
        ended = run(
            batch_to_kill("deferred_batch_late", **deferred(tmp_path, "1-90"), execution_timeout=timedelta(hours=1))
        )
    assert ended.tasks == {"render": "failed"}
    assert "waits without a slot" in said(capfd)
    assert whole_frames(tmp_path)
    assert renting.running() == []


def test_a_wait_that_airflow_ends_itself_stops_every_machine(renting: Renting, tmp_path: Path) -> None:
    """It resumes with `__fail__`, and calls nothing else."""
    operator = OctaRenderAnimationOperator(task_id="render", **deferred(tmp_path))
    ti = TaskInstance()
    with renting.client() as client:
        from airflow_provider.hooks.octa import OctaHook
        from octa_provider import MachineRequest

        with OctaHook().get_conn() as ours:
            ours.rentals.start(
                MachineRequest(image="alpine:3", start_command="sleep 600"),
                key="airflow/deferred_batch_failed/manual__1/render/-1/batch/0a1b2c3d/m1",
            )
        assert len(client.sessions.list()) >= 1
    with pytest.raises(AirflowException):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, {"ti": ti})  # type: ignore[arg-type]
    assert renting.running() == []


class TaskInstance:
    """As much of one as a task needs whose wait was ended."""

    dag_id, run_id, task_id, map_index, try_number = "deferred_batch_failed", "manual__1", "render", -1, 1
    start_date = None


@pytest.mark.parametrize("pause", [0, 5, 4000, "soon"])
def test_a_pause_that_can_not_be_is_refused_when_the_file_is_parsed(tmp_path: Path, pause: Any) -> None:
    with pytest.raises(ValueError, match="min_pause_s"):
        OctaRenderAnimationOperator(task_id="render", **deferred(tmp_path, min_pause_s=pause))


#: Nothing is on offer, for so many looks.
EMPTY = {"kind": "garbage", "method": "GET", "path": "^/services/mr$", "body": "[]"}


def test_it_waits_for_a_machine_without_a_slot_and_renders_once_there_is_one(
    renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch_module, "REFUSED_S", 0.3)
    renting.emulator.faults({**EMPTY, "times": 4})
    arguments = quick_batch(tmp_path, deferrable=True, wait_for_machine_s=3600, max_duration_s=1800, max_machines=1)
    ended = run(batch_to_kill("deferred_batch_waits", **arguments))
    log = said(capfd)
    assert ended.state == "success"
    assert "Waiting for a machine: up to 1h: no machine fits: the catalogue is empty" in log
    assert "0 of 6 frames done; no machine is to be had while this task waits without a slot, for up to" in log
    assert "a worker comes back when one is on offer" in log
    assert whole_frames(tmp_path) == list(range(1, 7))
    assert ended.result("render")["outcome"] == "whole"
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_wait_that_is_over_fails_the_task_and_says_how_long_it_was(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str], deferrable: bool
) -> None:
    renting.emulator.faults({**EMPTY, "times": None})
    # Worth a pause, and over soon.
    waits = {"deferrable": deferrable, "min_pause_s": 10, "wait_for_machine_s": 12 if deferrable else 2}
    ended = run(batch_to_kill(f"deferred_batch_waits_{deferrable}", **quick_batch(tmp_path, **waits)))
    renting.emulator.clear_faults()
    assert ended.tasks == {"render": "failed"}
    log = said(capfd)
    assert "(wait_for_machine_s)" in log
    assert ("waits without a slot" in log) is deferrable
    assert renting.sessions == []


def test_machines_that_have_run_as_long_as_they_may_end_the_batch(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = quick_batch(tmp_path, "1-90", frame_s=300.0, seconds_per_frame=None, max_duration_s=3, max_machines=1)
    ended = run(batch_to_kill("batch_too_long", **arguments))
    assert ended.tasks == {"render": "failed"}
    assert "is not whole (over budget): the machines have run for the 3s that they may (max_duration_s=3)" in said(
        capfd
    )
    assert renting.running() == []
