"""`on_kill` of each operator: it stops what runs, asks Airflow for nothing, and needs no lock of what it interrupts.

On Airflow 3 it runs in a signal handler and has five seconds; a call to the supervisor that was interrupted holds its
lock meanwhile, so that asking Airflow for anything would wait for ever.
"""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

import pytest
from airflow.models.taskinstance import TaskInstance as TaskRow
from airflow.providers.common.compat.sdk import DAG, task
from airflow.utils.session import create_session
from airflow_runs import Renting, run
from waited_for import once, until

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.job_json import job_to_json
from airflow_provider.kill_switch import KillSwitch
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.sensors.job import OctaJobSensor
from airflow_provider.task_memory import TaskMemory
from octa_provider import JobSpec
from octa_provider.job.jobs import Jobs


class TaskInstance:
    """As much of one as an operator needs that is called directly."""

    dag_id, run_id, task_id, map_index, try_number, start_date = "on_kill", "manual__1", "task", -1, 1, None

    def __init__(self) -> None:
        self.asked: list[str] = []

    def xcom_push(self, key: str, value: Any) -> None:
        self.asked.append(f"push {key}")

    def xcom_pull(self, **arguments: Any) -> Any:
        self.asked.append("pull")


def job() -> Any:
    return OctaRunJobOperator(
        task_id="task", image="alpine:3", command="sleep 600", poll_interval=0.2, deferrable=False
    )


def sensor() -> Any:
    state = OctaHook().get_conn().jobs.start(JobSpec(image="alpine:3", command="sleep 600"), "tests/on_kill/sensor")
    return OctaJobSensor(
        task_id="task", job={"job": job_to_json(state)}, poke_interval=0.2, timeout=600, deferrable=False
    )


@pytest.mark.parametrize("make", [job, sensor])
def test_a_kill_stops_what_runs_and_asks_airflow_for_nothing(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    operator, ti = make(), TaskInstance()
    asked: list[str] = []
    handled: list[list[str]] = []

    def handler(number: int, frame: object) -> None:
        def refused(self: object, *arguments: Any) -> Any:
            asked.append(type(self).__name__)
            raise RuntimeError("it would wait for ever")

        pushed = len(ti.asked)
        with monkeypatch.context() as patch:
            patch.setattr(OctaHook, "get_connection", refused)
            for name in ("job", "keep_job", "session", "keep_session"):
                patch.setattr(TaskMemory, name, refused)
            operator.on_kill()
        handled.append(asked + ti.asked[pushed:])

    def runs() -> bool:
        return operator.kill_switch is not None and operator.kill_switch.uuid in renting.running()

    before = signal.signal(signal.SIGTERM, handler)
    killer = once(runs, lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        with pytest.raises(Exception, match=r"killed|did not succeed"):
            operator.execute({"ti": ti})
    finally:
        killer.join()
        signal.signal(signal.SIGTERM, before)
    assert handled == [[]]
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_kill_while_every_logging_handler_is_locked_returns_in_time(renting: Renting) -> None:
    """The code that it interrupts may have been writing a log line."""
    operator = OctaStartMachineOperator(task_id="task", image="alpine:3")
    operator.execute({"ti": TaskInstance()})
    handlers = [handler for handler in (*logging.getLogger().handlers, logging.lastResort) if handler is not None]
    for handler in handlers:
        handler.acquire()
    try:
        operator.on_kill()
    finally:
        for handler in handlers:
            handler.release()
    until(lambda: renting.running() == [])


def sleeps() -> None:
    import time

    time.sleep(600)


@pytest.mark.parametrize(
    ("state", "is_function"), [("success", False), ("success", True), ("failed", False)], ids=["", "function", "failed"]
)
def test_a_task_that_is_killed_since_it_was_marked_as_a_success_ends_quietly(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, state: str, is_function: bool
) -> None:
    """The whole way, with Airflow's own signals, is among the tests in `e2e`."""
    with DAG(f"marked_{state}_{is_function}", schedule=None) as dag:
        if is_function:
            task.octa(image="python:3.12", poll_interval=0.2, task_id="job")(sleeps)()
        else:
            OctaRunJobOperator(task_id="job", image="alpine:3", command="sleep 600", poll_interval=0.2)
    poll, make, switches = Jobs.poll, KillSwitch.__init__, list[KillSwitch]()

    def made(self: KillSwitch, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        switches.append(self)

    def mark_and_kill(*arguments: Any, **options: Any) -> Any:
        if not switches[-1].pulled:
            with create_session() as session:
                session.query(TaskRow).filter_by(dag_id=dag.dag_id, task_id="job").update({"state": state})
            switches[-1].pull()
        return poll(*arguments, **options)

    monkeypatch.setattr(KillSwitch, "__init__", made)
    monkeypatch.setattr(Jobs, "poll", mark_and_kill)
    with caplog.at_level(logging.INFO):
        ended = run(dag)
    assert (renting.running(), len(renting.sessions)) == ([], 1)
    assert ("was marked as a success" in caplog.text) is (state == "success")
    assert "OctaTaskKilledError" not in caplog.text or state == "failed"
    assert ended.tasks == {"job": state}
    assert (ended.state, "FileNotFoundError" in caplog.text) == (state, False)
