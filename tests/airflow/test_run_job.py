"""OctaRunJobOperator, on the emulator, in a real Airflow: both ways of waiting, both ways of running."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow_runs import Renting, run
from waited_for import PATIENCE_S, is_followed, once_there, time_is_over_once

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.job_xcom import JobXCom
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.rental_key import rental_key
from octa_provider import JobSpec, JobState
from octa_provider.job.jobs import Jobs
from octa_provider.models import SessionPhase


def job(**arguments: Any) -> OctaRunJobOperator:
    defaults = {"task_id": "job", "image": "alpine:3", "command": "echo hello", "poll_interval": 0.2}
    return OctaRunJobOperator(**(defaults | arguments))


def run_job(name: str, **arguments: Any) -> Any:
    with DAG(name, schedule=None) as dag:
        job(**arguments)
    return run(dag)


def once(before: Callable[[Any], None]) -> Callable[[Any], None]:
    """Airflow calls `pre_execute` again when a task is resumed."""
    done: list[bool] = []

    def only_once(context: Any) -> None:
        if not done:
            done.append(True)
            before(context)

    return only_once


@pytest.fixture(params=[False, True], ids=["worker", "deferred"])
def deferrable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_a_command_runs_to_its_end(renting: Renting, deferrable: bool, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_job("runs", command="echo hello; echo $WHO", envs={"WHO": "wor{{ 'ld' }}"}, deferrable=deferrable)
    assert ended.state == "success"
    result = ended.result("job")
    assert result["outcome"] == "succeeded"
    assert result["exit_code"] == 0
    assert int(result["cost_wei"]) >= 0
    assert result["attempts"] == 1
    assert [session["uuid"] for session in renting.sessions] == [result["uuid"]]
    assert renting.running() == []
    assert ended.result("job", "uuid") == result["uuid"]
    assert ended.result("job", "session")["node_id"] == result["node_id"]
    assert ended.result("job", "cost")["cost_wei"] == result["cost_wei"]
    log = capfd.readouterr()
    assert "[job] hello" in log.out + log.err
    assert "[job] world" in log.out + log.err


def test_the_connections_organization_pays(renting: Renting, deferrable: bool) -> None:
    renting.connection("octa_studio", extra={"organization_id": "77", "project_id": "art"})
    assert run_job("paid", octa_conn_id="octa_studio", deferrable=deferrable).state == "success"
    (session,) = renting.sessions
    assert (session["organization_id"], session["project_id"]) == (77, "art")


def test_files_go_and_come(
    renting: Renting, deferrable: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("forty-two")
    ended = run_job(
        "files",
        command="tr a-z A-Z < data/in.txt > out.txt; echo done",
        inputs={str(tmp_path / "{{ 'in' }}.txt"): "data/in.txt"},
        outputs={"out.txt": tmp_path / "result" / "out.txt"},
        log_path=str(tmp_path / "job.log"),
        deferrable=deferrable,
    )
    assert ended.state == "success"
    assert (tmp_path / "result" / "out.txt").read_text() == "FORTY-TWO"
    assert (tmp_path / "job.log").read_text() == "done\n"
    assert ended.result("job")["outputs"] == [str(tmp_path / "result" / "out.txt")]
    assert len(renting.sessions) == 1
    log = capfd.readouterr().out
    steps = ["Started session", "Ready: sent 1 input and began the command", "Fetched 1 file within", "Stopped session"]
    places = [log.index(step) for step in [*steps, "succeeded; cost"]]
    assert places == sorted(places)
    assert renting.running() == []


def test_the_end_of_a_command_over_ssh_is_heard_and_not_waited_for(
    renting: Renting, deferrable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look is far away, and the machine bills until somebody knows."""
    start = Jobs.start

    def started_and_up(jobs: Jobs, *arguments: Any, **options: Any) -> JobState:
        state = start(jobs, *arguments, **options)
        with renting.client() as client:
            while client.services.session(state.rental.uuid).info().phase is not SessionPhase.READY:
                time.sleep(0.1)
        return state

    monkeypatch.setattr(Jobs, "start", started_and_up)
    ended = run_job(
        "heard",
        command="sleep 1",
        via="ssh",
        poll_interval=3000,
        execution_timeout=timedelta(seconds=850),
        deferrable=deferrable,
    )
    assert ended.state == "success"
    assert renting.running() == []


def test_a_command_does_not_wait_for_its_links(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Airflow's API server may take seconds for them, which are billed."""
    began, had_begun = tmp_path / "began", list[bool]()

    def takes_its_time(xcom: JobXCom, session: object) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not began.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        had_begun.append(began.exists())

    monkeypatch.setattr(JobXCom, "link", takes_its_time)
    assert run_job("linked", command=f"touch {began}; sleep 1", via="ssh").state == "success"
    assert had_begun == [True]


def test_the_whole_log_is_saved(renting: Renting, deferrable: bool, tmp_path: Path) -> None:
    ended = run_job(
        "saved", command="seq 1 500", log_path=str(tmp_path / "{{ run_id }}" / "job.log"), deferrable=deferrable
    )
    assert ended.state == "success"
    assert next(tmp_path.glob("*/job.log")).read_text().split() == [str(number) for number in range(1, 501)]


def test_a_failed_command_fails_the_task_with_its_last_lines(
    renting: Renting, deferrable: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = run_job("fails", command="seq 1 30; echo the scene is broken; exit 3", deferrable=deferrable)
    assert ended.state == "failed"
    log = capfd.readouterr()
    told = log.out + log.err
    assert "did not succeed (failed): the command ended with exit code 3" in told
    assert "the scene is broken" in told.split("Its last lines:")[1]
    assert int(ended.result("job", "cost")["cost_wei"]) >= 0
    assert renting.running() == []


def test_an_exit_code_can_skip(renting: Renting, deferrable: bool) -> None:
    ended = run_job("skips", command="exit 99", skip_on_exit_code=[99, 100], deferrable=deferrable)
    assert ended.tasks == {"job": "skipped"}
    assert renting.running() == []


def test_a_command_that_takes_too_long_is_ended(renting: Renting, deferrable: bool) -> None:
    ended = run_job("late", command="sleep 600", timeout_s=1, deferrable=deferrable)
    assert ended.state == "failed"
    assert renting.running() == []


def test_a_session_that_never_comes_up_is_stopped(renting: Renting, deferrable: bool) -> None:
    renting.emulator.faults({"kind": "never_ready"})
    ended = run_job("never", ready_timeout_s=1, deferrable=deferrable)
    assert ended.state == "failed"
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_an_execution_timeout_stops_the_session(renting: Renting, deferrable: bool, tmp_path: Path) -> None:
    late = {"command": f"touch {tmp_path}/begun; sleep 3600", "execution_timeout": timedelta(hours=1)}
    with time_is_over_once(lambda: is_followed(renting, tmp_path / "begun"), deferred=deferrable):
        ended = run_job("timeout", **late, deferrable=deferrable)
    assert ended.tasks == {"job": "failed"}
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.parametrize(("retries", "arguments"), [(1, {"image": "scratch"}), (1, {"max_price_usd": 0.00001})])
def test_what_no_retry_can_mend(renting: Renting, deferrable: bool, retries: int, arguments: dict[str, Any]) -> None:
    ended = run_job("hopeless", retries=retries, retry_delay=timedelta(0), deferrable=deferrable, **arguments)
    assert ended.state == "failed"
    assert renting.running() == []


def test_a_retry_carries_on_with_the_running_command(renting: Renting, deferrable: bool, tmp_path: Path) -> None:
    """The worker of the first try vanished after it had started the job."""
    command = f"echo run >> {tmp_path}/runs; sleep 2; echo whole"

    def vanish(context: Any) -> None:
        spec = JobSpec(image="alpine:3", command=command)
        OctaHook().get_conn().jobs.start(spec, rental_key(context))

    ended = run_job("carries_on", command=command, pre_execute=once(vanish), deferrable=deferrable)
    assert ended.state == "success"
    assert ended.result("job")["attempts"] == 2
    assert len(renting.sessions) == 1
    assert (tmp_path / "runs").read_text() == "run\n"


def test_what_is_not_durable_begins_anew(renting: Renting, tmp_path: Path) -> None:
    command = f"echo run >> {tmp_path}/runs"

    def vanish(context: Any) -> None:
        OctaHook().get_conn().jobs.start(JobSpec(image="alpine:3", command=command), rental_key(context))

    ended = run_job("anew", command=command, pre_execute=once(vanish), durable=False)
    assert ended.state == "success"
    assert ended.result("job")["attempts"] == 1
    assert len(renting.sessions) == 2
    assert renting.running() == []


def test_a_session_can_be_kept(renting: Renting, deferrable: bool) -> None:
    ended = run_job("keeps", command="exit 1", on_finish_action="keep", deferrable=deferrable)
    assert ended.state == "failed"
    assert renting.running() == [renting.sessions[0]["uuid"]]
    renting.client().rentals.open(renting.sessions[0]["uuid"]).stop()


def test_a_retry_stops_what_the_failed_try_kept(renting: Renting, deferrable: bool, tmp_path: Path) -> None:
    ended = run_job(
        "kept_then_retried",
        command=f"test -e {tmp_path}/again || {{ touch {tmp_path}/again; exit 1; }}",
        on_finish_action="keep",
        deferrable=deferrable,
        pre_execute=once(fail_once(tmp_path / "again")),
    )
    assert ended.state == "success"
    assert len(renting.sessions) == 2
    assert len(renting.running()) == 1
    renting.client().rentals.open(renting.running()[0]).stop()


def test_only_the_session_of_a_command_that_failed_is_kept(
    renting: Renting, deferrable: bool, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeps_failed: dict[str, Any] = {"on_finish_action": "stop_succeeded", "keep_failed_s": "{{ 1800 }}"}
    assert run_job("kept_no_success", **keeps_failed, deferrable=deferrable).state == "success"
    skipped = run_job("kept_no_skip", command="exit 9", skip_on_exit_code=9, **keeps_failed, deferrable=deferrable)
    assert (skipped.tasks, renting.running()) == ({"job": "skipped"}, [])
    ended = run_job("kept_failure", command="exit 3", **keeps_failed, deferrable=deferrable)
    assert ended.tasks == {"job": "failed"}
    (kept,) = renting.running()
    assert ended.result("job", "uuid") == kept
    log = "".join(capfd.readouterr())
    assert "BILLS ON" in log
    assert f"octa-provider stop {kept}" in log
    client = OctaHook().get_conn()
    (note,) = (note for _, note in client.intents.kept() if note.uuid == kept)
    until = note.kept_until
    monkeypatch.setattr(client.clock, "time", lambda: until - 1)
    assert client.rentals.reap("airflow", dry_run=False).stopped == ()
    assert len(client.intents.kept()) == 1
    monkeypatch.setattr(client.clock, "time", lambda: until + 1)
    assert client.rentals.reap("airflow", dry_run=False).stopped == (kept,)
    assert client.intents.kept() == ()


def test_a_retry_runs_beside_the_session_that_the_failed_try_kept(renting: Renting, deferrable: bool) -> None:
    failed = JobSpec(image="alpine:3", command="exit 3", keep_failed_s=1800)

    def fail_and_keep(context: Any) -> None:
        assert OctaHook().get_conn().jobs.run(failed, rental_key(context), poll_s=0.1).kept_until is not None

    for name, command, state in (("retried_well", "true", "success"), ("retried_badly", "exit 4", "failed")):
        ended = run_job(
            name,
            command=command,
            on_finish_action="stop_succeeded" if state == "success" else "stop",
            deferrable=deferrable,
            pre_execute=once(fail_and_keep),
        )
        assert ended.state == state
        first, second = sorted(renting.sessions, key=lambda session: session["started_ms"])[-2:]
        assert renting.running() == [first["uuid"]]
        assert second["stopped_ms"] is not None
        renting.client().rentals.open(first["uuid"]).stop()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"on_finish_action": "keep_failed"}, "is none of stop, stop_succeeded, keep"),
        ({"keep_failed_s": 0}, "keep_failed_s=0 leaves no time"),
        ({"on_finish_action": "stop_succeeded", "wait_for_completion": False}, "for a task that waits for its job"),
    ],
)
def test_what_can_not_be_kept_is_refused_when_parsed(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        job(**wrong)


def fail_once(marker: Path) -> Any:
    """What a first try, whose session was kept, leaves behind."""

    def before(context: Any) -> None:
        from octa_provider.job.result import JobOutcome

        client = OctaHook().get_conn()
        command = f"test -e {marker} || {{ touch {marker}; exit 1; }}"
        state: JobState = client.jobs.start(JobSpec(image="alpine:3", command=command), rental_key(context))
        while not state.ended:
            state = client.jobs.poll(state)
        assert state.outcome is JobOutcome.FAILED

    return before


def test_an_adopted_session_that_was_being_stopped_is_no_result(
    renting: Renting, deferrable: bool, tmp_path: Path
) -> None:
    """A task was cleared: the kill of its first try reaches the session after the second has adopted it."""

    command = f"{once_there(tmp_path / 'stopped')}; echo whole"

    def vanish(context: Any) -> None:
        client = OctaHook().get_conn()
        state = client.jobs.start(JobSpec(image="alpine:3", command=command), rental_key(context))

        def stop() -> None:
            client.rentals.open(state.rental.uuid).stop()
            (tmp_path / "stopped").touch()

        threading.Timer(1.0, stop).start()

    ended = run_job("stopped_under_us", command=command, pre_execute=once(vanish), deferrable=deferrable)
    assert ended.state == "success"
    assert ended.result("job")["attempts"] == 1
    assert len(renting.sessions) == 2
    assert renting.running() == []


def test_jobs_are_mapped(renting: Renting, deferrable: bool) -> None:
    with DAG("mapped", schedule=None) as dag:
        OctaRunJobOperator.partial(task_id="job", image="alpine:3", poll_interval=0.2, deferrable=deferrable).expand(
            command=["echo one", "echo two; exit 4", "echo three"]
        )
    ended = run(dag)
    assert ended.tasks == {"job[0]": "success", "job[1]": "failed", "job[2]": "success"}
    assert len(renting.sessions) == 3
    assert renting.running() == []
    assert ended.result("job[2]")["key"].endswith("/job/2")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"command": ""}, "command must not be empty"),
        ({"timeout_s": -1}, "timeout_s must be a number of seconds"),
        ({"on_finish_action": "delete_pod"}, "on_finish_action="),
        ({"on_kill_action": "x"}, "on_kill_action="),
        ({"poll_interval": 0}, "poll_interval=0 leaves no time"),
        ({"skip_on_exit_code": 300}, "skip_on_exit_code=300"),
        ({"via": "container", "inputs": {"/a": "a"}}, "inputs and outputs move over SSH"),
        ({"node_id": 5, "gpu_model": "4090"}, "node_id already chooses"),
    ],
)
def test_an_impossible_job_is_refused_when_parsed(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        job(**arguments)


def test_templates_are_let_through_when_parsed() -> None:
    job(
        command="{{ params.command }}",
        timeout_s="{{ params.patience }}",
        inputs={"{{ params.file }}": "x"},
        poll_interval="{{ params.often }}",
        ports="{{ params.ports }}",
    )


def test_a_session_whose_key_is_not_echoed_is_stopped_by_its_uuid(
    renting: Renting, deferrable: bool, tmp_path: Path
) -> None:
    renting.emulator.faults({"kind": "no_user_envs", "times": None, "method": "*", "path": "*"})
    late = {"command": f"touch {tmp_path}/begun; sleep 3600", "execution_timeout": timedelta(hours=1)}
    with time_is_over_once(lambda: is_followed(renting, tmp_path / "begun"), deferred=deferrable):
        ended = run_job("not_echoed", **late, deferrable=deferrable)
    assert ended.tasks == {"job": "failed"}
    renting.emulator.clear_faults()
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_poll_interval_that_renders_to_nothing_rents_nothing(renting: Renting) -> None:
    ended = run_job("no_interval", poll_interval="{{ 0 }}", retries=1, retry_delay=timedelta(0))
    assert ended.state == "failed"
    assert renting.sessions == []


@pytest.mark.parametrize("code", [9, None])
def test_what_ended_under_our_eyes_is_not_rented_again_though_its_session_is_kept(
    renting: Renting, tmp_path: Path, code: int | None
) -> None:
    """The worker of the first try vanished while the command ran."""
    command = f"while [ ! -e {tmp_path}/go ]; do sleep 0.1; done; exit 9"

    def vanish(context: Any) -> None:
        OctaHook().get_conn().jobs.start(
            JobSpec(image="alpine:3", command=command, max_cost_usd=1.0), rental_key(context)
        )
        if code is None:
            renting.emulator.advance_clock(1e6)
        else:
            (tmp_path / "go").touch()

    ended = run_job(
        "kept_once",
        command=command,
        max_cost_usd=1.0,
        on_finish_action="keep",
        skip_on_exit_code=9,
        pre_execute=once(vanish),
    )
    assert ended.tasks == {"job": "failed" if code is None else "skipped"}
    assert len(renting.sessions) == 1
    for uuid in renting.running():
        renting.client().rentals.open(uuid).stop()


def test_native_rendering_changes_no_text_that_has_no_template(
    renting: Renting, capfd: pytest.CaptureFixture[str]
) -> None:
    """It reads every text as Python: `0,1` becomes a tuple, `1e-4` 0.0001, `0x10` 16."""
    with DAG("native_constants", schedule=None, render_template_as_native_obj=True) as dag:
        OctaRunJobOperator(
            task_id="job",
            image="alpine:3",
            command=["sh", "-c", 'echo "$A|$B|$C|$0"', "1,5,10"],
            envs={"A": "0,1", "B": "1e-4", "C": "0x10"},
            poll_interval=0.2,
        )
    assert run(dag).state == "success"
    assert "[job] 0,1|1e-4|0x10|1,5,10" in capfd.readouterr().out
