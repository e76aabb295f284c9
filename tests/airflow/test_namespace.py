"""Two Airflows on one account: neither adopts, stops or reaps the other's machine."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow_runs import Renting, run
from installation import another_airflow

from airflow_provider.connection_settings import ConnectionSettings
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.namespace import default_namespace, forget_namespace
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.reap import OctaReapOperator
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.rental_key import rental_key as work_key
from octa_provider import MachineRequest
from octa_provider.rental.key import rental_key

#: Each of the Airflows that are compared makes a database of its own.

try:
    from airflow.sdk import Connection
except ImportError:
    from airflow.models.connection import Connection

AT = datetime(2026, 1, 2, tzinfo=timezone.utc)


def named(renting: Renting, namespace: str) -> None:
    renting.connection("octa_default", extra={"namespace": namespace, "timeout": 120})


def namespace_of(**fields: Any) -> str | None:
    connection = Connection(conn_id="x", conn_type="octa", **fields)
    return ConnectionSettings.from_connection(connection).named().namespace


# -- which ------------------------------------------------------------------------------------------------------------


def test_the_connection_names_it_before_the_environment_and_that_before_airflow(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = OctaHook().get_conn().namespace
    assert own == default_namespace()
    assert own.startswith("airflow-")
    monkeypatch.setenv("OCTA_NAMESPACE", "by environment")
    assert OctaHook().get_conn().namespace == "by%20environment"
    named(renting, " prod/eu ")
    assert OctaHook().get_conn().namespace == "prod%2Feu"
    for empty in ("", "  ", None):
        assert namespace_of(extra=json.dumps({"namespace": empty})) == "by environment"


def test_a_namespace_that_cannot_be_is_refused_with_its_name(renting: Renting) -> None:
    named(renting, "x" * 300)
    works, message = OctaHook().test_connection()
    assert not works
    assert "namespace" in message


def test_the_connections_test_tells_the_namespace(renting: Renting) -> None:
    assert f"namespace {default_namespace()}, balance" in OctaHook().test_connection()[1]
    named(renting, "prod")
    assert "namespace prod, balance" in OctaHook().test_connection()[1]


def test_tasks_and_those_who_stand_outside_agree(renting: Renting) -> None:
    with DAG("agree", schedule=None) as dag:
        started = OctaStartMachineOperator(task_id="start", image="alpine:3")
        job = OctaRunJobOperator(
            task_id="job", image="alpine:3", command="echo hello", poll_interval=0.2, deferrable=True
        )
        [started, job] >> OctaStopSessionOperator(task_id="stop", session=started.output)
    ended = run(dag)
    assert ended.state == "success"
    keys = [ended.result("start")["key"], ended.result("job")["key"]]
    assert {key.split("/")[0] for key in keys} == {default_namespace()}
    assert {session["rental_key"] for session in renting.sessions} == set(keys)


def test_one_made_by_hand_is_taken_as_it_is(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_OCTA_NAMESPACE", "studio")
    forget_namespace()
    try:
        with DAG("by_hand", schedule=None) as dag:
            started = OctaStartMachineOperator(task_id="start", image="alpine:3")
            started >> OctaStopSessionOperator(task_id="stop", session=started.output)
        ended = run(dag)
        assert ended.result("start")["key"].startswith("studio/airflow/by_hand/")
    finally:
        forget_namespace()


def test_airflows_with_urls_of_their_own_differ_even_with_one_database(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a database was copied."""
    section = "WEBSERVER" if is_two() else "API"
    own = default_namespace()
    found = {own}
    for url in ("https://prod.example", "https://dev.example"):
        monkeypatch.setenv(f"AIRFLOW__{section}__BASE_URL", url)
        found.add(default_namespace())
        monkeypatch.setenv(f"AIRFLOW__{section}__BASE_URL", url + "/")
        found.add(default_namespace())
    assert len(found) == 3
    monkeypatch.setenv(f"AIRFLOW__{section}__BASE_URL", "http://localhost:8080")
    assert default_namespace() == own


def is_two() -> bool:
    import airflow

    return airflow.__version__.startswith("2.")


def test_two_installations_that_look_alike_differ_and_each_stays_the_same(renting: Renting, tmp_path: Path) -> None:
    """Each process of an Airflow is a new one that has to find the same; a task and a script as well."""
    prod, dev = another_airflow(tmp_path / "prod"), another_airflow(tmp_path / "dev")
    try:
        of_prod = prod.key()
        of_dev = dev.key()
        assert of_prod.partition("/")[2] == of_dev.partition("/")[2]
        assert of_prod != of_dev
        assert prod.namespace() == of_prod.split("/")[0]
        assert prod.key() == of_prod
        assert len(renting.running()) == 2

        # Each reaper knows its own alone: the task has succeeded, but the run is over.
        reaped = dev.reaped()
        assert [orphan["key"] for orphan in reaped["orphans"]] == [of_dev]
        assert [one["rental_key"] for one in running(renting)] == [of_prod]
    finally:
        for uuid in renting.running():
            renting.emulator.end_session(uuid)


def test_a_script_without_a_database_is_told_by_its_configuration(renting: Renting, tmp_path: Path) -> None:
    one = another_airflow(tmp_path / "one", migrated=False)
    other = another_airflow(tmp_path / "other", migrated=False)
    assert one.namespace() == one.namespace() != other.namespace()


def running(renting: Renting) -> list[dict[str, Any]]:
    uuids = set(renting.running())
    return [session for session in renting.sessions if session["uuid"] in uuids]


# -- what it keeps apart ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["echo dev", "sleep 290"], ids=["the same job", "another job"])
def test_the_same_dag_for_the_same_date_takes_and_stops_no_machine_of_another_airflow(
    renting: Renting, command: str
) -> None:
    name = f"nightly_{len(command)}"

    def dag(text: str, **arguments: Any) -> Any:
        with DAG(name, schedule=None, start_date=AT) as made:
            OctaRunJobOperator(
                task_id="train",
                image="alpine:3",
                command=text,
                poll_interval=0.2,
                timeout_s=300,
                **arguments,
            )
        return made

    named(renting, "prod")
    first = run(dag(command, wait_for_completion=False), at=AT)
    prod = first.result("train")["uuid"]
    named(renting, "dev")
    ended = run(dag("echo dev"), at=AT)
    assert ended.state == "success"
    assert ended.result("train")["uuid"] != prod
    assert ended.result("train")["attempts"] == 1
    assert renting.running() == [prod]
    renting.emulator.end_session(prod)


def test_a_first_try_that_carries_on_with_anothers_machine_tells_of_the_namespace_that_two_have(
    renting: Renting, capfd: pytest.CaptureFixture[str]
) -> None:
    def ran(**arguments: Any) -> Any:
        with DAG("same_namespace", schedule=None, start_date=AT) as dag:
            OctaRunJobOperator(task_id="train", image="alpine:3", command="echo done", poll_interval=0.2, **arguments)
        return run(dag, at=AT)

    named(renting, "studio")
    said = "another Airflow on this account that has the namespace 'studio' too"
    theirs = ran(wait_for_completion=False).result("train")["uuid"]
    log = capfd.readouterr()
    assert said not in log.out + log.err
    # Another database, by what it knows of the first one's run: nothing.
    ours = ran(deferrable=True)
    assert (ours.state, ours.result("train")["uuid"]) == ("success", theirs)
    log = capfd.readouterr()
    assert f"Session {theirs} was there before this task's first try" in log.out + log.err
    assert said in log.out + log.err
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_what_an_earlier_release_started_is_adopted_by_its_task(renting: Renting) -> None:
    """It wrote the key without a namespace, and no word of what it had asked for."""

    def start_as_before(context: Any) -> None:
        client = OctaHook().get_conn()
        node = client.services.mr.available()[0].node_id
        work = work_key(context)
        client.services.start(MachineRequest(image="alpine:3", envs={"OCTA_RENTAL_KEY": work}), node)

    with DAG("before_namespaces", schedule=None) as dag:
        started = OctaStartMachineOperator(task_id="start", image="alpine:3", pre_execute=start_as_before)
        started >> OctaStopSessionOperator(task_id="stop", session=started.output)
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("start")["adopted"]
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_the_reaper_leaves_other_airflows_machines_alone_unless_it_is_told(
    renting: Renting, capfd: pytest.CaptureFixture[str]
) -> None:
    request = MachineRequest(image="alpine:3", start_command="sleep 600")
    with DAG("gone_here", schedule=None) as dag:
        OctaReapOperator(task_id="reap", older_than_s=0)
    over = run(dag)
    known = f"airflow/gone_here/{over.run_id}/reap/-1"
    with renting.client() as octa:
        keys = {
            "theirs, known here by chance": f"their-airflow/{known}",
            "theirs, not known here": "their-airflow/airflow/nightly/scheduled__2026-01-01/train/-1",
            "before namespaces": "airflow/nightly/scheduled__2026-01-01/train/-1",
            "ours, over": f"{default_namespace()}/{known}",
            "ours, unknown": f"{default_namespace()}/airflow/nightly/scheduled__2026-01-01/train/-1",
        }
        uuids = {name: start_named(renting, key, request) for name, key in keys.items()}
        ended = run(dag)
        assert set(ended.result("reap")["stopped"]) == {uuids["ours, over"], uuids["ours, unknown"]}
        # What it does not know may be of an Airflow that has the same namespace by mistake.
        told = capfd.readouterr()
        lines = [line for line in (told.out + told.err).splitlines() if "was left behind" in line]
        said = f"has the namespace {default_namespace()!r} too"
        assert {name for name, uuid in uuids.items() if any(uuid in line and said in line for line in lines)} == {
            "ours, unknown"
        }
        with DAG("reap_any", schedule=None) as dag:
            OctaReapOperator(task_id="reap", older_than_s=0, any_namespace=True)
        ended = run(dag)
        assert set(ended.result("reap")["stopped"]) == {uuids["theirs, known here by chance"]}
        for name in ("theirs, not known here", "before namespaces"):
            octa.rentals.open(uuids[name]).stop()


def start_named(renting: Renting, key: str, request: MachineRequest) -> str:
    """Start as the Airflow that the key's first segment names; one before namespaces sets the environment by hand."""
    from octa_provider import OctaClient

    namespace, _, work = key.partition("/")
    if namespace == "airflow":
        namespace, work = "", key
    with OctaClient(renting.emulator.api_key, base_url=renting.emulator.base_url, namespace=namespace) as octa:
        return octa.rentals.start(request, key=work).uuid


def test_a_machine_older_than_max_age_is_stopped_although_its_task_lives(renting: Renting) -> None:
    request = MachineRequest(image="alpine:3", start_command="sleep 7200")
    with DAG("still_alive", schedule=None) as dag:
        OctaStartMachineOperator(task_id="start", image="alpine:3") >> OctaReapOperator(
            task_id="reap", older_than_s=0, max_age_s="{{ 3600 }}", dag_ids=["still_alive"]
        )
        theirs = start_named(renting, "theirs/airflow/still_alive/a/start/-1", request)
        dag.get_task("reap").pre_execute = lambda context: renting.emulator.advance_clock(2 * 3600)
    ended = run(dag)
    assert ended.result("reap")["stopped"] == [ended.result("start")["uuid"]]
    assert renting.running() == [theirs]
    renting.emulator.end_session(theirs)


@pytest.mark.parametrize("capped", ["a start operator's", "a job's", "nobody's"])
def test_a_machine_beyond_its_own_cap_is_stopped_although_its_task_lives(renting: Renting, capped: str) -> None:
    """No task waits for it, or none that runs: nobody else holds its caps."""
    name = f"beyond_{len(capped)}"
    with DAG(name, schedule=None) as dag:
        if capped == "a job's":
            begun: Any = OctaRunJobOperator(
                task_id="begin",
                image="alpine:3",
                command="sleep 600",
                max_cost_usd=0.5,
                wait_for_completion=False,
            )
        else:
            cap = {"max_duration_s": 1800} if capped != "nobody's" else {}
            begun = OctaStartMachineOperator(task_id="begin", image="alpine:3", **cap)
        reap = OctaReapOperator(task_id="reap", older_than_s=0)
        reap.pre_execute = lambda context: renting.emulator.advance_clock(10 * 3600)
        begun >> reap
    ended = run(dag)
    assert ended.state == "success"
    uuid = renting.sessions[0]["uuid"]
    assert ended.result("reap")["stopped"] == ([] if capped == "nobody's" else [uuid])
    for left in renting.running():
        renting.emulator.end_session(left)


@pytest.mark.parametrize("value", [0, -1, "inf", float("nan"), True, "old"])
def test_a_max_age_that_is_none_is_refused_when_the_dag_is_parsed(value: object) -> None:
    with pytest.raises(ValueError, match="max_age_s"):
        OctaReapOperator(task_id="reap", max_age_s=value)


def test_owners_with_long_names_are_found(renting: Renting) -> None:
    """250 letters, which are up to 1,500 characters in a key; and a map index."""
    # What runs a DAG in one process on Airflow 3 can't tell the API a name that is not Latin.
    letter = "я" if is_two() else "z"
    name = f"long_{letter * 245}"
    task_id = f"start.{letter * 244}"
    with DAG(name, schedule=None) as dag:
        started = OctaStartMachineOperator.partial(task_id=task_id, image="alpine:3").expand(
            envs=[{"A": "1"}, {"A": "2"}]
        )
        started >> OctaStopSessionOperator(task_id="stop", session=started.output)
    ended = run(dag)
    assert ended.state == "success"
    assert renting.running() == []
    keys = [session["rental_key"] for session in renting.sessions]
    assert all(len(key) > 500 for key in keys)
    request = MachineRequest(image="alpine:3", start_command="sleep 600")
    russian = rental_key(default_namespace(), "airflow", "я" * 250, ended.run_id, "ж" * 250, "7")
    left = [start_named(renting, key, request) for key in (keys[1], russian)]
    with DAG("reap_long", schedule=None) as dag:
        OctaReapOperator(task_id="reap", older_than_s=0, dag_ids=[name, "я" * 250])
    assert sorted(run(dag).result("reap")["stopped"]) == sorted(left)


def test_a_long_name_of_a_task_that_runs_is_alive(renting: Renting) -> None:
    name = "alive_" + "z" * 244
    with DAG(name, schedule=None) as dag:
        started = OctaStartMachineOperator.partial(task_id="z" * 250, image="alpine:3").expand(envs=[{"A": "1"}])
        reap = OctaReapOperator(task_id="reap", older_than_s=0)
        started >> reap >> OctaStopSessionOperator(task_id="stop", session=started.output)
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("reap") == {"orphans": [], "stopped": []}
