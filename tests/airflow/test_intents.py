"""What a try was about to rent is known to the next one, on whatever worker, also when no session shows its key."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow_runs import Renting, run
from dag_to_kill import AT, dag_to_kill
from test_killed_in_dag_test import first_try, process_until

from airflow_provider import intents as intents_module
from airflow_provider.intents import VariableIntents
from airflow_provider.operators.reap import OctaReapOperator
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.variables import forget_variable, read_variable, variable_names, write_variable
from octa_provider.rental.intents import Intent

NO_ECHO = {"kind": "no_user_envs", "times": None}


def intent(attempt: str, at: float = 1.0, uuid: str | None = None) -> Intent:
    return Intent(attempt, "fingerprint", "mr", 7, ("before",), at, uuid)


def kept() -> list[str]:
    return variable_names(intents_module.VARIABLE_PREFIX)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try is on a worker of its own: nothing that one writes to its disk is there for the next.

    Nor is what tests of other files left among this Airflow's Variables, such as the notes of sessions that were kept.
    """
    for name in kept():
        forget_variable(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "this worker"))
    monkeypatch.setenv("OCTA_STATE_DIR", str(tmp_path / "this worker"))


def test_intents_are_kept_read_replaced_and_forgotten() -> None:
    store, key = VariableIntents(), "prod/airflow/dag/run/" + "%D0%B6" * 500
    assert store.read(key) == ()
    store.put(key, intent("late", 2.0))
    store.put(key, intent("early", 1.0))
    store.put(key, intent("late", 2.0, "a-uuid"))
    store.put("another", intent("other", 1.0, "b-uuid"))
    assert store.read(key) == (intent("early", 1.0), intent("late", 2.0, "a-uuid"))
    assert store.claimed() == {"a-uuid": key, "b-uuid": "another"}
    assert store.pending() == ((key, intent("early", 1.0)),)
    store.remove(key, "nobody")
    for attempt in ("early", "late"):
        store.remove(key, attempt)
    store.remove("another", "other")
    assert store.claimed() == {}
    assert kept() == []


@pytest.mark.parametrize("value", ["", "{", "[]", "{}", '{"key": "k", "intents": [{}]}', "\x00"])
def test_what_holds_no_intents_is_left_alone(value: str, caplog: pytest.LogCaptureFixture) -> None:
    VariableIntents().put("k", intent("before"))
    (name,) = kept()
    write_variable(name, value, "")
    assert VariableIntents().read("k") == ()
    assert VariableIntents().claimed() == {}
    VariableIntents().put("k", intent("now"))
    assert VariableIntents().read("k") == (intent("now"),)
    VariableIntents().remove("k", "now")
    assert kept() == []


def test_a_store_that_cannot_be_reached_costs_nobody_a_start(
    renting: Renting,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(*arguments: Any, **options: Any) -> str:
        raise PermissionError("Airflow denies this task the Variable x")

    for name in ("read_variable", "write_variable", "forget_variable", "variable_names"):
        monkeypatch.setattr(intents_module, name, fails)
    with DAG("no_store", schedule=None) as dag:
        started = OctaStartMachineOperator(task_id="start", image="alpine:3")
        started >> OctaStopSessionOperator(task_id="stop", session=started.output)
    assert run(dag).state == "success"
    told = "".join(capfd.readouterr()) + caplog.text
    assert "can't be written down as an Airflow Variable" in told
    assert renting.running() == []


@pytest.mark.parametrize("echo", [True, False], ids=["echo", "no echo"])
def test_what_is_done_leaves_no_variable(renting: Renting, echo: bool) -> None:
    if not echo:
        renting.emulator.faults(NO_ECHO)
    with DAG(f"nothing_kept_{echo}", schedule=None) as dag:
        started = OctaStartMachineOperator(task_id="start", image="alpine:3")
        started >> OctaStopSessionOperator(task_id="stop", session=started.output)
    assert run(dag).state == "success"
    assert len(renting.sessions) == 1
    assert renting.running() == []
    assert kept() == []


def test_a_stop_without_a_uuid_finds_what_shows_no_key(renting: Renting) -> None:
    """Another task than the start, and perhaps another worker."""
    renting.emulator.faults(NO_ECHO)
    with DAG("stop_no_echo", schedule=None) as dag:
        started = OctaStartMachineOperator(task_id="start", image="alpine:3", do_xcom_push=False)
        started >> OctaStopSessionOperator(task_id="stop", start_task_id="start")
    assert run(dag).state == "success"
    assert len(renting.sessions) == 1
    assert renting.running() == []
    assert kept() == []


def test_the_reaper_finds_what_shows_no_key(renting: Renting) -> None:
    renting.emulator.faults(NO_ECHO)
    with DAG("left_no_echo", schedule=None) as dag:
        OctaStartMachineOperator(task_id="start", image="alpine:3")
    left = run(dag).result("start")["uuid"]
    with DAG("reap_no_echo", schedule=None) as dag:
        OctaReapOperator(task_id="reap", older_than_s=0)
    ended = run(dag)
    assert ended.result("reap")["stopped"] == [left]
    assert renting.running() == []
    for name in kept():
        forget_variable(name)


@pytest.mark.parametrize("echo", [True, False], ids=["echo", "no echo"])
def test_killed_between_the_request_and_its_answer(renting: Renting, tmp_path: Path, echo: bool) -> None:
    name, log = f"killed_no_answer_{echo}", tmp_path / "log"
    arguments = {"command": f"echo whole >> {tmp_path}/output"}
    renting.emulator.faults(
        {"kind": "delay", "method": "POST", "path": "/services/mr", "seconds": 3600, "after_effect": True},
        *([] if echo else [NO_ECHO]),
    )
    with first_try(log, name, **arguments) as process:
        process_until(process, log, renting.running)
        process.kill()
    renting.emulator.clear_faults()
    if not echo:
        renting.emulator.faults(NO_ECHO)
    ended = run(dag_to_kill(name, **arguments), at=AT)
    assert ended.state == "success"
    assert (tmp_path / "output").read_text() == "whole\n"
    assert len(renting.sessions) == 1
    assert renting.running() == []
    # What a session that shows its key makes needless the reaper removes, an hour later.
    VariableIntents().forget_what_is_over(time.time() + 4000, [])
    assert kept() == []
    assert read_variable("nothing of this name") == ""


def test_only_what_is_over_is_forgotten() -> None:
    store, now = VariableIntents(), 100_000.0
    held = {
        "asked just now": intent("a", now - 10),
        "runs": intent("b", now - 90_000, "runs"),
        "has just started, and no list shows it yet": intent("c", now - 10, "new"),
    }
    over = {"asked long ago": intent("d", now - 90_000), "has ended": intent("e", now - 90_000, "ended")}
    for key, one in (held | over).items():
        store.put(key, one)
    store.forget_what_is_over(now, ["runs"])
    assert {key: store.read(key) for key in held} == {key: (one,) for key, one in held.items()}
    assert [store.read(key) for key in over] == [(), ()]
    for key, one in held.items():
        store.remove(key, one.attempt)
    assert kept() == []
