"""The example DAGs, end to end on emulated machines: each does what its first lines say, and leaves nothing running.

`render_animation` has a file of its own.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import airflow
import pytest
from airflow_runs import Renting, Run, example, run
from small_scene import make_scene

from airflow_provider.hooks.octa import OctaHook
from octa_provider import MachineRequest

pytestmark = [pytest.mark.e2e]

ROOT = Path(__file__).parents[2]
ASKS_A_PERSON = pytest.mark.skipif(
    airflow.__version__.startswith(("3.1.", "3.2.")),
    reason="dag.test() of Airflow 3.1 and 3.2 hands an approval's trigger no answer, which only a triggerer does",
)
HAS_APPROVAL = not airflow.__version__.startswith(("2.", "3.0."))


def charged(renting: Renting) -> dict[str, int]:
    """What the ledger charged, by uuid."""
    return {session["uuid"]: int(session["charge_wei"]) for session in renting.sessions}


def cost(ended: Run, task: str) -> int:
    return int(ended.result(task, "cost")["cost_wei"])


def told(capfd: pytest.CaptureFixture[str]) -> str:
    log = capfd.readouterr()
    return log.out + log.err


def test_a_training_sends_its_data_and_brings_its_model_home(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, model = tmp_path / "points.csv", tmp_path / "models" / "model.json"
    data.write_text("x,y\n" + "".join(f"{x},{3 * x + 7}\n" for x in range(-5, 6)))
    ended = run(example("gpu_training"), {"data": str(data), "model": str(model), "epochs": 3})
    assert ended.state == "success"
    fitted = json.loads(model.read_text())
    assert (fitted["slope"], fitted["offset"]) == pytest.approx((3, 7), abs=0.01)
    assert "[job] epoch 3/3, loss 0.0" in told(capfd)
    assert (tmp_path / "models" / "model.json.log").read_text().startswith("epoch 1/3, loss ")
    assert {ended.result("train")["uuid"]: cost(ended, "train")} == charged(renting)
    assert cost(ended, "train") > 0
    assert ended.result("report")["loss"] == fitted["loss"]
    assert ended.result("report")["cost_usd"] == ended.result("train", "cost")["cost_usd"] > 0
    assert renting.running() == []


def test_a_training_without_data_is_skipped(renting: Renting, tmp_path: Path) -> None:
    data = tmp_path / "points.csv"
    data.write_text("x,y\n")
    ended = run(example("gpu_training"), {"data": str(data), "model": str(tmp_path / "model.json")})
    assert ended.tasks == {"train": "skipped", "report": "skipped"}
    assert not (tmp_path / "model.json").exists()
    assert charged(renting) == {ended.result("train", "uuid"): cost(ended, "train")}
    assert renting.running() == []


def test_a_function_runs_on_three_machines(renting: Renting, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run(example("function_on_a_gpu"), {"points": 20000})
    assert ended.state == "success"
    each = [ended.result(f"estimate_pi[{index}]") for index in range(3)]
    assert [estimate["seed"] for estimate in each] == [1, 2, 3]
    assert len({estimate["pi"] for estimate in each}) > 1
    assert ended.result("combine") == pytest.approx(sum(estimate["pi"] for estimate in each) / 3)
    assert ended.result("combine") == pytest.approx(3.14, abs=0.05)
    assert "[job] seed 3: " in told(capfd)
    assert sorted(charged(renting).values()) == sorted(cost(ended, f"estimate_pi[{index}]") for index in range(3))
    assert len(renting.sessions) == 3
    assert renting.running() == []


def test_plain_tasks_share_a_machine(renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "words.txt").write_text("pear\napple\npear\nfig\n")
    ended = run(example("plain_tasks_around_a_session"), shared(tmp_path))
    assert ended.state == "success"
    assert (tmp_path / "results" / "sorted.txt").read_text() == "apple\nfig\npear\n"
    assert (tmp_path / "results" / "count.txt").read_text().strip() == "3"
    assert len(ended.result("machine.download")) == 2
    bill = ended.result("machine.stop")
    assert {bill["uuid"]: int(bill["charge_wei"])} == charged(renting)
    assert "has stopped; cost" in told(capfd)
    assert renting.running() == []


def test_their_machine_is_stopped_when_one_fails(renting: Renting, tmp_path: Path) -> None:
    ended = run(example("plain_tasks_around_a_session"), shared(tmp_path))
    assert ended.state == "failed"
    assert ended.tasks["machine.upload"] == "failed"
    assert ended.tasks["machine.stop"] == "success"
    assert list(charged(renting)) == [ended.result("machine.stop")["uuid"]]
    assert renting.running() == []


def test_waits_without_a_slot(renting: Renting, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run(example("wait_without_a_slot"), {"max_price_usd": 5})
    assert ended.state == "success"
    assert ended.result("ask") == "it works"
    assert ended.result("ended")["outcome"] == "succeeded"
    assert "[job] part 3 of 3" in told(capfd)
    assert {
        ended.result("stop")["uuid"]: int(ended.result("stop")["charge_wei"]),
        ended.result("ended")["uuid"]: int(ended.result("ended")["cost_wei"]),
    } == charged(renting)
    assert renting.running() == []


def test_a_night_renders_every_scene(renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    nightly(tmp_path, "a", "b")
    ended = run(example("nightly_batch"), night(tmp_path))
    assert ended.state == "success"
    for name in ("a", "b"):
        assert frames_in(tmp_path / "out" / name) == [1, 2, 3, 4]
    bill = ended.result("bill")
    assert (len(bill["scenes"]), bill["rendered"], bill["left_out"]) == (2, 2, 0)
    each = [ended.result(f"render[{index}]") for index in range(2)]
    assert sum(int(result["cost_wei"]) for result in each) == sum(charged(renting).values())
    assert bill["cost_usd"] == pytest.approx(sum(result["cost_usd"] for result in each))
    assert renting.running() == []


def test_a_night_with_a_broken_scene_has_failed_and_renders_the_others(renting: Renting, tmp_path: Path) -> None:
    nightly(tmp_path, "a", "b")
    broken = tmp_path / "scenes" / "b.blend"
    broken.write_bytes(broken.read_bytes()[:2000])
    ended = run(example("nightly_batch"), night(tmp_path))
    assert ended.state == "failed"
    assert (ended.tasks["plan[0]"], ended.tasks["plan[1]"]) == ("success", "failed")
    assert ended.tasks["render[0]"] == "success"
    assert ended.tasks["reap"] == "success"
    assert frames_in(tmp_path / "out" / "a") == [1, 2, 3, 4]
    bill = ended.result("bill", "cost")
    assert (len(bill["scenes"]), bill["rendered"]) == (2, 1)
    assert bill["cost_usd"] > ended.result("render[0]")["cost_usd"]
    assert renting.running() == []


def test_a_night_keeps_to_its_budget_and_its_price(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nightly(tmp_path, "a", "b")
    ended = run(example("nightly_batch"), night(tmp_path, budget_usd=0.0000001))
    assert ended.state == "success"
    assert ended.result("share") == []
    assert (ended.result("bill")["rendered"], ended.result("bill")["left_out"]) == (0, 2)
    assert "is left out: at most " in told(capfd)
    assert len(renting.sessions) == 2
    assert ended.tasks["reap"] == "success"
    # What was measured stays: the next night plans without a machine.
    ended = run(example("nightly_batch"), night(tmp_path, max_price_usd=0.00001))
    assert ended.tasks["plan[0]"] == "failed"
    assert "too expensive" in told(capfd)
    assert len(renting.sessions) == 2
    assert renting.running() == []


@ASKS_A_PERSON
def test_a_quote_is_approved_and_kept(renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    conf = approved_run(tmp_path)
    answered = answer_when_asked("Approve")
    ended = run(example("quote_approve_render"), conf | {"approve_up_to_usd": 100})
    asked = answered()
    assert ended.state == "success"
    assert frames_in(tmp_path / "out") == [1, 2, 3, 4, 5, 6]
    quote, rendered = ended.result("plan"), ended.result("render")
    assert quote["frames"] == 3
    assert rendered["quoted_cost_most_usd"] == quote["chosen"]["cost_most_usd"] >= rendered["cost_usd"] > 0
    assert sum(charged(renting).values()) == int(rendered["cost_wei"])
    if HAS_APPROVAL:
        assert (asked["subject"], asked["body"]) == (quote["text"], quote["markdown"])
    else:
        assert f"{quote['text']}. Approved are 100 USD." in told(capfd)
    assert renting.running() == []


@ASKS_A_PERSON
def test_a_quote_that_is_not_approved_rents_nothing_more(renting: Renting, tmp_path: Path) -> None:
    conf = approved_run(tmp_path)
    answered = answer_when_asked("Reject")
    ended = run(example("quote_approve_render"), conf)
    answered()
    assert ended.tasks == {"plan": "success", "approve": "success", "render": "skipped"}
    assert frames_in(tmp_path / "out") == [1, 4, 6]
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_frames_are_rendered_checked_and_made_a_video(renting: Renting, tmp_path: Path) -> None:
    conf = {"scene": str(make_scene(tmp_path / "scene.blend")), "output": str(tmp_path / "out"), "frames": "1-4"}
    ended = run(example("render_check_video"), conf | {"device": "CPU", "max_cost_usd": 50})
    assert ended.state == "success"
    assert ended.result("check")["frames"] == 4
    assert ended.result("check")["cost_usd"] == ended.result("render")["cost_usd"] > 0
    assert Path(ended.result("video")).read_bytes()[4:8] == b"ftyp"
    assert Path(ended.result("render")["sheet"]).is_file()
    assert len(charged(renting)) >= 1
    assert renting.running() == []


def test_the_reaper_stops_what_was_left_and_nothing_else(renting: Renting) -> None:
    request = MachineRequest(image="alpine:3", start_command="sleep 600")
    work = "airflow/nightly_batch/a-run-that-is-gone/render/3"
    with OctaHook().get_conn() as client, renting.client() as others:
        left = client.rentals.start(request, key=work)
        other = client.rentals.start(request, key="another-tool/render")
        another_airflows = others.rentals.start(request, key=f"another/{work}")
        young = run(example("reap_orphans"))
        assert young.result("reap") == {"orphans": [], "stopped": []}
        ended = run(example("reap_orphans"), {"older_than_s": 0})
        assert ended.state == "success"
        assert ended.result("reap")["stopped"] == [left.uuid]
        (orphan,) = ended.result("reap")["orphans"]
        assert (orphan["uuid"], orphan["key"]) == (left.uuid, left.key)
        assert renting.running() == [other.uuid, another_airflows.uuid]
        other.stop()
        another_airflows.stop()


def shared(folder: Path) -> dict[str, Any]:
    return {"data": str(folder / "words.txt"), "output": str(folder / "results")}


def nightly(folder: Path, *names: str) -> None:
    (folder / "scenes").mkdir()
    made = make_scene(folder / "made.blend")
    for name in names:
        shutil.copy(made, folder / "scenes" / f"{name}.blend")


def night(folder: Path, **params: Any) -> dict[str, Any]:
    given = {"scenes": str(folder / "scenes"), "output": str(folder / "out"), "frames": "1-4", "max_price_usd": 10}
    return given | {"device": "CPU", "budget_usd": 100} | params


def frames_in(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("frame_")) for path in folder.glob("frame_*.png"))


def approved_run(folder: Path) -> dict[str, Any]:
    scene = make_scene(folder / "scene.blend")
    return {"scene": str(scene), "output": str(folder / "out"), "frames": "1-6", "device": "CPU", "max_price_usd": 10}


def answer_when_asked(option: str) -> Callable[[], dict[str, Any]]:
    """Answer the next question that a task asks, as its form in the browser does; returns what waits for what it was.

    On an Airflow that can't ask, nobody is.
    """
    asked: dict[str, Any] = {}

    def answer() -> None:
        from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
        from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
        from airflow.models.hitl import HITLDetail
        from airflow.utils.session import create_session

        user: Any = SimpleNamespace(get_id=lambda: "1", get_name=lambda: "anna")
        deadline = time.monotonic() + 800
        while time.monotonic() < deadline:
            time.sleep(0.2)
            with create_session() as session:
                waiting = [one for one in session.query(HITLDetail) if not one.response_received]
                if not waiting or str(waiting[0].task_instance.state) != "awaiting_input":
                    continue
                ti = waiting[0].task_instance
                asked.update(subject=waiting[0].subject, body=waiting[0].body)
                payload = UpdateHITLDetailPayload(chosen_options=[option])
                update_hitl_detail(ti.dag_id, ti.run_id, ti.task_id, payload, user, session)
                return

    thread = threading.Thread(target=answer)
    if HAS_APPROVAL:
        thread.start()

    def wait() -> dict[str, Any]:
        if HAS_APPROVAL:
            thread.join()
        return asked

    return wait
