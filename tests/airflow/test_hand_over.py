"""Between a trigger's event and the worker that takes over, the triggerer watches: on its loop, with the emulator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow_runs import Renting
from on_a_loop import event_of, on_a_loop
from test_triggers import TaskInstance, job_trigger, session_trigger, stopped

from airflow_provider.triggers import hand_over, killed_by_user, resume_pace
from airflow_provider.triggers.killed_by_user import TaskNow
from octa_provider import JobSpec, JobState, MachineRequest


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume_pace, "SOONEST_S", 0.0)
    monkeypatch.setattr(hand_over, "LOOK_S", 0.4)


def waits(monkeypatch: pytest.MonkeyPatch, *states: TaskNow | Exception) -> None:
    """What Airflow says of the task, one look after the other; the last one stays."""
    left = list(states)

    def now(ti: Any) -> TaskNow:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(killed_by_user, "task_now", now)


def up_over_ssh(renting: Renting, name: str, **spec: Any) -> JobState:
    """A job whose trigger hands over at once: its session is up, and a worker has to send its files."""
    with renting.client() as client:
        return client.jobs.start(
            JobSpec(image="alpine:3", command="true", via="ssh", **spec), f"tests/hand-over/{name}"
        )


def handed_over(trigger: Any, until: Callable[[], object]) -> dict[str, Any]:
    """Run a trigger to its event, as a triggerer does, and let its loop go on until something is so."""
    trigger.task_instance = TaskInstance()

    async def main() -> dict[str, Any]:
        event = await event_of(trigger)
        while not await asyncio.to_thread(until):
            await asyncio.sleep(0.1)
        return event

    return on_a_loop(main)


@pytest.fixture
def later_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds later it is for what watches after the event, in its one item."""
    later = [0.0]
    clock = SimpleNamespace(time=time.time, monotonic=lambda: time.monotonic() + later[0])
    monkeypatch.setattr(hand_over, "time", clock)
    return later


def watches_no_more() -> bool:
    return hand_over.watched_sessions() == 0


WAITS = TaskNow("scheduled")


def test_a_cap_that_is_reached_while_no_worker_comes_stops_the_session(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits(monkeypatch, WAITS)
    trigger = job_trigger(up_over_ssh(renting, "cap", max_cost_usd=0.5))

    def hours_pass() -> bool:
        renting.emulator.advance_clock(3600)
        return renting.running() == []

    assert handed_over(trigger, hours_pass)["what"] == "ready"


def test_a_deadline_that_passes_while_no_worker_comes_stops_the_session(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, later_s: list[float]
) -> None:
    waits(monkeypatch, WAITS)

    def it_passes() -> bool:
        later_s[0] = 7200.0
        return renting.running() == []

    state = up_over_ssh(renting, "deadline", ready_timeout_s=36_000.0)
    event = handed_over(job_trigger(state, deadline_at=time.time() + 3600), it_passes)
    assert event["what"] == "ready"


def test_a_worker_has_its_time_however_short_the_jobs_own_deadline(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, later_s: list[float]
) -> None:
    from airflow_provider.triggers import job as job_module

    looks: list[float] = []

    def now(ti: Any) -> TaskNow:
        looks.append(later_s[0])
        return WAITS

    def comes_later_and_later() -> bool:
        # Beyond the job's own deadline, and seen so twice.
        later_s[0] = max(later_s[0], 3600.0)
        if looks.count(3600.0) > 2:
            if later_s[0] == 3600.0:
                still.append(len(renting.running()))
            later_s[0] = 20_000.0
        return renting.running() == []

    still: list[int] = []
    monkeypatch.setattr(killed_by_user, "task_now", now)
    monkeypatch.setattr(job_module, "TAKE_OVER_S", 10_000.0)
    event = handed_over(job_trigger(up_over_ssh(renting, "patience", ready_timeout_s=1800.0)), comes_later_and_later)
    assert event["what"] == "ready"
    assert still == [1]


def test_a_wall_clock_that_is_set_forward_leaves_a_worker_its_time(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the command has made lies on the machine: it must not be stopped before somebody has fetched it."""
    looks, told = [WAITS] * 4, time.time

    def now(ti: Any) -> TaskNow:
        monkeypatch.setattr(time, "time", lambda: told() + 86400.0)
        return looks.pop() if looks else TaskNow("running")

    monkeypatch.setattr(killed_by_user, "task_now", now)
    handed_over(job_trigger(up_over_ssh(renting, "clock-is-set")), lambda: not looks and watches_no_more())
    assert len(renting.running()) == 1
    stopped(renting, *renting.running())


@pytest.mark.parametrize("state", ["running", "up_for_reschedule_of_no_kind_that_we_know"])
def test_a_worker_that_takes_over_is_left_alone(renting: Renting, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    waits(monkeypatch, TaskNow("deferred"), WAITS, TaskNow("queued"), TaskNow(state))
    trigger = job_trigger(up_over_ssh(renting, "taken-over", max_cost_usd=1000.0))
    handed_over(trigger, watches_no_more)
    assert len(renting.running()) == 1
    stopped(renting, *renting.running())


def test_another_try_is_left_its_machine(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    waits(monkeypatch, WAITS, TaskNow("scheduled", True))
    handed_over(job_trigger(up_over_ssh(renting, "another")), watches_no_more)
    assert len(renting.running()) == 1
    stopped(renting, *renting.running())


@pytest.mark.parametrize("state", ["failed", "success", None])
def test_a_user_who_ends_the_task_meanwhile_ends_its_session(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, state: str | None
) -> None:
    waits(monkeypatch, WAITS, TaskNow(state))
    handed_over(job_trigger(up_over_ssh(renting, "ended")), watches_no_more)
    assert renting.running() == []


def test_a_session_that_is_to_be_kept_on_a_kill_is_kept(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    waits(monkeypatch, TaskNow("failed"), TaskNow("failed"), TaskNow("failed"), TaskNow("running"))
    handed_over(job_trigger(up_over_ssh(renting, "kept"), stops_on_kill=False), watches_no_more)
    assert len(renting.running()) == 1
    stopped(renting, *renting.running())


def test_when_airflow_does_not_answer_a_cap_holds_and_a_deadline_waits(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, later_s: list[float]
) -> None:
    """A worker may be fetching the files by now; a cap is a cap all the same."""
    trigger = job_trigger(up_over_ssh(renting, "not-told", max_cost_usd=0.5), deadline_at=time.time() + 3600)

    def does_not_answer(ti: Any) -> TaskNow:
        looks.append(later_s[0])
        raise ConnectionError("the API server is away")

    def first_the_deadline() -> bool:
        later_s[0] = 7200.0
        if looks.count(7200.0) < 3:
            return False
        if not seen:
            seen.append(len(renting.running()))
        renting.emulator.advance_clock(3600)
        return renting.running() == []

    looks: list[float] = []
    seen: list[int] = []
    monkeypatch.setattr(killed_by_user, "task_now", does_not_answer)
    handed_over(trigger, first_the_deadline)
    assert seen == [1]


def test_a_session_that_could_not_be_stopped_is_asked_again(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider.triggers import job as job_module

    waits(monkeypatch, WAITS)
    monkeypatch.setattr(job_module, "STOP_S", 1.0)
    monkeypatch.setattr(hand_over, "STOP_S", 1.0)
    state = up_over_ssh(renting, "stubborn")
    renting.emulator.faults(
        {"kind": "never_ready", "times": 2},
        {"kind": "status", "method": "POST", "path": "/services/*/stop", "status": 500, "times": 6},
    )
    event = handed_over(job_trigger(state, deadline_at=time.time() - 1), lambda: renting.running() == [])
    assert event["what"] in {"broken", "deadline"}


def test_a_ready_session_is_held_to_its_caps_until_its_sensor_runs(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits(monkeypatch, WAITS)
    with renting.client() as client:
        rental = client.rentals.start(
            MachineRequest(image="alpine:3"), key="tests/hand-over/session", max_duration_s=7200
        )
    trigger = session_trigger(rental.uuid)
    trigger.session = rental.to_dict() | {"price_wei": None}

    def hours_pass() -> bool:
        renting.emulator.advance_clock(3600)
        return renting.running() == []

    assert handed_over(trigger, hours_pass)["what"] == "ready"


def test_dag_test_goes_on_at_once_and_is_not_watched(renting: Renting) -> None:
    trigger = job_trigger(up_over_ssh(renting, "in-process"))
    on_a_loop(lambda: event_of(trigger))
    assert watches_no_more()
    stopped(renting, *renting.running())
