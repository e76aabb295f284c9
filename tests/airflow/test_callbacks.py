"""`on_event`: a task's own function is told what happens to its job, on a worker alone, and can't end the job."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow_runs import Renting, run
from waited_for import first_is_late, is_followed, time_is_over_once

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.rental_key import rental_key
from octa_provider import JobEvent, JobOutcome, JobSpec
from octa_provider.job.events import JOB_EVENT_KINDS

TALKS = "echo 1/2; sleep 0.5; echo 2/2"
ALL = ["started", "ready", "line", "progress", "line", "progress", "ended", "stopped"]
#: What is known when the task comes back.
LATE = ["started", "ready", "ended", "stopped"]


def job(**arguments: Any) -> OctaRunJobOperator:
    defaults = {"task_id": "job", "image": "alpine:3", "command": TALKS, "poll_interval": 0.2}
    return OctaRunJobOperator(**(defaults | arguments))


def run_job(name: str, **arguments: Any) -> Any:
    with DAG(name, schedule=None) as dag:
        job(**arguments)
    return run(dag)


def kinds(events: list[JobEvent]) -> list[str]:
    return [event.kind for event in events]


@pytest.mark.parametrize(("deferrable", "told"), [(False, ALL), (True, LATE)], ids=["worker", "deferred"])
def test_a_task_tells_what_happens_to_its_job(renting: Renting, deferrable: bool, told: list[str]) -> None:
    events: list[JobEvent] = []
    ended = run_job("told", deferrable=deferrable, on_event=events.append)
    assert ended.state == "success"
    assert kinds(events) == told
    (session,) = renting.sessions
    assert {event.uuid for event in events} == {session["uuid"]}
    assert (events[-1].outcome, events[-1].cost_wei) == (JobOutcome.SUCCEEDED, session["charge_wei"])
    assert events[-1].duration_s == ended.result("job")["duration_s"]


def test_a_job_over_ssh_that_is_deferred_twice_tells_each_thing_once(renting: Renting, tmp_path: Path) -> None:
    events: list[JobEvent] = []
    seen: dict[str, tuple[bool, int]] = {}

    def on_event(event: JobEvent) -> None:
        events.append(event)
        seen[event.kind] = ((tmp_path / "out").exists(), len(renting.running()))

    files = {"command": "echo made > out", "outputs": {"out": tmp_path / "out"}}
    assert run_job("told_ssh", deferrable=True, on_event=on_event, **files).state == "success"
    assert kinds(events) == LATE
    assert seen == {"started": (False, 1), "ready": (False, 1), "ended": (True, 1), "stopped": (True, 0)}


@pytest.mark.parametrize("kind", ["started", "line", "ended", "stopped"])
def test_a_callback_that_raises_neither_fails_the_task_nor_leaves_a_machine(
    renting: Renting, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def breaks_here(event: JobEvent) -> None:
        told.append(event.kind)
        if event.kind == kind:
            raise ValueError("no such channel")

    assert run_job("breaks", on_event=breaks_here).state == "success"
    assert told == ALL
    assert (len(renting.sessions), renting.running()) == (1, [])
    (told_once,) = [record for record in caplog.records if "on_event failed" in record.getMessage()]
    assert "on_event failed (ValueError: no such channel): the job goes on" in told_once.getMessage()
    assert "in breaks_here" in logging.Formatter().format(told_once)


def test_a_callback_that_ends_its_process_has_the_machine_stopped(renting: Renting) -> None:
    def leaves(event: JobEvent) -> None:
        if event.kind == "ready":
            raise SystemExit(1)

    # How a task ends whose process exits is Airflow's to say.
    try:
        ended = run_job("leaves", command="sleep 300", on_event=leaves)
    except SystemExit:
        pass
    else:
        assert ended.state == "failed"
    assert (len(renting.sessions), renting.running()) == (1, [])


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_a_task_that_times_out_tells_the_stop_and_what_it_cost(
    renting: Renting, tmp_path: Path, deferrable: bool
) -> None:
    events: list[JobEvent] = []
    late = {"command": f"touch {tmp_path}/begun; sleep 3600", "execution_timeout": timedelta(hours=1)}
    with time_is_over_once(lambda: is_followed(renting, tmp_path / "begun"), deferred=deferrable):
        run_job("late", **late, deferrable=deferrable, on_event=events.append)
    assert kinds(events)[0] == "started"
    assert kinds(events)[-1] == "stopped"
    assert "ended" not in kinds(events)
    assert events[-1].reason
    assert renting.running() == []


def test_each_machine_that_is_tried_is_told_started_and_stopped(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[JobEvent] = []
    renting.emulator.faults({"kind": "never_ready", "times": 1})
    first_is_late(monkeypatch)
    tries = {"ready_timeout_s": 600, "start_attempts": 2}
    assert run_job("tries", deferrable=True, on_event=events.append, **tries).state == "success"
    assert kinds(events) == ["started", "stopped", *LATE]
    first, second = sorted(renting.sessions, key=lambda session: session["started_ms"])
    told = [(event.uuid, event.cost_wei) for event in events if event.kind == "stopped"]
    assert told == [(one["uuid"], one["charge_wei"]) for one in (first, second)]


def test_a_session_that_is_kept_is_not_told_as_stopped(renting: Renting) -> None:
    events: list[JobEvent] = []
    run_job("kept", on_finish_action="keep", on_event=events.append)
    assert kinds(events) == ALL[:-1]
    for uuid in renting.running():
        renting.client().rentals.open(uuid).stop()


@pytest.mark.parametrize(("deferrable", "told"), [(False, LATE), (True, LATE)], ids=["worker", "deferred"])
def test_a_try_that_carries_on_says_so(renting: Renting, deferrable: bool, told: list[str]) -> None:
    """The worker of the first try vanished after it had started the job."""
    events: list[JobEvent] = []

    def vanish(context: Any) -> None:
        if not events:
            OctaHook().get_conn().jobs.start(JobSpec(image="alpine:3", command="sleep 2"), rental_key(context))

    run_job("carried_on", command="sleep 2", pre_execute=vanish, deferrable=deferrable, on_event=events.append)
    assert kinds(events) == told
    assert {(event.uuid, event.adopted) for event in events} == {(renting.sessions[0]["uuid"], True)}


def test_what_an_earlier_try_left_and_is_begun_anew_is_told_as_stopped_first(renting: Renting, tmp_path: Path) -> None:
    """Its command failed, and its session was kept."""
    events: list[JobEvent] = []
    command = f"test -e {tmp_path}/again || {{ touch {tmp_path}/again; exit 1; }}"

    def fail_once(context: Any) -> None:
        client = OctaHook().get_conn()
        state = client.jobs.start(JobSpec(image="alpine:3", command=command), rental_key(context))
        while not state.ended:
            state = client.jobs.poll(state)

    ended = run_job(
        "begun_anew", command=command, on_finish_action="keep", pre_execute=fail_once, on_event=events.append
    )
    assert ended.state == "success"
    assert kinds(events) == ["started", "ready", "stopped", "started", "ready", "ended"]
    first, second = sorted(renting.sessions, key=lambda session: session["started_ms"])
    assert [event.uuid for event in events] == [first["uuid"]] * 3 + [second["uuid"]] * 3
    assert [event.adopted for event in events] == [True] * 3 + [False] * 3
    assert (events[2].cost_wei, "exit code 1" in events[2].reason) == (first["charge_wei"], True)
    renting.client().rentals.open(second["uuid"]).stop()


def test_a_functions_job_tells_too(renting: Renting) -> None:
    events: list[JobEvent] = []
    with DAG("told_function", schedule=None) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2, on_event=events.append)
        def prints() -> None:
            print("hello", flush=True)

        prints()
    assert run(dag).state == "success"
    assert kinds(events) == ["started", "ready", "line", "ended", "stopped"]


def mine(event: JobEvent) -> None:
    """What a DAG file would have at its top."""


def test_a_dag_with_callbacks_can_be_stored() -> None:
    try:
        from airflow.serialization.serialized_objects import DagSerialization
    except ImportError:
        from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization
    with DAG("stored", schedule=None, default_args={"on_event": mine}) as dag:
        assert job().on_event is mine
        job(task_id="closure", on_event=lambda event: dag)
        OctaRunJobOperator.partial(task_id="mapped", image="alpine:3", on_event=mine).expand(command=["true", "false"])
    json.dumps(DagSerialization.to_dict(dag))
    assert "on_event" not in OctaRunJobOperator.template_fields


async def nobody_awaits(event: JobEvent) -> None:
    pass


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"on_event": "print"}, "on_event must be a function that takes a JobEvent, not str"),
        ({"on_event": nobody_awaits}, "on_event must be a plain function: nobody awaits"),
        ({"on_event": mine, "wait_for_completion": False}, "on_event is called by a task that waits for its job"),
    ],
)
def test_what_can_not_be_told_is_refused_when_the_dag_is_parsed(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        job(**given)


def test_every_kind_is_told_by_a_task() -> None:
    assert list(dict.fromkeys(ALL)) == list(JOB_EVENT_KINDS)
