"""Caps on cost and duration: refused at parsing where they cap nothing, and held while a session comes up."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow_runs import Renting, run
from on_a_loop import all_events

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.start import OctaStartMachineOperator, OctaStartRenderOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.sensors.session import OctaSessionReadySensor
from airflow_provider.triggers.session import OctaSessionReadyTrigger

NO_CAPS = [0, -1, float("inf"), float("nan"), "inf", "nan", "0", "-0.5", "lots", True, False]
NEVER_READY = {"kind": "never_ready", "times": None}


def start_machine(**arguments: Any) -> Any:
    return OctaStartMachineOperator(task_id="start", image="alpine:3", **arguments)


def start_render(**arguments: Any) -> Any:
    return OctaStartRenderOperator(task_id="start", **arguments)


def run_job(**arguments: Any) -> Any:
    return OctaRunJobOperator(task_id="job", image="alpine:3", command="true", **arguments)


@pytest.mark.parametrize("value", NO_CAPS)
@pytest.mark.parametrize(
    ("operator", "name"),
    [
        (start_machine, "max_cost_usd"),
        (start_machine, "max_duration_s"),
        (start_render, "max_cost_usd"),
        (start_render, "max_duration_s"),
        (run_job, "max_cost_usd"),
        (run_job, "max_duration_s"),
    ],
)
def test_what_caps_nothing_is_refused_when_the_dag_is_parsed(operator: Any, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name) as told:
        operator(**{name: value})
    assert "give" in str(told.value)
    assert str(told.value).count(".") <= 2


@pytest.mark.parametrize("value", [[5], (5,), {"usd": 5}])
def test_a_collection_is_no_cap_and_a_number_is_asked_for(value: object) -> None:
    with pytest.raises(ValueError, match=r"max_cost_usd=.*, and a number was wanted: give a number"):
        start_machine(max_cost_usd=value)


@pytest.mark.parametrize("value", [5, 0.5, "5", "{{ params.cap }}", None])
def test_a_cap_is_a_number_or_a_text_of_one_or_a_template(value: object) -> None:
    assert start_machine(max_cost_usd=value, max_duration_s=value).max_cost_usd == value


@pytest.mark.parametrize("name", ["max_cost_usd", "max_duration_s", "max_price_usd"])
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_cap_is_refused_when_the_dag_is_parsed(name: str, value: str) -> None:
    for operator in (start_machine, start_render, run_job):
        with pytest.raises(ValueError, match=f"{name} is empty, which caps nothing: give a number above 0, or None"):
            operator(**{name: value})


@pytest.mark.parametrize("name", ["max_cost_usd", "max_duration_s"])
@pytest.mark.parametrize("value", ["{{ 'inf' }}", "{{ '' }}"])
def test_a_cap_that_is_rendered_to_none_starts_nothing(renting: Renting, name: str, value: str) -> None:
    """Such as of a field of a form that somebody left empty."""
    with DAG("caps_rendered", schedule=None) as dag:
        start_machine(**{name: value, "retries": 3})
    ended = run(dag)
    assert ended.tasks == {"start": "failed"}
    assert ended.ti("start").try_number == 1
    assert renting.sessions == []


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
@pytest.mark.parametrize("cap", [{"max_cost_usd": "{{ 0.5 }}"}, {"max_duration_s": "{{ 7200 }}"}], ids=["usd", "s"])
def test_a_cap_of_the_start_holds_while_the_session_comes_up(
    renting: Renting, cap: dict[str, str], deferrable: bool
) -> None:
    renting.emulator.faults(NEVER_READY)
    with DAG(f"caps_held_{deferrable}", schedule=None) as dag:
        started = start_machine(**cap)
        ready = OctaSessionReadySensor(
            task_id="ready",
            session=started.output,
            poke_interval=0.3,
            timeout=600,
            deferrable=deferrable,
            retries=2,
            pre_execute=lambda context: renting.emulator.advance_clock(10 * 3600),
        )
        stopped = OctaStopSessionOperator(task_id="stop", session=started.output)
        started >> ready >> stopped.as_teardown(setups=started, on_failure_fail_dagrun=True)
    ended = run(dag)
    assert ended.state == "failed"
    assert (ended.tasks["start"], ended.tasks["ready"]) == ("success", "failed")
    assert ended.ti("ready").try_number == 1
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_a_cap_on_time_ends_a_job_and_no_retry_spends_it_again(renting: Renting, deferrable: bool) -> None:
    with DAG(f"caps_job_{deferrable}", schedule=None) as dag:
        OctaRunJobOperator(
            task_id="job",
            image="alpine:3",
            command="echo begun; sleep 300",
            max_duration_s="{{ 3600 }}",
            poll_interval=0.3,
            retries=2,
            deferrable=deferrable,
        )

    def advance() -> None:
        while not renting.running():
            time.sleep(0.1)
        renting.emulator.advance_clock(2 * 3600)

    threading.Thread(target=advance, daemon=True).start()
    ended = run(dag)
    assert ended.state == "failed"
    assert ended.ti("job").try_number == 1
    assert ended.result("job", "cost")["duration_s"] >= 3600
    assert (len(renting.sessions), renting.running()) == (1, [])


def test_a_job_has_the_entrypoint_and_the_app_that_it_asks_for(
    renting: Renting, capfd: pytest.CaptureFixture[str]
) -> None:
    with DAG("of_an_app", schedule=None, params={"app": "406c0b3f-6726-4169-a3b4-6322995cd755"}) as dag:
        OctaRunJobOperator(
            task_id="job",
            image="",
            app="{{ params.app }}",
            entrypoint="env MARK=here",
            command="echo $MARK",
            poll_interval=0.3,
        )
    assert run(dag).state == "success"
    log = capfd.readouterr()
    assert "[job] here" in log.out + log.err
    with pytest.raises(ValueError, match="image must name a container image"):
        OctaRunJobOperator(task_id="job", image="", command="true")


def test_a_trigger_stops_at_a_cap_before_it_tells_anybody(renting: Renting) -> None:
    from octa_provider import MachineRequest

    renting.emulator.faults(NEVER_READY)
    with renting.client() as client:
        rental = client.rentals.start(MachineRequest(image="alpine:3"), key="tests/caps/trigger", max_duration_s=3600)
    renting.emulator.advance_clock(2 * 3600)
    state = rental.to_dict() | {"price_wei": None}
    trigger = OctaSessionReadyTrigger(octa_conn_id="octa_default", session=state, deadline_at=9e9, poll_interval=0.3)
    (event,) = all_events(trigger)
    assert event["what"] == "failed"
    assert "3600" in event["message"]
    assert renting.running() == []
