"""What pipeline teams set on any task: retries, mapping, outlets, owner, pools, durable."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset
from airflow_runs import Renting, run
from test_run_job import job, run_job
from waited_for import once_there

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.logs import OctaFetchLogsOperator
from airflow_provider.operators.machines import OctaMachinesOperator
from airflow_provider.operators.reap import OctaReapOperator
from airflow_provider.operators.start import OctaStartMachineOperator, OctaStartRenderOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.operators.vpn import OctaStartVpnOperator
from airflow_provider.sensors.job import OctaJobSensor
from airflow_provider.sensors.session import OctaSessionReadySensor
from airflow_provider.task_group import octa_session
from airflow_provider.told_outputs import MOST_CHARS, MOST_NAMES

AT_ONCE = {"retry_delay": timedelta(0)}


@pytest.mark.parametrize(
    "arguments",
    [
        {"image": "scratch"},  # It has no shell, and grows none.
        {"octa_conn_id": "octa_refused"},
        {"disk_gb": "{{ 'plenty' }}"},
        {"command": "sleep 600", "max_cost_usd": 0.0000001},  # A cap would be spent again.
    ],
    ids=["no shell", "refused key", "wrong argument", "over budget"],
)
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_no_retry_where_none_can_help(renting: Renting, arguments: dict[str, Any], deferrable: bool) -> None:
    renting.connection("octa_refused", password="wrong-key-wrong-key")
    ended = run_job("no_retry", retries=2, deferrable=deferrable, **AT_ONCE, **arguments)
    assert ended.state == "failed"
    assert ended.ti("job").try_number == 1
    assert renting.running() == []


def test_a_retry_where_one_can_help(renting: Renting, tmp_path: Path) -> None:
    command = f"echo run >> {tmp_path}/runs; test $(wc -l < {tmp_path}/runs) = 3"
    ended = run_job("retried", command=command, retries=2, **AT_ONCE)
    assert ended.state == "success"
    assert ended.ti("job").try_number == 3
    assert len(renting.sessions) == 3
    assert renting.most_at_once == 1


def test_a_machine_that_dies_is_made_up_for_by_a_retry(renting: Renting, tmp_path: Path) -> None:
    renting.emulator.faults({"kind": "node_dies", "seconds": 1, "times": 1})

    def tried_again(context: Any) -> None:
        if context["ti"].try_number > 1:
            (tmp_path / "again").touch()

    command = f"{once_there(tmp_path / 'again')}; echo whole"
    ended = run_job("node_died", command=command, retries=1, deferrable=True, pre_execute=tried_again, **AT_ONCE)
    assert ended.state == "success"
    assert len(renting.sessions) == 2
    assert renting.most_at_once == 1


def test_a_job_for_each_machine_on_offer(renting: Renting) -> None:
    with DAG("each_machine", schedule=None) as dag:
        machines = OctaMachinesOperator(task_id="machines", limit=3)
        OctaRunJobOperator.partial(task_id="job", image="alpine:3", command="echo hello", poll_interval=0.2).expand(
            node_id=machines.output.map(lambda machine: machine["node_id"])
        )
    ended = run(dag)
    assert ended.state == "success"
    wanted = [machine["node_id"] for machine in ended.result("machines")]
    assert [ended.result(f"job[{index}]")["node_id"] for index in range(3)] == wanted
    assert len({session["rental_key"] for session in renting.sessions}) == 3


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_a_job_for_each_scene_with_its_own_files(renting: Renting, tmp_path: Path, deferrable: bool) -> None:
    scenes = []
    for scene in ("desert", "forest"):
        (tmp_path / scene).write_text(scene)
        scenes.append(
            {
                "inputs": {str(tmp_path / scene): "scene"},
                "outputs": {"out": str(tmp_path / f"{scene}.out")},
                "envs": {"SCENE": scene},
            }
        )
    with DAG(f"each_scene_{deferrable}", schedule=None) as dag:
        OctaRunJobOperator.partial(
            task_id="job",
            image="alpine:3",
            command='echo "$SCENE: $(cat scene)" > out',
            poll_interval=0.2,
            deferrable=deferrable,
        ).expand_kwargs(scenes)
    assert run(dag).state == "success"
    assert (tmp_path / "desert.out").read_text() == "desert: desert\n"
    assert (tmp_path / "forest.out").read_text() == "forest: forest\n"


def run_with_an_outlet(name: str, uri: str, **arguments: Any) -> Any:
    with DAG(name, schedule=None) as dag:
        job(outlets=[Asset(uri)], **arguments)
    if hasattr(dag, "bulk_write_to_db"):
        # Airflow 2 runs a DAG that was never stored, but keeps events only of what it knows.
        dag.bulk_write_to_db([dag])
    ended = run(dag)
    assert ended.state == "success"
    return ended.result("job")


def test_outlets_tell_what_was_made_and_what_it_cost(renting: Renting) -> None:
    result = run_with_an_outlet("outlets", "x-octa://frames", command="echo hello")
    extra = last_event_of("x-octa://frames").extra
    assert {name: extra[name] for name in ("uuid", "node_id", "cost_wei", "outputs")} == {
        name: result[name] for name in ("uuid", "node_id", "cost_wei", "outputs")
    }


def test_an_outlet_names_some_of_thousands_of_files_and_counts_all(renting: Renting, tmp_path: Path) -> None:
    count = 2 * MOST_NAMES + 20
    command = f"mkdir f; i=0; while [ $i -lt {count} ]; do echo > f/$i.txt; i=$((i+1)); done"
    run_with_an_outlet("many_in_an_outlet", "x-octa://many", command=command, outputs={"f": str(tmp_path / "f")})
    extra = last_event_of("x-octa://many").extra
    assert (len(extra["outputs"]), extra["outputs_count"]) == (MOST_NAMES, count)
    assert len(json.dumps(extra)) < 2 * MOST_CHARS


def test_a_job_that_fails_makes_no_outlet(renting: Renting) -> None:
    assert run_job("no_outlet", command="exit 1", outlets=[Asset("x-octa://never")]).state == "failed"
    assert last_event_of("x-octa://never") is None


def last_event_of(uri: str) -> Any:
    from airflow.utils.session import create_session

    try:
        from airflow.models.asset import AssetEvent as Event
        from airflow.models.asset import AssetModel as Model

        refers_to = Event.asset_id
    except ImportError:
        from airflow.models.dataset import DatasetEvent as Event
        from airflow.models.dataset import DatasetModel as Model

        refers_to = Event.dataset_id
    with create_session() as session:
        found = session.query(Event).join(Model, Model.id == refers_to).filter(Model.uri == uri).all()
        session.expunge_all()
    return found[-1] if found else None


@pytest.mark.parametrize(("arguments", "state"), [({}, "failed"), ({"skip_if_none": True}, "skipped")])
def test_a_survey_that_finds_nothing_is_not_silently_green(
    renting: Renting, capfd: pytest.CaptureFixture[str], arguments: dict[str, Any], state: str
) -> None:
    with DAG("finds_nothing", schedule=None) as dag:
        OctaMachinesOperator(task_id="machines", max_price_usd=0.0001, **arguments)
    assert run(dag).tasks == {"machines": state}
    assert "too expensive (cheapest" in "".join(capfd.readouterr())


def each_operator(**arguments: Any) -> list[Any]:
    return [
        OctaRunJobOperator(task_id="job", image="alpine:3", command="true", **arguments),
        OctaStartMachineOperator(task_id="machine", image="alpine:3", **arguments),
        OctaStartRenderOperator(task_id="render", **arguments),
        OctaStartVpnOperator(task_id="vpn", **arguments),
        OctaStopSessionOperator(task_id="stop", session="a-uuid", start_task_id="machine", **arguments),
        OctaFetchLogsOperator(task_id="logs", session="a-uuid", **arguments),
        OctaMachinesOperator(task_id="machines", **arguments),
        OctaReapOperator(task_id="reap", **arguments),
        OctaSessionReadySensor(task_id="ready", session="a-uuid", **arguments),
        OctaJobSensor(task_id="ended", job={}, **arguments),
    ]


def test_what_a_team_sets_on_a_task_is_left_alone() -> None:
    """`owner`, pool, queue and priority say who a task is of, in a deployment of several teams: none is ours to set."""
    theirs = {"owner": "lighting", "pool": "gpu", "queue": "farm", "priority_weight": 7, "retries": 4}
    with DAG("theirs", schedule=None, default_args={"owner": "pipeline"}):
        for operator in each_operator(**theirs):
            assert {name: getattr(operator, name) for name in theirs} == theirs
    with DAG("defaults", schedule=None, default_args={"owner": "pipeline", "pool": "farm"}):
        for operator in each_operator():
            assert (operator.owner, operator.pool) == ("pipeline", "farm")


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_a_session_around_tasks_that_never_comes_up_is_stopped(renting: Renting, deferrable: bool) -> None:
    """The ready sensor is a setup too, and a setup that fails runs no teardown of its own."""
    from airflow.providers.common.compat.sdk import task

    @task
    def use(session: Any) -> None:
        raise AssertionError("must not run")

    renting.emulator.faults({"kind": "never_ready"})
    with (
        DAG(f"never_up_{deferrable}", schedule=None) as dag,
        octa_session("gpu", image="alpine:3", ready_timeout_s=1, poll_interval=0.3, deferrable=deferrable) as session,
    ):
        use(session)
    ended = run(dag)
    assert ended.state == "failed"
    assert ended.tasks["gpu.ready"] == "failed"
    assert ended.tasks["gpu.stop"] == "success"
    assert ended.tasks["gpu.use"] == "upstream_failed"
    assert len(renting.sessions) == 1
    assert renting.running() == []
