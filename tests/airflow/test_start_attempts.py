"""Another machine when one never comes up: on a worker, and deferred, where a worker comes back to start it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow_runs import Renting, run
from waited_for import first_is_late

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.kill_switch import KillSwitch
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.start import OctaStartMachineOperator, OctaStartRenderOperator
from airflow_provider.operators.vpn import OctaStartVpnOperator
from airflow_provider.rental_key import rental_key
from airflow_provider.sensors.session import OctaSessionReadySensor
from airflow_provider.task_group import octa_session
from octa_provider import JobSpec, JobState, MachineRequest, Requirements
from octa_provider.job.jobs import Jobs
from octa_provider.rental import start_ready

NEVER_READY = {"kind": "never_ready", "times": 1}


def job(**arguments: Any) -> OctaRunJobOperator:
    defaults = {"task_id": "job", "image": "alpine:3", "command": "echo hello", "poll_interval": 0.2}
    return OctaRunJobOperator(**(defaults | {"ready_timeout_s": 600, "start_attempts": 2} | arguments))


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
@pytest.mark.parametrize("via", ["container", "ssh"])
def test_a_job_whose_machine_never_comes_up_runs_on_another(
    renting: Renting,
    tmp_path: Path,
    deferrable: bool,
    via: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first_is_late(monkeypatch)
    files = {"command": "echo hello > out", "outputs": {"out": tmp_path / "out"}} if via == "ssh" else {}
    renting.emulator.faults(NEVER_READY)
    with DAG("tries_another", schedule=None) as dag:
        job(deferrable=deferrable, start_attempts="{{ 2 }}", **files)
    ended = run(dag)
    assert ended.state == "success"
    result = ended.result("job")
    first, second = sorted(renting.sessions, key=lambda session: session["started_ms"])
    assert (result["node_id"], result["uuid"]) == (second["node_id"], second["uuid"])
    assert ended.result("job", "uuid") == second["uuid"]
    (tried,) = result["tried"]
    assert (tried["node_id"], tried["uuid"], tried["cost_wei"]) == (
        first["node_id"],
        first["uuid"],
        str(first["charge_wei"]),
    )
    assert int(result["cost_wei"]) == first["charge_wei"] + second["charge_wei"]
    assert ended.result("job", "cost")["cost_wei"] == result["cost_wei"]
    assert (renting.most_at_once, renting.running()) == (1, [])
    assert ended.ti("job").try_number == 1
    if via == "ssh":
        assert (tmp_path / "out").read_text() == "hello\n"
    log = capfd.readouterr()
    assert "The machine never came up (the session was not ready for the command in time" in log.out + log.err


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_when_none_comes_up_the_task_fails_with_all_on_its_bill(renting: Renting, deferrable: bool) -> None:
    renting.emulator.faults(NEVER_READY | {"times": None})
    with DAG("none_comes_up", schedule=None) as dag:
        job(deferrable=deferrable, ready_timeout_s=1)
    ended = run(dag)
    assert ended.tasks == {"job": "failed"}
    assert len({session["node_id"] for session in renting.sessions}) == len(renting.sessions) == 2
    assert (renting.most_at_once, renting.running()) == (1, [])
    billed = sum(session["charge_wei"] for session in renting.sessions)
    assert ended.result("job", "cost")["cost_wei"] == str(billed)


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_a_machine_that_became_too_dear_is_on_the_bill_and_off_the_cap_of_the_one_in_its_place(
    renting: Renting, deferrable: bool
) -> None:
    """The worker that started it vanished."""

    def vanish(context: Any) -> None:
        if renting.sessions:
            return
        dear = Requirements(order_by="blender_score")
        spec = JobSpec(image="alpine:3", command="echo hello", requirements=dear)
        OctaHook().get_conn().jobs.start(spec, rental_key(context))
        renting.emulator.advance_clock(3600)

    with DAG("too_dear", schedule=None) as dag:
        job(max_cost_usd=20.0, max_price_usd=0.5, deferrable=deferrable, ready_timeout_s=60, pre_execute=vanish)
    ended = run(dag)
    assert ended.state == "success"
    first, second = sorted(renting.sessions, key=lambda session: session["started_ms"])
    result = ended.result("job")
    (before,) = result["tried"]
    assert (result["uuid"], before["uuid"], before["replaced"]) == (second["uuid"], first["uuid"], True)
    assert int(result["cost_wei"]) == first["charge_wei"] + second["charge_wei"]
    assert ended.result("job", "cost")["cost_wei"] == result["cost_wei"]
    assert (renting.most_at_once, renting.running()) == (1, [])


def test_an_adopted_job_that_has_spent_its_cap_is_begun_anew_nowhere(renting: Renting) -> None:
    """The worker that started it vanished, and its machine failed while it came up, after hours."""

    def vanish(context: Any) -> None:
        if renting.sessions:
            return
        client = OctaHook().get_conn()
        state = client.jobs.start(JobSpec(image="alpine:3", command="echo hello"), rental_key(context))
        info = client.services.session(state.rental.uuid).info().raw
        renting.emulator.advance_clock(36_000)
        info = info | {"progress": "error: no space left", "is_ready": False}
        renting.emulator.faults({"kind": "status", "status": 200, "path": "/services/*/info", "body": info, "times": 2})

    with DAG("cap_is_spent", schedule=None) as dag:
        job(max_cost_usd=0.2, pre_execute=vanish)
    ended = run(dag)
    assert ended.tasks == {"job": "failed"}
    assert (len(renting.sessions), renting.running()) == (1, [])


def test_a_machine_that_never_came_up_is_not_kept_and_is_on_the_bill_though_there_is_no_other(
    renting: Renting, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first_is_late(monkeypatch)
    offered = [machine.node_id for machine in renting.client().services.mr.available()]
    renting.emulator.faults(NEVER_READY)
    with DAG("no_other", schedule=None) as dag:
        job(on_finish_action="keep", exclude_nodes=offered[1:])
    ended = run(dag)
    assert ended.tasks == {"job": "failed"}
    (session,) = renting.sessions
    assert renting.running() == []
    assert ended.result("job", "cost")["cost_wei"] == str(session["charge_wei"])
    log = capfd.readouterr()
    assert "runs on and bills" not in log.out + log.err


def test_a_killed_task_rents_no_other_machine_also_where_it_keeps_its_own(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_is_late(monkeypatch)
    renting.emulator.faults(NEVER_READY | {"times": None})
    with DAG("killed_and_keeps", schedule=None) as dag:
        job(on_kill_action="keep")
    poll, make = Jobs.poll, KillSwitch.__init__

    def made(self: KillSwitch, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        killed.append(self)

    def poll_and_be_killed(*arguments: Any, **options: Any) -> JobState:
        state = poll(*arguments, **options)
        if state.ended:
            killed[0].pulled = True
        return state

    killed: list[KillSwitch] = []
    monkeypatch.setattr(Jobs, "poll", poll_and_be_killed)
    monkeypatch.setattr(KillSwitch, "__init__", made)
    ended = run(dag)
    assert ended.tasks == {"job": "failed"}
    assert len(renting.sessions) == 1
    for uuid in renting.running():
        renting.client().rentals.open(uuid).stop()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"start_attempts": 0}, "start_attempts must be a whole number from 1 to 10"),
        ({"start_attempts": "many"}, "start_attempts='many' is not a whole number"),
        ({"node_id": 1001}, "start_attempts=2 tries other machines, and node_id=1001 allows none"),
        ({"wait_for_completion": False}, "start_attempts tries another machine when one never comes up"),
    ],
)
def test_what_cannot_be_tried_is_refused_when_parsed(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        job(**wrong)


@pytest.mark.parametrize(
    "step",
    [
        lambda **argument: OctaStartMachineOperator(task_id="start", image="alpine:3", **argument),
        lambda **argument: OctaStartRenderOperator(task_id="start", **argument),
        lambda **argument: OctaStartVpnOperator(task_id="start", **argument),
        lambda **argument: OctaSessionReadySensor(task_id="ready", session="a", **argument),
        lambda **argument: octa_session("gpu", image="alpine:3", **argument).__enter__(),
    ],
)
def test_steps_that_rent_or_wait_alone_refuse_it_and_say_what_has_it(step: Callable[..., object]) -> None:
    with DAG("refused", schedule=None), pytest.raises(ValueError, match="Use OctaRunJobOperator, which takes it, or"):
        step(start_attempts=2)


def test_a_task_of_ones_own_has_it(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    wait, waited = start_ready.wait_until_ready, list[str]()

    def first_is_given_up(api: Any, terms: Any, **options: Any) -> Any:
        waited.append(terms.uuid)
        return wait(api, terms, **options | ({"deadline_s": 1.0} if len(waited) == 1 else {}))

    monkeypatch.setattr(start_ready, "wait_until_ready", first_is_given_up)
    renting.emulator.faults(NEVER_READY)
    with DAG("own", schedule=None) as dag:

        @task
        def look() -> list[str]:
            with (
                OctaHook()
                .get_conn()
                .rentals.rent(
                    MachineRequest("alpine:3"), key="own/look", ready_timeout_s=600, poll_s=0.2, start_attempts=2
                ) as rental
            ):
                return [rental.uuid, *(one.uuid for one in rental.tried)]

        look()
    ended = run(dag)
    second, first = ended.result("look")
    assert {session["uuid"] for session in renting.sessions} == {first, second}
    assert renting.most_at_once == 1
    assert renting.running() == []
