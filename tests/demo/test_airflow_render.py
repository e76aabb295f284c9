"""What the demo tells Airflow's DAG, and what it reads from it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from demo.airflow_render import connections, machine_bill, parameters, task_problems
from demo.bill import MachineBill
from demo.emulator_process import Emulator
from demo.orchestrator import RenderOrder

EMULATOR = Emulator("http://127.0.0.1:1", "the-key", "/keys/id", Path())


def test_the_dag_is_told_the_frames_as_it_takes_them() -> None:
    told = parameters(RenderOrder(Path("/s.blend"), range(1, 25), 3, Path("/out")))
    assert told == {"scene": "/s.blend", "frames": "1-24", "machines": 3, "output": "/out"}


def test_the_key_is_the_connection_s_password() -> None:
    assert connections(EMULATOR)["octa_default"]["password"] == "the-key"


def test_a_machine_s_bill_is_read_to_the_wei() -> None:
    entry = {"uuid": "a", "node_id": 17, "frames": [1, 2], "duration_s": 12.5, "charge_usd": 0.0001}
    bill = machine_bill({**entry, "charge_wei": "123456789012345678901"}, {17: "NVIDIA GeForce RTX 4090"})
    assert bill == MachineBill(
        17, "NVIDIA GeForce RTX 4090", (1, 2), 12.5, 123_456_789_012_345_678_901, Decimal("0.0001")
    )


def test_a_machine_that_told_nothing_has_an_empty_bill() -> None:
    bill = machine_bill({"uuid": "b", "duration_s": None, "charge_usd": None, "charge_wei": None}, {})
    assert bill.name == "a machine that did not report"
    assert (bill.frames, bill.charge_wei, bill.usd) == ((), 0, None)


def test_tasks_that_did_not_succeed_are_told_with_their_machine() -> None:
    tasks = [
        {"task_id": "render_chunk.run", "map_index": 1, "state": "failed"},
        {"task_id": "bill", "map_index": -1, "state": "upstream_failed"},
        {"task_id": "split", "map_index": -1, "state": "success"},
        {"task_id": "other", "map_index": -1, "state": "skipped"},
    ]
    assert task_problems(tasks) == [
        "task render_chunk.run of machine 1 ended as failed",
        "task bill ended as upstream_failed",
    ]
