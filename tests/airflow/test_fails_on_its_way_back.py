"""A task that fails before it has done anything may have a session all the same: an earlier step, or try, rented it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowFailException
from airflow_runs import Renting, run
from test_run_job import once, run_job

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.job_json import job_to_json
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.rental_key import rental_key
from airflow_provider.sensors.job import OctaJobSensor
from airflow_provider.sensors.session import OctaSessionReadySensor
from airflow_provider.stop_on_failure import tell_which_batch_may_run
from octa_provider import JobSpec, JobState, MachineRequest, OctaClient
from octa_provider.job.jobs import Jobs


class TaskInstance:
    """As much of one as an operator needs that is called directly."""

    dag_id, run_id, task_id, map_index, try_number, start_date = "back", "manual__1", "job", -1, 1, None

    def __init__(self, uuid: str | None = None) -> None:
        self.xcoms: dict[str, Any] = {} if uuid is None else {"uuid": uuid}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return self.xcoms.get(key)


def begun(renting: Renting, command: str = "sleep 600", namespace: str = "") -> tuple[JobState, Any]:
    """A job that runs, as a try that deferred has left it, and the context of the task that comes back."""
    context: Any = {"ti": TaskInstance()}
    with OctaClient(renting.emulator.api_key, base_url=renting.emulator.base_url, namespace=namespace) as client:
        state = client.jobs.start(JobSpec(image="alpine:3", command=command), rental_key(context))
    context["ti"].xcoms["uuid"] = state.rental.uuid
    return state, context


def job(**arguments: Any) -> OctaRunJobOperator:
    return OctaRunJobOperator(
        **({"task_id": "job", "image": "alpine:3", "command": "sleep 600", "poll_interval": 0.2} | arguments)
    )


def test_a_resumed_task_whose_arguments_are_wrong_now_stops_its_session(renting: Renting) -> None:
    state, context = begun(renting)
    operator = job()
    operator.disk_gb = "what a Variable says since a minute ago"
    with pytest.raises(AirflowFailException, match="disk_gb"):
        operator.execute_resumed(context, {"what": "unwatched", "message": "", "job": job_to_json(state)})
    assert renting.running() == []


def test_an_event_of_another_version_stops_the_session(renting: Renting) -> None:
    _state, context = begun(renting)
    with pytest.raises(Exception, match="not the state of a job"):
        job().execute_resumed(context, {"what": "ended", "job": {"of": "another version"}})
    assert renting.running() == []


def test_a_retry_whose_arguments_are_wrong_now_stops_what_the_first_try_left(renting: Renting) -> None:
    def vanish(context: Any) -> None:
        OctaHook().get_conn().jobs.start(JobSpec(image="alpine:3", command="sleep 600"), rental_key(context))
        context["ti"].task.disk_gb = "nonsense"

    ended = run_job("wrong_now", pre_execute=once(vanish))
    assert ended.tasks == {"job": "failed"}
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_start_whose_arguments_are_wrong_now_stops_what_an_earlier_try_left(renting: Renting) -> None:
    def vanish(context: Any) -> None:
        OctaHook().get_conn().rentals.start(MachineRequest(image="alpine:3"), key=rental_key(context))
        context["ti"].task.gpu_count = "plenty"

    with DAG("start_wrong_now", schedule=None) as dag:
        OctaStartMachineOperator(task_id="start", image="alpine:3", pre_execute=vanish)
    ended = run(dag)
    assert ended.tasks == {"start": "failed"}
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.parametrize("is_anothers", [False, True], ids=["own", "another's event"])
def test_a_folder_that_cannot_be_made_stops_the_session_of_a_function(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, is_anothers: bool
) -> None:
    """`@task.octa` writes the function to a temporary folder, on resuming too."""
    from airflow_provider.decorators import octa as decorator

    def full(**options: Any) -> str:
        raise OSError(28, "No space left on device")

    def function() -> int:
        return 1

    state, context = begun(renting)
    client = OctaHook().get_conn()
    of_another = client.jobs.start(JobSpec(image="alpine:3", command="sleep 600"), "airflow/another/task")
    operator = decorator.octa_task(function, task_id="job", image="python:3.12")().operator
    monkeypatch.setattr(decorator.tempfile, "mkdtemp", full)
    told = job_to_json(of_another if is_anothers else state)
    with pytest.raises(OSError, match="No space left"):
        operator.execute_resumed(context, {"what": "unwatched", "message": "", "job": told})
    assert renting.running() == [of_another.rental.uuid]
    client.rentals.open(of_another.rental.uuid).stop()


@pytest.mark.parametrize("reason", ["Trigger timeout", "Trigger failure"])
def test_a_wait_that_airflow_ended_stops_the_session(renting: Renting, reason: str) -> None:
    """Airflow calls `__fail__` instead of the operator's method, and its arguments are gone: XCom and key are left."""
    _state, context = begun(renting)
    with pytest.raises(AirflowException):
        job().resume_execution("__fail__", {"error": reason}, context)
    assert renting.running() == []


def test_a_wait_that_airflow_ended_stops_by_uuid_what_tells_no_key(renting: Renting) -> None:
    renting.emulator.faults({"kind": "no_user_envs", "times": None})
    _state, context = begun(renting)
    with pytest.raises(AirflowException):
        job().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert renting.running() == []


def test_a_batch_of_no_known_namespace_names_no_command_that_finds_nothing(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """With the key alone it would: the machines' keys begin with a namespace, and "nothing to stop" is no comfort."""
    tell_which_batch_may_run("airflow/d/r/t/-1", None, "no connection")
    said = "".join(capfd.readouterr()) + caplog.text
    assert "airflow/d/r/t/-1/batch/..." in said
    assert "octa-provider sessions" in said
    assert "reap" not in said


def operators_that_wait(state: JobState, conn_id: str) -> list[Any]:
    return [
        job(octa_conn_id=conn_id),
        OctaJobSensor(task_id="job", job={"job": job_to_json(state)}, octa_conn_id=conn_id),
        OctaSessionReadySensor(task_id="job", session=state.rental.uuid, octa_conn_id=conn_id),
    ]


@pytest.mark.parametrize("which", [0, 1, 2], ids=["job", "job sensor", "ready sensor"])
def test_each_operator_that_waits_stops_when_airflow_ends_the_wait(renting: Renting, which: int) -> None:
    state, context = begun(renting)
    with pytest.raises(AirflowException):
        operators_that_wait(state, "octa_default")[which].resume_execution(
            "__fail__", {"error": "Trigger timeout"}, context
        )
    assert renting.running() == []


@pytest.mark.parametrize("which", [0, 1, 2], ids=["job", "job sensor", "ready sensor"])
def test_a_wait_that_airflow_ended_tells_its_own_error_and_what_may_run_when_nobody_can_be_asked(
    renting: Renting, which: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    state, context = begun(renting, namespace="prod")
    operator = operators_that_wait(state, "octa_unknown")[which]
    with pytest.raises(AirflowException) as told:
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert "Trigger" in str(told.value) or "Deferral" in type(told.value).__name__
    assert "octa_unknown" not in str(told.value)
    said = "".join(capfd.readouterr()) + caplog.text
    assert "may still run and bill" in said
    assert renting.running() == [state.rental.uuid]
    # Pasted into a shell that knows the account, and nothing of this Airflow's namespace.
    pasted = re.search(r"octa-provider (stop [^\n\"]*)", said)
    assert pasted is not None, said
    environment = os.environ | {"OCTA_API_KEY": renting.emulator.api_key, "OCTA_BASE_URL": renting.emulator.base_url}
    program = [sys.executable, "-m", "octa_provider", *shlex.split(pasted[1])]
    subprocess.run(program, env=environment, check=True, timeout=600)
    assert renting.running() == []


def test_a_resume_without_its_connection_names_what_may_run(
    renting: Renting, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    state, context = begun(renting)
    with pytest.raises(AirflowException):
        job(octa_conn_id="octa_unknown").execute_resumed(
            context, {"what": "unwatched", "message": "", "job": job_to_json(state)}
        )
    told = "".join(capfd.readouterr()) + caplog.text
    assert f"A session of {state.key} may still run and bill. Clear this task, or run: octa-provider stop " in told
    with renting.client() as client:
        client.rentals.open(state.rental.uuid).stop()


def test_a_job_sensor_that_fails_stops_the_job(renting: Renting, tmp_path: Path) -> None:
    """The key is refused from the second look on; the stop, which is asked for again, goes through."""
    state, context = begun(renting)
    sensor = OctaJobSensor(task_id="job", job={"job": job_to_json(state)}, poke_interval=0.2, deferrable=False)
    renting.emulator.faults({"kind": "status", "status": 403, "path": "/services/*/info"})
    with pytest.raises(AirflowException):
        sensor.execute(context)
    assert renting.running() == []


def test_a_kill_between_sending_files_and_deferring_leaves_nothing(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On Airflow 3 `execute` goes on behind `on_kill`, whose own request may have found nobody."""
    from airflow_provider.kill_switch import KillSwitch

    (tmp_path / "in").write_text("x")
    operator = job(inputs={str(tmp_path / "in"): "in"}, deferrable=True)
    monkeypatch.setattr(KillSwitch, "pull", lambda self: setattr(self, "pulled", True))
    begin = Jobs.begin

    def killed_meanwhile(*arguments: Any, **options: Any) -> JobState:
        state = begin(*arguments, **options)
        operator.on_kill()
        return state

    monkeypatch.setattr(Jobs, "begin", killed_meanwhile)
    context: Any = {"ti": TaskInstance()}
    with renting.client() as client:
        spec = operator.job_spec(context)
        state = client.jobs.start(spec, rental_key(context))
        while state.phase.value != "ready":
            state = client.jobs.poll(state, private_key=str(renting.emulator.ssh_private_key))
    with pytest.raises(AirflowException, match="killed"):
        operator.execute_resumed(context, {"what": "ready", "job": job_to_json(state)})
    assert renting.running() == []
