"""What the demo tells Airflow's DAG, and what it reads from it."""

from __future__ import annotations

from pathlib import Path

from demo.airflow_render import asks_for_approval, connections, parameters, task_problems
from demo.emulator_process import Emulator
from demo.orchestrator import RenderOrder

EMULATOR = Emulator("http://127.0.0.1:1", "the-key", "/keys/id", Path())


def test_the_dag_is_told_what_it_takes() -> None:
    order = RenderOrder(Path("/s.blend"), range(1, 25), 3, Path("/out"), 60.0, 13.0, 1.0)
    assert parameters(order) == {
        "scene": "/s.blend",
        "frames": "1-24",
        "machines": 3,
        "output": "/out",
        "seconds_per_frame": 60.0,
        "within_min": 13.0,
        "max_cost_usd": 1.0,
    }


def test_the_key_is_the_connection_s_password() -> None:
    assert connections(EMULATOR)["octa_default"]["password"] == "the-key"


def test_only_a_task_that_waits_asks_for_approval() -> None:
    assert asks_for_approval({"task_id": "approve", "state": "deferred"})
    assert not asks_for_approval({"task_id": "approve", "state": "success"})
    assert not asks_for_approval({"task_id": "render", "state": "deferred"})


def test_tasks_that_did_not_succeed_are_told() -> None:
    tasks = [{"task_id": "plan", "state": "success"}, {"task_id": "render", "state": "skipped"}]
    assert task_problems(tasks) == ["task render ended as skipped"]
