"""The stop: whatever it is told, whatever became of the start, nothing is left running; and what the DAG run tells."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, TaskGroup, task
from airflow_runs import Renting, run

from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.sensors.session import OctaSessionReadySensor
from airflow_provider.task_group import octa_session

ROOT = Path(__file__).parents[2]
FAILS = {"kind": "status", "method": "POST", "path": "/services/*/stop", "status": 500, "times": None}


def start(**arguments: Any) -> OctaStartMachineOperator:
    return OctaStartMachineOperator(**({"task_id": "start", "image": "alpine:3"} | arguments))


def stop(**arguments: Any) -> OctaStopSessionOperator:
    return OctaStopSessionOperator(**({"task_id": "stop", "retry_delay": timedelta(0)} | arguments))


def mapped_start(count: int = 3, **arguments: Any) -> Any:
    parts = [{"PART": str(part)} for part in range(count)]
    return OctaStartMachineOperator.partial(task_id="start", image="alpine:3", **arguments).expand(envs=parts)


@task
def breaks(session: Any = None) -> None:
    raise AirflowException("the middle fails")


# -- what it stops ----------------------------------------------------------------------------------------------------


def test_the_output_of_a_mapped_start_means_all_its_sessions(renting: Renting) -> None:
    with DAG("stop_mapped", schedule=None) as dag:
        started = mapped_start()
        started >> stop(session=started.output)
    ended = run(dag)
    assert ended.state == "success"
    assert renting.running() == []
    assert sorted(bill["uuid"] for bill in ended.result("stop")) == sorted(one["uuid"] for one in renting.sessions)
    assert all(int(bill["charge_wei"]) > 0 for bill in ended.result("stop"))


@pytest.mark.parametrize(
    "session",
    [
        "{{ ti.xcom_pull(task_ids='start') }}",
        "{{ ti.xcom_pull(task_ids='start') | tojson }}",
        "{{ [ti.xcom_pull(task_ids='start')] }}",
        " {{ ti.xcom_pull(task_ids='start')['uuid'] }} ",
    ],
)
@pytest.mark.parametrize("start_task_id", [None, "start"])
def test_a_session_rendered_to_text_is_stopped(renting: Renting, session: str, start_task_id: str | None) -> None:
    with DAG("stop_text", schedule=None) as dag:
        start() >> stop(session=session, start_task_id=start_task_id)
    ended = run(dag)
    assert ended.state == "success"
    bill = ended.result("stop")
    assert (bill if isinstance(bill, dict) else bill[0])["uuid"] == renting.sessions[0]["uuid"]
    assert renting.running() == []


@pytest.mark.parametrize(
    "session",
    ["<what a repr looks like at 0x7f>", "{'uuid': <object>}", "{{ 1 / 0 }}", "{{ params.nobody.knows }}"],
)
def test_what_is_no_session_at_all_leaves_the_rental_key_to_stop_by(renting: Renting, session: str) -> None:
    with DAG("stop_odd_text", schedule=None) as dag:
        start() >> stop(session="{{ '' }}" + session, start_task_id="start")
    assert run(dag).state == "success"
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_sensors_output_is_taken_where_the_start_is_named(renting: Renting) -> None:
    with DAG("stop_behind_sensor", schedule=None) as dag:
        started = start()
        ready = OctaSessionReadySensor(task_id="ready", session=started.output, poke_interval=0.3)
        started >> ready >> stop(session=ready.output, start_task_id="start")
    ended = run(dag)
    assert ended.state == "success"
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_state_that_is_damaged_keeps_no_session_from_being_stopped(renting: Renting) -> None:
    with DAG("stop_damaged", schedule=None) as dag:
        damaged = "{{ dict(ti.xcom_pull(task_ids='start'), max_cost_usd='', started_at='yesterday') | tojson }}"
        start() >> stop(session=damaged)
    assert run(dag).state == "success"
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.parametrize("session", [None, "{{ ti.xcom_pull(task_ids='start') }}"])
def test_a_mapped_start_is_stopped_by_its_id_alone(renting: Renting, session: str | None) -> None:
    with DAG("stop_by_id", schedule=None) as dag, TaskGroup("farm"):
        started = mapped_start(do_xcom_push=False)
        started >> stop(session=session, start_task_id="farm.start")
    ended = run(dag)
    assert ended.state == "success"
    assert len(renting.sessions) == 3
    assert len(ended.result("farm.stop")) == 3
    assert renting.running() == []


def test_each_of_a_mapped_groups_stops_stops_its_own(renting: Renting) -> None:
    from airflow.providers.common.compat.sdk import task_group

    @task_group
    def part(number: int) -> None:
        started = start(envs={"PART": "x"}, do_xcom_push=False)
        started >> stop(start_task_id="part.start")

    with DAG("stop_in_mapped_group", schedule=None) as dag:
        part.expand(number=[1, 2])
    ended = run(dag)
    assert ended.state == "success"
    assert {ended.result(f"part.stop[{n}]")["uuid"] for n in (0, 1)} == {one["uuid"] for one in renting.sessions}
    assert renting.running() == []


def test_a_list_of_starts_is_stopped(renting: Renting) -> None:
    with DAG("stop_list", schedule=None) as dag:
        one, two = start(task_id="one"), start(task_id="two", do_xcom_push=False)
        [one, two] >> stop(session=[one.output, two.output])
    assert run(dag).state == "success"
    assert len(renting.sessions) == 2
    assert renting.running() == []


def test_a_start_that_failed_before_it_told_its_uuid_is_swept(renting: Renting) -> None:
    """Its XCom is missing, and Airflow can't even render the argument."""

    def leaves_one(context: Any) -> None:
        from airflow_provider.hooks.octa import OctaHook
        from airflow_provider.rental_key import rental_key
        from octa_provider import MachineRequest

        OctaHook().get_conn().rentals.start(MachineRequest(image="alpine:3"), key=rental_key(context))
        raise AirflowException("the worker is gone")

    with DAG("stop_no_xcom", schedule=None) as dag:
        started = start(pre_execute=leaves_one)
        started >> stop(session=started.output["uuid"], trigger_rule="all_done")
    ended = run(dag)
    assert ended.tasks == {"start": "failed", "stop": "success"}
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_one_session_that_cannot_be_stopped_keeps_no_other_from_it(renting: Renting) -> None:
    with DAG("stop_one_fails", schedule=None) as dag:
        started = mapped_start()
        spoil = holds_on_to_the_first(renting)()
        started >> spoil >> stop(session=started.output, deadline_s=2, retries=0)
    ended = run(dag)
    assert ended.tasks["stop"] == "failed"
    assert renting.running() == [ended.result("start[0]")["uuid"]]
    renting.emulator.clear_faults()
    renting.emulator.end_session(ended.result("start[0]")["uuid"])


def holds_on_to_the_first(renting: Renting) -> Any:
    @task
    def spoil() -> None:
        first = next(one for one in renting.sessions if one["rental_key"].endswith("/start/0"))
        renting.emulator.faults(FAILS | {"path": f"/services/{first['uuid']}/stop"})

    return spoil


# -- what keeps it from nothing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{"score": "{{ 9 }}"}, {"score": "{{ 'good' }}"}, {"deadline_s": "{{ 'soon' }}"}])
@pytest.mark.parametrize("template", ["", "{{ nobody.knows }}"])
def test_a_rendered_argument_that_is_wrong_keeps_no_stop_from_happening(
    renting: Renting, arguments: dict[str, str], template: str
) -> None:
    arguments = {name: template or value for name, value in arguments.items()}
    with DAG("stop_wrong", schedule=None) as dag:
        started = start()
        started >> stop(session=started.output, **arguments)
    assert run(dag).state == "success"
    assert len(renting.sessions) == 1
    assert renting.sessions[0].get("score") is None
    assert renting.running() == []


def test_a_rendered_score_is_told(renting: Renting) -> None:
    with DAG("stop_score", schedule=None) as dag:
        started = mapped_start(2)
        started >> stop(session=started.output, score="{{ 4 }}")
    assert run(dag).state == "success"
    assert [one["score"] for one in renting.sessions] == [4, 4]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "session is missing"),
        ({"session": ""}, "session is missing"),
        ({"session": []}, "session is missing"),
        ({"session": {}}, "session is missing"),
        ({"session": {"key": "x"}}, "session is missing"),
        ({"session": 7}, "session is a int"),
        ({"session": [7], "start_task_id": "start"}, "session is a int"),
        ({"session": "{'uuid': "}, "no uuid"),
        ({"session": "a uuid with spaces"}, "no uuid"),
        ({"session": "u", "score": 6}, "score=6"),
        ({"session": "u", "score": 0}, "score=0"),
        ({"session": "u", "score": "good"}, "score='good'"),
        ({"session": "u", "score": True}, "score=True"),
        ({"session": "u", "deadline_s": 0}, "deadline_s=0"),
        ({"session": "u", "deadline_s": float("inf")}, "deadline_s=inf"),
        ({"session": "u", "deadline_s": float("nan")}, "deadline_s=nan"),
        ({"start_task_id": 5}, "start_task_id=5"),
        ({"start_task_id": [5]}, "start_task_id"),
    ],
)
def test_what_can_never_stop_anything_is_refused_when_the_dag_is_parsed(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        stop(**arguments)


def test_the_output_of_a_sensor_is_refused_when_the_dag_is_parsed() -> None:
    with DAG("stop_sensor", schedule=None):
        ready = OctaSessionReadySensor(task_id="ready", session="a-uuid")
        with pytest.raises(ValueError, match="sensor ready"):
            stop(session=ready.output)
        with pytest.raises(ValueError, match="sensor ready"):
            stop(task_id="stop_list", session=[ready.output])


# -- tried again ------------------------------------------------------------------------------------------------------


def test_a_stop_is_tried_again_unless_the_team_says_otherwise() -> None:
    with DAG("stop_retries", schedule=None):
        assert OctaStopSessionOperator(task_id="a", session="u").retries == 3
        assert OctaStopSessionOperator(task_id="b", session="u").retry_delay <= timedelta(minutes=1)
        assert OctaStopSessionOperator(task_id="c", session="u", retries=0).retries == 0
        assert OctaStopSessionOperator.partial(task_id="d").expand(session=["u", "v"]).retries == 3
        assert OctaStopSessionOperator.partial(task_id="e", retries=0).expand(session=["u"]).retries == 0
        with TaskGroup("theirs", default_args={"retries": 1}):
            assert OctaStopSessionOperator(task_id="a", session="u").retries == 1
            assert OctaStopSessionOperator.partial(task_id="b").expand(session=["u"]).retries == 1
    with DAG("stop_retries_of_team", schedule=None, default_args={"retries": 0, "retry_delay": timedelta(hours=1)}):
        for stopped in (
            OctaStopSessionOperator(task_id="a", session="u"),
            OctaStopSessionOperator.partial(task_id="b").expand(session=["u"]),
        ):
            assert (stopped.retries, stopped.retry_delay) == (0, timedelta(hours=1))


def test_a_stop_that_failed_is_tried_again_and_stops(renting: Renting) -> None:
    renting.emulator.faults(FAILS)

    def works_again(context: Any) -> None:
        if context["ti"].try_number > 1:
            renting.emulator.clear_faults()

    with DAG("stop_again", schedule=None) as dag:
        started = start()
        deadline_s = "{{ 0.5 if ti.try_number == 1 else 600 }}"
        started >> stop(session=started.output, deadline_s=deadline_s, pre_execute=works_again)
    ended = run(dag)
    assert ended.state == "success"
    assert ended.ti("stop").try_number > 1
    assert renting.running() == []


# -- what the DAG run tells -------------------------------------------------------------------------------------------


def leave_nothing(renting: Renting) -> None:
    renting.emulator.clear_faults()
    for uuid in renting.running():
        renting.emulator.end_session(uuid)


def test_a_dag_run_whose_teardown_could_not_stop_has_failed(renting: Renting) -> None:
    with DAG("teardown_fails", schedule=None) as dag:
        started = start()
        stopped = stop(session=started.output, deadline_s=1, retries=0)
        stopped.as_teardown(setups=started, on_failure_fail_dagrun=True)
        started >> fine() >> stopped
    renting.emulator.faults(FAILS)
    ended = run(dag)
    assert ended.tasks == {"start": "success", "fine": "success", "stop": "failed"}
    assert ended.state == "failed"
    assert len(renting.running()) == 1
    leave_nothing(renting)


def test_a_dag_run_whose_octa_session_could_not_be_stopped_has_failed(renting: Renting) -> None:
    with (
        DAG("session_fails", schedule=None) as dag,
        octa_session("gpu", image="alpine:3", poll_interval=0.2) as session,
    ):
        fine(session)
    stopped = dag.get_task("gpu.stop")
    assert stopped.on_failure_fail_dagrun
    stopped.deadline_s, stopped.retries = 1, 0
    renting.emulator.faults(FAILS)
    ended = run(dag)
    assert (ended.tasks["gpu.fine"], ended.tasks["gpu.stop"]) == ("success", "failed")
    assert ended.state == "failed"
    leave_nothing(renting)


def test_a_dag_run_whose_work_failed_is_no_success_because_its_teardown_is_one(renting: Renting) -> None:
    """Of a teardown with on_failure_fail_dagrun Airflow takes the DAG run's state, and no more of what is before it."""
    with DAG("work_fails", schedule=None) as dag:
        started = start()
        stopped = stop(session=started.output).as_teardown(setups=started, on_failure_fail_dagrun=True)
        started >> breaks() >> fine() >> stopped
    ended = run(dag)
    assert ended.state == "failed"
    assert (ended.tasks["breaks"], ended.tasks["fine"], ended.tasks["stop"]) == ("failed", "upstream_failed", "failed")
    assert ended.result("stop")["uuid"] == renting.sessions[0]["uuid"]
    assert ended.ti("stop").try_number == 1
    assert renting.running() == []


def test_a_teardown_is_a_success_where_another_task_tells_of_the_failure(renting: Renting) -> None:
    with DAG("work_fails_told", schedule=None) as dag:
        started = start()
        stopped = stop(session=started.output).as_teardown(setups=started, on_failure_fail_dagrun=True)
        broken = breaks()
        started >> broken >> stopped
        broken >> fine()
    ended = run(dag)
    assert ended.state == "failed"
    assert ended.tasks["stop"] == "success"
    assert renting.running() == []


def test_a_failure_within_an_octa_session_fails_the_dag_run(renting: Renting) -> None:
    group = octa_session("gpu", image="alpine:3", poll_interval=0.2)
    with DAG("session_work", schedule=None) as dag, group as session:
        breaks(session)
        fine(session)
    ended = run(dag)
    assert ended.state == "failed"
    assert (ended.tasks["gpu.breaks"], ended.tasks["gpu.fine"]) == ("failed", "success")
    assert (ended.tasks["gpu.done"], ended.tasks["gpu.stop"]) == ("upstream_failed", "success")
    assert renting.running() == []


@task
def fine(session: Any = None) -> None:
    return None


WHERE = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "dags_examples").rglob("*.py")),
    *sorted((ROOT / "airflow_provider").rglob("*.py")),
    *sorted((ROOT / "demo").rglob("*.py")),
]


def test_no_example_and_no_document_shows_a_teardown_that_hides_a_machine() -> None:
    found = [
        (path.name, call)
        for path in WHERE
        for call in re.findall(r"\.as_teardown\((.*?)\)", path.read_text(encoding="utf-8"), re.DOTALL)
    ]
    assert len(found) > 4
    assert [(name, call) for name, call in found if "on_failure_fail_dagrun=True" not in call] == []
