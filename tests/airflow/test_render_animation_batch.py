"""A batch as one task: it renders what is missing, tells what it came to, and leaves nothing, however it ends."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Param
from airflow_runs import Renting, Run, run
from quick_batch import break_frames, hold_frames, quick_batch, whole_frames
from waited_for import once, until

from airflow_provider.batch_on_worker import BatchTask
from airflow_provider.exceptions import OctaBatchIncompleteError, OctaTaskKilledError
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.links import OctaContactSheetLink, OctaManifestLink
from airflow_provider.operators.plan_render import OctaPlanRenderOperator
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator
from octa_provider import BatchOutcome, BatchResult


def render(name: str, **arguments: Any) -> Any:
    """A DAG of one batch."""
    with DAG(name, schedule=None) as dag:
        OctaRenderAnimationOperator(task_id="render", **arguments)
    return dag


def planned(name: str, plan: dict[str, Any], **arguments: Any) -> Any:
    """A DAG of a plan, and of the batch that keeps to it."""
    with DAG(name, schedule=None, params={"seconds": Param(5.0)}) as dag:
        quoted = OctaPlanRenderOperator(task_id="plan", **plan)
        OctaRenderAnimationOperator(task_id="render", quote=quoted.output, **plan | arguments)
    return dag


class TaskInstance:
    """As much of one as a task tells that runs outside Airflow."""

    dag_id, run_id, task_id, map_index, try_number = "batch", "manual__1", "render", -1, 1

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def said(capfd: pytest.CaptureFixture[str]) -> str:
    log = capfd.readouterr()
    return log.out + log.err


def charged_wei(renting: Renting) -> int:
    return sum(int(session["charge_wei"]) for session in renting.sessions)


def once_it_renders(renting: Renting, folder: Path, act: Callable[[], object]) -> threading.Thread:
    """Do something as soon as a frame of a batch that runs has come."""

    return once(lambda: renting.running() and whole_frames(folder), act)


def test_a_batch_renders_every_frame_and_tells_what_it_came_to(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = run(planned("batch_whole", quick_batch(tmp_path, "1-12", frame_s=0.1)))
    assert ended.state == "success"
    assert whole_frames(tmp_path) == list(range(1, 13))
    told, quote = ended.result("render"), ended.result("plan")
    assert (told["outcome"], told["frames"], told["done"], told["rendered"]) == ("whole", 12, 12, 12)
    assert told["missing"] == ""
    assert told["machines"] == len(renting.sessions) >= 1
    assert int(told["cost_wei"]) == charged_wei(renting) > 0
    assert told["cost_usd"] > 0
    assert told["quoted_cost_p50_usd"] == quote["chosen"]["cost_p50_usd"]
    assert told["quoted_cost_most_usd"] == quote["chosen"]["cost_most_usd"] >= told["cost_usd"]
    assert told["seconds"] > 0
    assert told == ended.result("render", "batch")
    assert len(json.dumps(told)) < 3000
    manifest = json.loads(Path(told["manifest"]).read_text())
    assert manifest["whole"] is True
    assert ended.result("render", OctaManifestLink().xcom_key) == Path(told["manifest"]).as_uri()
    log = said(capfd)
    assert "Rented node " in log
    assert "Let go of node " in log
    assert " of 12 frames done, " in log
    assert "Whole: 12 of 12 frames, 12 rendered by " in log
    assert f"quoted: {quote['text']}" in log
    assert "frame accepted" not in log
    assert renting.running() == []


def test_a_contact_sheet_is_made_where_it_can_be(renting: Renting, tmp_path: Path) -> None:
    ended = run(render("batch_sheet", **quick_batch(tmp_path, "1-4")))
    sheet = tmp_path / "out" / "sheet.png"
    assert ended.result("render")["sheet"] == str(sheet)
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert ended.result("render", OctaContactSheetLink().xcom_key) == sheet.as_uri()


def test_without_the_extra_the_link_of_the_sheet_leads_to_the_frames(
    renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    ended = run(render("batch_no_sheet", **quick_batch(tmp_path, "1-4")))
    assert ended.state == "success"
    assert ended.result("render")["sheet"] is None
    assert ended.result("render", OctaContactSheetLink().xcom_key) == (tmp_path / "out").as_uri()


def test_a_whole_batch_rents_nothing_the_next_time(renting: Renting, tmp_path: Path) -> None:
    dag = planned("batch_again", quick_batch(tmp_path, "1-4"))
    assert run(dag).state == "success"
    before = len(renting.sessions)
    ended = run(dag)
    assert ended.state == "success"
    assert len(renting.sessions) == before
    assert ended.result("plan")["text"] == "every frame is there: nothing is rented"
    assert (ended.result("render")["rendered"], ended.result("render")["machines"]) == (0, 0)


def test_missing_frames_fail_the_task_and_are_named_as_a_range(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = quick_batch(tmp_path, "1-9", tries_per_frame=1, max_failed_frames=9)
    break_frames(tmp_path, "4,5,6", until=tmp_path / "never")
    ended = run(render("batch_incomplete", **arguments))
    assert ended.state == "failed"
    told = ended.result("render", "batch")
    assert told["outcome"] == "incomplete"
    assert told["missing"] == "4-6"
    assert told["done"] == len(whole_frames(tmp_path)) == 6
    assert int(told["cost_wei"]) == charged_wei(renting)
    log = said(capfd)
    assert "OctaBatchIncompleteError" in log
    assert "Missing: 4-6" in log
    assert renting.running() == []


def test_a_retry_goes_on_with_what_is_there(renting: Renting, tmp_path: Path) -> None:
    arguments = quick_batch(tmp_path, "1-9", tries_per_frame=1, max_failed_frames=9)
    mended = tmp_path / "mended"
    break_frames(tmp_path, "4,5,6", until=mended)
    ended = run(
        render("batch_retried", **arguments, retries=1, retry_delay=0, on_retry_callback=lambda context: mended.touch())
    )
    assert mended.exists()
    assert ended.state == "success"
    assert whole_frames(tmp_path) == list(range(1, 10))
    assert ended.result("render")["rendered"] == 3
    assert renting.running() == []


def test_a_scene_that_can_not_be_rendered_fails_for_good(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = quick_batch(tmp_path, "1-9")
    arguments["renderer"]["command"] = (
        "sh -c 'echo octa-scene-error: there is no camera; exit 1 {scene} {frame} {output}'"
    )
    ended = run(render("batch_scene", **arguments, retries=3))
    assert ended.tasks == {"render": "failed"}
    assert ended.result("render", "batch")["outcome"] == "scene error"
    assert "there is no camera" in said(capfd)
    assert len(renting.sessions) <= 2
    assert renting.running() == []


def test_the_budget_is_of_the_whole_batch(renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def hours_pass() -> None:
        renting.emulator.advance_clock(10 * 3600)
        (tmp_path / "later").touch()

    arguments = quick_batch(tmp_path, "1-9", frame_s=0.5)
    hold_frames(tmp_path, 1, until=tmp_path / "later")
    hours = once_it_renders(renting, tmp_path, hours_pass)
    assert run(render("batch_spends", **arguments)).state == "success"
    hours.join()
    before = len(renting.sessions)
    more = arguments | {"frames": "1-40", "max_cost_usd": 0.5}
    ended = run(render("batch_spends", **more, retries=3))
    assert ended.tasks == {"render": "failed"}
    assert "the budget of 0.5 USD is spent" in said(capfd)
    assert len(renting.sessions) == before


@pytest.mark.parametrize(
    ("outcome", "is_killed", "error"),
    [
        (BatchOutcome.INCOMPLETE, False, OctaBatchIncompleteError),
        (BatchOutcome.OVER_BUDGET, False, AirflowFailException),
        (BatchOutcome.SCENE_ERROR, False, AirflowFailException),
        (BatchOutcome.CANCELLED, True, OctaTaskKilledError),
    ],
)
def test_a_batch_that_is_not_whole_ends_its_task_by_why(
    tmp_path: Path, outcome: BatchOutcome, is_killed: bool, error: type[Exception]
) -> None:
    operator = OctaRenderAnimationOperator(task_id="render", **quick_batch(tmp_path, "1-9"))
    context: Any = {"ti": TaskInstance()}
    task = BatchTask(operator, context, operator.batch(), None, {"rendered": 4, "began_at": 1.0, "rented": ["a", "b"]})
    result = BatchResult(outcome, str(tmp_path / "out"), 9, 6, rendered=1, missing="4-6", machines=1, cost_wei=10**22)
    with pytest.raises(error):
        task.conclude(result, is_killed=is_killed)
    told = context["ti"].pushed["batch"]
    assert (told["outcome"], told["missing"], told["rendered"], told["machines"]) == (outcome.value, "4-6", 5, 2)
    assert told["seconds"] > 1e9
    assert told["cost_wei"] == "10000000000000000000000"


def test_a_quote_that_the_market_can_not_keep_rents_nothing(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = quick_batch(tmp_path, "1-12", seconds_per_frame="{{ params.seconds }}")
    ended = run(planned("batch_dear", plan, seconds_per_frame=500, retries=3))
    assert ended.tasks == {"plan": "success", "render": "failed"}
    assert "today's market asks for" in said(capfd)
    assert renting.sessions == []


def test_a_scene_that_changed_since_the_quote_rents_nothing(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = quick_batch(tmp_path, "1-12")
    script = tmp_path / "scene" / "shot.py"
    ended = run(
        planned("batch_changed", plan, pre_execute=lambda context: script.write_text(script.read_text() + "# other\n"))
    )
    assert ended.tasks == {"plan": "success", "render": "failed"}
    assert "changed since it was quoted" in said(capfd)
    assert renting.sessions == []


def test_an_output_that_the_worker_does_not_see_rents_nothing(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The plan ran on another worker, whose folder of that name is another one."""
    mark = tmp_path / "out" / ".octa" / "mark"
    ended = run(planned("batch_elsewhere", quick_batch(tmp_path), pre_execute=lambda context: mark.unlink()))
    assert ended.tasks == {"plan": "success", "render": "failed"}
    assert "output must be on storage that every worker sees" in said(capfd)
    assert renting.sessions == []
    ended = run(planned("batch_elsewhere", quick_batch(tmp_path), output=str(tmp_path / "other")))
    assert ended.tasks["render"] == "failed"
    assert "give both steps the same" in said(capfd)
    assert renting.sessions == []


def test_what_is_no_quote_rents_nothing(renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for quote in ("yes", {"frames": 3}, {"frames": "many"}):
        ended = run(render("batch_no_quote", **quick_batch(tmp_path), quote=quote, retries=3))
        assert ended.tasks == {"render": "failed"}
    assert "give what a plan step returned" in said(capfd)
    assert renting.sessions == []


def test_a_folder_that_another_process_renders_into_is_left_alone(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Airflow takes a worker for dead that it does not hear of; the next try must not stop what that one renders."""
    arguments = quick_batch(tmp_path, "1-30", frame_s=0.3)
    hold_frames(tmp_path, 3, until=tmp_path / "refused")
    dag = render("batch_busy", **arguments)
    with OctaHook().get_conn() as client:
        operator = dag.get_task("render")
        other = threading.Thread(
            target=client.batches.run,
            args=(operator.batch(), "airflow/batch_busy/another-run/render/-1"),
            kwargs={"private_key": renting.emulator.ssh_private_key},
        )
        other.start()
        until(lambda: whole_frames(tmp_path))
        ended = run(dag)
        assert ended.tasks == {"render": "failed"}
        log = said(capfd)
        assert "OctaBatchBusyError" in log
        assert f"process {os.getpid()} on " in log
        assert renting.running() != []
        (tmp_path / "refused").touch()
        other.join()
    assert whole_frames(tmp_path) == list(range(1, 31))


def test_frames_of_another_scene_are_refused_before_money_is_spent(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(render("batch_first", **quick_batch(tmp_path, "1-3"))).state == "success"
    before = len(renting.sessions)
    other = quick_batch(tmp_path, "1-3", frame_s=0.1)
    ended = run(render("batch_second", **other, retries=3))
    assert ended.tasks == {"render": "failed"}
    assert "on_changed" in said(capfd)
    assert len(renting.sessions) == before


def test_each_index_of_a_mapped_batch_has_machines_of_its_own(renting: Renting, tmp_path: Path) -> None:
    given = quick_batch(tmp_path)
    given.pop("output"), given.pop("frames"), given.pop("max_machines")
    with DAG("batch_mapped", schedule=None) as dag:
        OctaRenderAnimationOperator.partial(task_id="render", max_machines=1, **given).expand_kwargs(
            [
                {"frames": "1-3", "output": str(tmp_path / "out" / "a")},
                {"frames": "4-6", "output": str(tmp_path / "out" / "b")},
            ]
        )
    ended = run(dag)
    assert ended.state == "success"
    assert sorted(path.name for path in (tmp_path / "out").glob("*/frame_*.png")) == [
        f"frame_000{n}.png" for n in range(1, 7)
    ]
    assert len({session["rental_key"] for session in renting.sessions}) == len(renting.sessions) == 2


def cost_of(ended: Run) -> int:
    return int(ended.result("render")["cost_wei"])


def test_what_a_batch_came_to_is_told_to_its_outlets(renting: Renting, tmp_path: Path) -> None:
    from airflow.providers.common.compat.sdk import Asset

    told: list[Any] = []
    dag = render(
        "batch_outlet",
        **quick_batch(tmp_path, "1-3"),
        outlets=[Asset("octa://shot")],
        post_execute=lambda context, result=None: told.extend(
            context["outlet_events"][outlet].extra for outlet in context["task"].outlets
        ),
    )
    ended = run(dag)
    assert ended.state == "success"
    assert told[0]["done"] == 3
    assert told[0]["cost_wei"] == str(cost_of(ended))
