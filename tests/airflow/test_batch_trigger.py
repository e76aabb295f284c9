"""The trigger of a batch only watches: it wakes a worker in time, and stops machines where nobody else would."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from airflow_runs import Renting
from on_a_loop import all_events, cancelled, event_of, on_a_loop, once_watched
from test_hand_over import WAITS, handed_over, quick, waits
from test_triggers import TaskInstance, begun_session, requests_since, stopped, stored_and_made_anew

from airflow_provider.triggers import account as account_module
from airflow_provider.triggers import batch as batch_module
from airflow_provider.triggers import batch_hand_over
from airflow_provider.triggers.batch import OctaBatchTrigger
from airflow_provider.triggers.killed_by_user import TaskNow

__all__ = ["quick"]


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_hand_over, "LOOK_S", 0.3)


def machines(renting: Renting, name: str, count: int = 3) -> list[str]:
    return [begun_session(renting, f"{name}-{number}") for number in range(count)]


def batch_trigger(uuids: list[str], **arguments: Any) -> OctaBatchTrigger:
    defaults = {"octa_conn_id": "octa_default", "wake_at": time.time() + 600, "poll_interval": 0.3}
    return OctaBatchTrigger(sessions=uuids, carried_on={"rendered": 7}, **(defaults | arguments))


def test_it_wakes_a_worker_when_the_time_has_come(renting: Renting) -> None:
    uuids = machines(renting, "due")
    (event,) = all_events(batch_trigger(uuids, wake_at=time.time() + 1.0))
    assert event == {"what": "due", "carried_on": {"rendered": 7}}
    assert renting.running() == uuids
    stopped(renting, *uuids)


def test_it_wakes_a_worker_when_a_machine_has_gone(renting: Renting) -> None:
    uuids = machines(renting, "gone")
    trigger = batch_trigger(uuids)

    async def main() -> dict[str, Any]:
        task = asyncio.create_task(event_of(trigger))
        await once_watched(renting)
        await asyncio.to_thread(renting.emulator.end_session, uuids[1])
        return await task

    event = on_a_loop(main)
    assert (event["what"], event["uuid"]) == ("gone", uuids[1])
    stopped(renting, uuids[0], uuids[2])


def test_it_goes_on_elsewhere_with_the_same_times_and_without_a_secret(renting: Renting) -> None:
    trigger = batch_trigger(["a", "b"], wake_at=1_900_000_000.5, deadline_at=1_900_000_001.5, namespace="studio")
    again = stored_and_made_anew(trigger)
    assert again.serialize() == trigger.serialize()
    assert (again.wake_at, again.deadline_at) == (1_900_000_000.5, 1_900_000_001.5)
    assert renting.emulator.api_key not in json.dumps(trigger.serialize())


def test_the_machines_of_many_batches_cost_one_list_call(renting: Renting) -> None:
    batches = [machines(renting, f"many-{number}", 4) for number in range(5)]
    before = len(renting.emulator.ledger()["requests"])

    async def main() -> float:
        begun = time.monotonic()
        tasks = [asyncio.create_task(event_of(batch_trigger(uuids, poll_interval=1))) for uuids in batches]
        while requests_since(renting, before, "/sessions") < 3:
            await asyncio.sleep(0.3)
        await cancelled(tasks)
        return time.monotonic() - begun

    waited_s = on_a_loop(main)
    assert 3 <= requests_since(renting, before, "/sessions") <= waited_s + 2
    # Cancelled as by a triggerer that shuts down: nothing is stopped.
    assert len(renting.running()) == 20
    stopped(renting, *renting.running())


def test_the_end_of_execution_timeout_stops_every_machine(renting: Renting) -> None:
    trigger = batch_trigger(machines(renting, "timeout"), deadline_at=time.time() + 1.0)
    (event,) = all_events(trigger)
    assert event["what"] == "deadline"
    assert renting.running() == []


@pytest.mark.parametrize(
    ("now", "stops"),
    [
        (TaskNow("failed"), True),
        (TaskNow("success"), True),
        (TaskNow("up_for_retry"), True),
        (TaskNow(None), True),  # It was cleared, or is gone.
        (TaskNow("deferred"), False),  # The triggerer stalled, and its triggers were moved away.
        (TaskNow("running"), False),  # A worker has it again.
        (TaskNow("running", is_another_try=True), False),  # It has found these machines, and goes on with them.
        (TaskNow("deferred", is_another_try=True), False),
        (TaskNow("failed", is_another_try=True), True),
        (RuntimeError("no answer"), False),
    ],
)
def test_a_users_act_stops_the_machines_and_nothing_else_does(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, now: TaskNow | Exception, stops: bool
) -> None:
    waits(monkeypatch, now)
    uuids = machines(renting, "kill", 2)
    trigger = batch_trigger(uuids)
    trigger.task_instance = TaskInstance()
    if batch_module.TELLS_KILLS:
        on_a_loop(trigger.on_kill)
    else:

        async def main() -> None:
            task = asyncio.create_task(event_of(trigger))
            await once_watched(renting)
            await cancelled([task])

        on_a_loop(main)
    assert renting.running() == ([] if stops else uuids)
    stopped(renting, *renting.running())


def test_while_no_worker_comes_the_machines_are_looked_after_and_then_stopped(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits(monkeypatch, WAITS)
    monkeypatch.setattr(batch_module, "TAKE_OVER_S", 2.0)
    trigger = batch_trigger(machines(renting, "nobody-comes"), wake_at=time.time() + 0.5)
    assert handed_over(trigger, lambda: renting.running() == [])["what"] == "due"


def test_machines_are_stopped_before_they_cost_more_than_they_may_while_no_worker_comes(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits(monkeypatch, WAITS)
    now = time.time()
    trigger = batch_trigger(machines(renting, "no-money"), wake_at=now + 0.5, paid_until=now + 33.0)
    assert handed_over(trigger, lambda: renting.running() == [])["what"] == "due"


def test_a_user_who_ends_the_task_while_it_waits_for_a_worker_ends_its_machines(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits(monkeypatch, WAITS, WAITS, TaskNow("failed"))
    trigger = batch_trigger(machines(renting, "ended-waiting"), wake_at=time.time() + 0.5)
    assert handed_over(trigger, lambda: renting.running() == [])["what"] == "due"


def test_a_worker_that_came_back_and_died_leaves_its_machines_to_the_next_try(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits(monkeypatch, WAITS, TaskNow("up_for_retry"), TaskNow("up_for_retry"), TaskNow("running"))
    monkeypatch.setattr(batch_module, "TAKE_OVER_S", 600.0)
    uuids = machines(renting, "worker-dies")
    trigger = batch_trigger(uuids, wake_at=time.time() + 0.5)
    handed_over(trigger, lambda: batch_hand_over.watched_batches() == 0)
    assert renting.running() == uuids
    stopped(renting, *uuids)


def test_a_worker_that_comes_finds_every_machine(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    waits(monkeypatch, WAITS, RuntimeError("no answer"), TaskNow("running"))
    monkeypatch.setattr(batch_module, "TAKE_OVER_S", 600.0)
    uuids = machines(renting, "worker-comes")
    trigger = batch_trigger(uuids, wake_at=time.time() + 0.5)
    handed_over(trigger, lambda: batch_hand_over.watched_batches() == 0)
    assert renting.running() == uuids
    stopped(renting, *uuids)


def test_what_can_not_be_watched_here_is_handed_to_a_worker(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_module, "ASK_AGAIN_AFTER_S", (0.1, 0.1))
    uuids = machines(renting, "unwatched", 1)
    (event,) = all_events(batch_trigger(uuids, octa_conn_id="not_there"))
    assert event["what"] == "unwatched"
    assert "not_there" in event["message"]
    assert event["carried_on"] == {"rendered": 7}
    assert renting.running() == uuids
    stopped(renting, *uuids)
