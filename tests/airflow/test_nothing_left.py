"""Whatever goes wrong, nothing is left running, and nothing is rented twice."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, task
from airflow_runs import Renting, run
from dag_to_kill import AT
from waited_for import once

from airflow_provider import starting_session
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.kill_switch import KillSwitch
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.rental_key import rental_key
from airflow_provider.stop_on_failure import stop_after
from octa_provider import MachineRequest
from octa_provider.errors import OctaBudgetError, OctaError, OctaNoMachineError, OctaStartUnclearError
from octa_provider.rental.rentals import Rentals


def start(**arguments: Any) -> OctaStartMachineOperator:
    return OctaStartMachineOperator(**({"task_id": "start", "image": "alpine:3"} | arguments))


@task
def breaks() -> None:
    raise AirflowException("the middle fails")


class TaskInstance:
    """As much of one as a start operator needs when it runs outside Airflow."""

    dag_id, run_id, task_id, map_index = "killed", "manual__1", "start", -1

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def test_the_teardown_runs_when_the_middle_fails(renting: Renting) -> None:
    with DAG("middle_fails", schedule=None) as dag:
        started = start()
        stopped = OctaStopSessionOperator(task_id="stop", session=started.output).as_teardown(setups=started)
        started >> breaks() >> stopped
    ended = run(dag)
    assert ended.state == "failed"
    assert ended.tasks == {"start": "success", "breaks": "failed", "stop": "success"}
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_start_that_fails_after_it_started_stops_what_it_started(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object) -> None:
        raise RuntimeError("no links today")

    monkeypatch.setattr(starting_session, "push", fails)
    with DAG("fails_after_start", schedule=None) as dag:
        started = start()
        OctaStopSessionOperator(task_id="stop", session=started.output).as_teardown(setups=started)
    ended = run(dag)
    assert ended.tasks["start"] == "failed"
    assert len(renting.sessions) == 1
    assert renting.running() == []
    assert ended.result("start", "uuid") == renting.sessions[0]["uuid"]


@pytest.mark.parametrize("error", [OctaNoMachineError, OctaBudgetError, OctaStartUnclearError])
def test_a_try_that_gets_no_machine_stops_nothing_of_another_try(renting: Renting, error: type[OctaError]) -> None:
    octa = OctaHook().get_conn()
    other = octa.rentals.start(MachineRequest(image="alpine:3"), key="airflow/dag/run/task/-1")
    failed = AirflowException("no machine")
    failed.__cause__ = error("none of 3 machines took it")
    for told in (failed, failed.__cause__):
        stop_after(told, octa, "airflow/dag/run/task/-1")
    assert renting.running() == [other.uuid]
    stop_after(AirflowException("something else"), octa, "airflow/dag/run/task/-1")
    assert renting.running() == []


def test_an_answer_that_was_lost_is_not_paid_twice(renting: Renting) -> None:
    renting.emulator.faults({"kind": "drop_after", "method": "POST", "path": "/services/mr"})
    with DAG("answer_lost", schedule=None) as dag:
        started = start()
        started >> OctaStopSessionOperator(task_id="stop", session=started.output)
    ended = run(dag)
    assert ended.state == "success"
    assert len(renting.sessions) == 1
    assert ended.result("start")["adopted"]


def test_a_retry_adopts_what_a_vanished_try_started(renting: Renting) -> None:
    with DAG("vanished", schedule=None) as dag:
        started = start(pre_execute=rent_as_if_the_worker_had_vanished)
        started >> OctaStopSessionOperator(task_id="stop", session=started.output)
    ended = run(dag)
    assert ended.state == "success"
    assert len(renting.sessions) == 1
    assert ended.result("start")["adopted"]


def rent_as_if_the_worker_had_vanished(context: Any) -> None:
    OctaHook().get_conn().rentals.start(MachineRequest(image="alpine:3"), key=rental_key(context))


@pytest.mark.parametrize("session", [None, "{{ None }}", ""])
def test_a_lost_uuid_is_swept_by_the_rental_key(renting: Renting, session: str | None) -> None:
    with DAG("uuid_lost", schedule=None) as dag:
        start(do_xcom_push=False) >> OctaStopSessionOperator(task_id="stop", session=session, start_task_id="start")
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("stop")["uuid"] == renting.sessions[0]["uuid"]


def test_nothing_to_stop_is_fine(renting: Renting) -> None:
    with DAG("nothing_started", schedule=None) as dag:
        started = start(max_price_usd=0.0001)
        started >> OctaStopSessionOperator(task_id="stop", session=started.output, trigger_rule="all_done")
    ended = run(dag)
    assert ended.tasks == {"start": "failed", "stop": "success"}
    assert ended.result("stop") is None
    assert renting.sessions == []


def kill_and_answer(renting: Renting) -> None:
    """Kill this process while its request is under way, whose answer comes after that."""
    os.kill(os.getpid(), signal.SIGTERM)
    renting.emulator.clear_faults()


@pytest.mark.parametrize("when", ["while it is posted", "once it is known"])
def test_a_kill_while_starting_leaves_nothing(renting: Renting, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """As on Airflow 3: the handler runs `on_kill` in the main thread, and `execute` goes on behind it."""
    operator = start()
    context: Any = {"ti": TaskInstance()}
    if when == "while it is posted":
        # The effect comes at once, the answer late: the kill finds a request under way.
        renting.emulator.faults(
            {"kind": "delay", "method": "POST", "path": "/services/mr", "seconds": 3600, "after_effect": True}
        )
        once(renting.running, lambda: kill_and_answer(renting))
    else:
        original = TaskInstance.xcom_push

        def pushed(self: TaskInstance, key: str, value: Any) -> None:
            original(self, key, value)
            os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(TaskInstance, "xcom_push", pushed)
    handled: list[int] = []

    def handler(number: int, frame: object) -> None:
        operator.on_kill()
        handled.append(number)

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(AirflowException):
            operator.execute(context)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(handled) == 1
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_kill_that_raises_leaves_nothing(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Airflow 2: the handler raises inside `execute`."""
    # The answer is lost, so the core looks for a late session until the settle time is over.
    monkeypatch.setitem(Rentals.start.__kwdefaults__, "settle_s", 2.0)
    operator = start()
    renting.emulator.faults(
        {"kind": "delay", "method": "POST", "path": "/services/mr", "seconds": 3600, "after_effect": True}
    )
    once(renting.running, lambda: kill_and_answer(renting))

    def handler(number: int, frame: object) -> None:
        operator.on_kill()
        raise AirflowException("Task received SIGTERM signal")

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(AirflowException):
            operator.execute({"ti": TaskInstance()})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert renting.running() == []


def test_a_kill_asks_airflow_for_nothing(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = OctaHook()
    switch = KillSwitch(hook.settings, "tests/nothing")
    monkeypatch.setattr(OctaHook, "get_connection", None)
    switch.pull()
    assert switch.pulled


def test_a_kill_returns_in_time_when_nobody_answers(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow 3 gives it five seconds."""
    renting.emulator.faults({"kind": "delay", "path": "/sessions", "seconds": 3600, "times": None})
    switch = KillSwitch(OctaHook().settings, "tests/nothing")
    join, waited_s = threading.Thread.join, list[float | None]()

    def noted(thread: threading.Thread, timeout: float | None = None) -> None:
        if threading.current_thread() is threading.main_thread():
            waited_s.append(timeout)
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", noted)
    switch.pull()
    (most_s,) = waited_s
    assert most_s is not None
    assert most_s < 4.5


def test_a_kill_before_anything_began_is_quiet() -> None:
    start().on_kill()


def test_a_start_takes_no_machine_that_runs_under_its_key_with_something_else(renting: Renting) -> None:
    """The DAG was edited between two tries of one run: another image now."""
    started: list[str] = []
    for image in ("alpine:3.19", "alpine:3.20", "alpine:3.20"):
        with DAG("edited", schedule=None, start_date=AT) as dag:
            start(image=image, start_command="sleep 600")
        ended = run(dag, at=AT)
        assert ended.state == "success"
        started.append(ended.result("start")["uuid"])
    # The first was stopped for the second; the third try found what it wanted.
    assert started[0] != started[1] == started[2]
    assert renting.running() == [started[1]]
    assert [session["image"] for session in renting.sessions] == ["alpine:3.19", "alpine:3.20"]
    renting.emulator.end_session(started[1])
