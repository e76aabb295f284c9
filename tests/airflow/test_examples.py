"""The example DAGs, end to end on emulated machines: each does what its first lines say, and leaves nothing running.

`render_animation` has a file of its own.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from airflow_runs import Renting, Run, example, run
from small_scene import make_scene

from airflow_provider.hooks.octa import OctaHook
from octa_provider import MachineRequest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


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
        assert sorted(path.name for path in (tmp_path / "out" / name).iterdir()) == ["0001.png", "0002.png"]
    bill = ended.result("bill")
    assert (bill["scenes"], bill["rendered"]) == (2, 2)
    each = [ended.result(f"render[{index}]") for index in range(2)]
    assert {result["uuid"]: int(result["cost_wei"]) for result in each} == charged(renting)
    assert bill["cost_usd"] == pytest.approx(sum(result["cost_usd"] for result in each))
    assert "[job] Saved: " in told(capfd)
    assert renting.running() == []


def test_a_night_with_a_broken_scene_has_failed_and_renders_the_others(renting: Renting, tmp_path: Path) -> None:
    nightly(tmp_path, "a", "b")
    broken = tmp_path / "scenes" / "b.blend"
    broken.write_bytes(broken.read_bytes()[:2000])
    ended = run(example("nightly_batch"), night(tmp_path))
    assert ended.state == "failed"
    assert (ended.tasks["render[0]"], ended.tasks["render[1]"]) == ("success", "failed")
    assert ended.tasks["reap"] == "success"
    assert len(list((tmp_path / "out" / "a").iterdir())) == 2
    bill = ended.result("bill", "cost")
    assert (bill["scenes"], bill["rendered"]) == (2, 1)
    assert bill["cost_usd"] > ended.result("render[0]")["cost_usd"]
    assert len(renting.sessions) == 2
    assert renting.running() == []


def test_a_night_keeps_to_its_budget_and_its_price(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nightly(tmp_path, "a")
    hours = threading.Thread(target=let_hours_pass_once_it_runs, args=(renting,))
    hours.start()
    ended = run(example("nightly_batch"), night(tmp_path, frames="1-6", budget_usd=0.05))
    hours.join()
    assert ended.tasks["render[0]"] == "failed"
    assert "did not succeed (over budget)" in told(capfd)
    assert len(renting.sessions) == 1
    ended = run(example("nightly_batch"), night(tmp_path, budget_usd=0.0000001))
    assert ended.tasks["render[0]"] == "failed"
    assert "max_cost_usd=1e-07 does not pay for" in told(capfd)
    assert len(renting.sessions) == 1
    ended = run(example("nightly_batch"), night(tmp_path, max_price_usd=0.00001))
    assert ended.tasks["render[0]"] == "failed"
    assert "too expensive" in told(capfd)
    assert ended.tasks["reap"] == "success"
    assert len(renting.sessions) == 1
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


def let_hours_pass_once_it_runs(renting: Renting) -> None:
    deadline = time.monotonic() + 120
    while not renting.running():
        assert time.monotonic() < deadline, "nothing was rented"
        time.sleep(0.05)
    renting.emulator.advance_clock(10 * 3600)


def shared(folder: Path) -> dict[str, Any]:
    return {"data": str(folder / "words.txt"), "output": str(folder / "results")}


def nightly(folder: Path, *names: str) -> None:
    (folder / "scenes").mkdir()
    made = make_scene(folder / "made.blend")
    for name in names:
        shutil.copy(made, folder / "scenes" / f"{name}.blend")


def night(folder: Path, **params: Any) -> dict[str, Any]:
    given = {"scenes": str(folder / "scenes"), "output": str(folder / "out"), "frames": "1,2", "max_price_usd": 10}
    return given | params
