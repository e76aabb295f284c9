"""Waiting for a machine: on a worker, deferred, and by a sensor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow_runs import Renting, run
from on_a_loop import cancelled, event_of, on_a_loop

from airflow_provider.machine_wait import MachineWait
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.operators.vpn import OctaStartVpnOperator
from airflow_provider.sensors.machine import OctaMachineAvailableSensor
from airflow_provider.triggers.machine import OctaMachineTrigger
from octa_provider.market import node_memory
from octa_provider.rental import machine_wait as core_wait

EMPTY = {"kind": "garbage", "method": "GET", "path": "^/services/(mr|vpn)$", "body": "[]", "times": None}
AWAY = {"kind": "status", "status": 503, "method": "*", "path": "*", "times": None}


def job(**arguments: Any) -> OctaRunJobOperator:
    defaults = {"task_id": "job", "image": "alpine:3", "command": "echo done", "poll_interval": 0.2}
    return OctaRunJobOperator(**(defaults | arguments))


@contextmanager
def looks_often() -> Iterator[None]:
    """A long wait looks at the market after a second, not after a quarter of a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core_wait, "machine_poll_s", lambda *given: 1.0)
        yield


@contextmanager
def room_once_asked(renting: Renting, times: int = 1) -> Iterator[None]:
    """Nothing is on offer until the market has been looked at so often."""
    renting.emulator.faults(EMPTY | {"times": times})
    with looks_often():
        yield


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_job_waits_for_a_machine_and_rents_once(
    renting: Renting, capfd: pytest.CaptureFixture[str], deferrable: bool
) -> None:
    with DAG("job_waits", schedule=None) as dag:
        job(deferrable=deferrable, wait_for_machine_s=600)
    with room_once_asked(renting):
        assert run(dag).state == "success"
    assert len(renting.sessions) == 1
    told = capfd.readouterr().out
    assert "for a machine: no machine fits: the catalogue is empty" in told


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_job_that_waited_in_vain_says_how_long_and_leaves_nothing(
    renting: Renting, capfd: pytest.CaptureFixture[str], deferrable: bool
) -> None:
    with DAG("job_waits_in_vain", schedule=None) as dag:
        job(deferrable=deferrable, wait_for_machine_s=2, max_price_usd=0.0001)
    assert run(dag).tasks == {"job": "failed"}
    told = capfd.readouterr().out
    assert "too expensive" in told
    assert "for one (wait_for_machine_s)" in told
    assert renting.sessions == []


def test_without_a_wait_a_deferrable_job_fails_at_once(renting: Renting, capfd: pytest.CaptureFixture[str]) -> None:
    with DAG("job_waits_not", schedule=None) as dag:
        job(deferrable=True, max_price_usd=0.0001)
    assert run(dag).tasks == {"job": "failed"}
    assert "Waiting up to" not in capfd.readouterr().out


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_start_waits_too(renting: Renting, deferrable: bool) -> None:
    with DAG("start_waits", schedule=None, params={"wait": 600}) as dag:
        started = OctaStartMachineOperator(
            task_id="start", image="alpine:3", wait_for_machine_s="{{ params.wait }}", deferrable=deferrable
        )
        OctaStopSessionOperator(task_id="stop", session=started.output).as_teardown(setups=started)
    with room_once_asked(renting):
        assert run(dag).state == "success"
    assert len(renting.sessions) == 1


def test_a_vpn_is_waited_for_without_a_slot_too(renting: Renting) -> None:
    with DAG("vpn_waits", schedule=None) as dag:
        started = OctaStartVpnOperator(task_id="start", wait_for_machine_s=600, deferrable=True)
        OctaStopSessionOperator(task_id="stop", session=started.output).as_teardown(setups=started)
    with room_once_asked(renting):
        assert run(dag).state == "success"
    assert [session["service"] for session in renting.sessions] == ["vpn"]


def test_a_function_waits_for_its_machine(renting: Renting) -> None:
    @task.octa(image="python:3.12", deferrable=True, wait_for_machine_s=600, poll_interval=0.2)
    def answer() -> int:
        return 42

    with DAG("function_waits", schedule=None) as dag:
        answer()
    with room_once_asked(renting):
        ended = run(dag)
    assert ended.state == "success"
    assert ended.result("answer") == 42
    assert len(renting.sessions) == 1


def test_a_full_market_is_asked_again_and_a_machine_that_gets_room_is_rented_once(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with renting.client() as client:
        nodes = len(client.services.mr.available())
    before = len(posts(renting))
    renting.emulator.faults({"kind": "refuse", "reason": "Node is busy", "times": nodes})
    with DAG("full_market", schedule=None) as dag:
        job(deferrable=True, wait_for_machine_s=800)
    # Those that have refused are left alone for a while.
    monkeypatch.setattr(node_memory, "TAKEN_S", 3.0)
    with looks_often():
        assert run(dag).state == "success"
    assert len(renting.sessions) == 1
    # However many refuse, and however often they are asked again.
    assert len(posts(renting)) - before == nodes + 1


def posts(renting: Renting) -> list[dict[str, Any]]:
    """What has been asked to start, by all tests that share the emulator."""
    return [r for r in renting.emulator.ledger()["requests"] if r["route"] == "/services/mr" and r["method"] == "POST"]


def test_what_is_no_wait_is_refused_when_parsed() -> None:
    with pytest.raises(ValueError, match="wait_for_machine_s"):
        job(wait_for_machine_s=-1)
    with pytest.raises(ValueError, match="wait_for_machine_s"):
        OctaStartMachineOperator(task_id="start", image="alpine:3", wait_for_machine_s="soon")


# -- the trigger ------------------------------------------------------------------------------------------------------


def trigger(**arguments: Any) -> OctaMachineTrigger:
    now = time.time()
    defaults: dict[str, Any] = {
        "octa_conn_id": "octa_default",
        "service": "mr",
        "requirements": {},
        "began_at": now,
        "until": now + 3600,
        "poll_interval": 0.2,
    }
    return OctaMachineTrigger(**(defaults | arguments))


def test_a_trigger_that_is_made_anew_elsewhere_waits_on_until_the_same_moment(renting: Renting) -> None:
    path, arguments = trigger(until=time.time() - 1, requirements={"max_price_usd": 0.0001}).serialize()
    assert path == "airflow_provider.triggers.machine.OctaMachineTrigger"
    event = on_a_loop(lambda: event_of(OctaMachineTrigger(**arguments)))
    assert event["what"] == "no machine"
    assert "too expensive" in event["message"]
    wait = MachineWait.told_by(event)
    assert wait is not None
    assert (wait.began_at, wait.until) == (arguments["began_at"], arguments["until"])


def test_fifty_triggers_share_one_catalogue_call_an_interval(renting: Renting) -> None:
    renting.emulator.faults(EMPTY)
    # What an earlier test has seen of the market is no answer any more.
    time.sleep(1.1)
    before = renting.emulator.ledger()["request_counts"].get("GET /services/mr", 0)
    began = time.time()

    async def main() -> list[dict[str, Any]]:
        waits = [trigger(until=began + 3, poll_interval=1.0) for _ in range(50)]
        return await asyncio.gather(*(event_of(one) for one in waits))

    events = on_a_loop(main)
    assert {event["what"] for event in events} == {"no machine"}
    asked = renting.emulator.ledger()["request_counts"]["GET /services/mr"] - before
    assert 1 <= asked <= time.time() - began + 1


def test_an_api_that_is_away_ends_no_trigger(renting: Renting) -> None:
    renting.emulator.faults(AWAY)

    async def main() -> dict[str, Any]:
        waits = asyncio.ensure_future(event_of(trigger(poll_interval=0.1)))
        while not any(r["status"] == 503 for r in renting.emulator.ledger()["requests"]):
            await asyncio.sleep(0.05)
        assert not waits.done()
        renting.emulator.clear_faults()
        return await waits

    event = on_a_loop(main)
    assert event["what"] == "machine"
    assert event["machine"]["node_id"]


def test_a_key_that_is_refused_sends_the_task_back_to_say_so(renting: Renting) -> None:
    renting.connection("octa_refused", password="no such key")
    event = on_a_loop(lambda: event_of(trigger(octa_conn_id="octa_refused")))
    assert event["what"] == "unseen"
    assert MachineWait.told_by(event) == MachineWait(event["began_at"], event["until"], on_worker=True)


def test_a_node_that_has_just_refused_does_not_wake_the_task(renting: Renting) -> None:
    with renting.client() as client:
        everywhere = [m.node_id for m in client.services.mr.available()]
    one = everywhere[0]
    event = on_a_loop(lambda: event_of(trigger(refused=everywhere, until=time.time() + 1)))
    assert event["what"] == "no machine"
    assert "have just refused" in event["message"]
    event = on_a_loop(lambda: event_of(trigger(refused=[n for n in everywhere if n != one])))
    assert event["machine"]["node_id"] == one


def test_a_trigger_that_is_cancelled_has_rented_nothing(renting: Renting) -> None:
    renting.emulator.faults(EMPTY)

    async def main() -> None:
        # Too dear for it are those too that another test has just seen, whose catalogue this process may still have.
        waits = asyncio.ensure_future(event_of(trigger(requirements={"max_price_usd": 0.0001})))
        while not renting.emulator.request("GET", "/_emulator/faults").json()[0]["met"]:
            assert not waits.done(), waits
            await asyncio.sleep(0.05)
        await cancelled([waits])

    on_a_loop(main)
    assert renting.sessions == []


# -- the sensor -------------------------------------------------------------------------------------------------------


def sensor(**arguments: Any) -> OctaMachineAvailableSensor:
    return OctaMachineAvailableSensor(**({"task_id": "free", "poke_interval": 0.2, "timeout": 800} | arguments))


@pytest.mark.parametrize("how", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}])
def test_a_sensor_waits_until_a_machine_is_on_offer(renting: Renting, how: dict[str, Any]) -> None:
    with DAG("sensor_waits", schedule=None) as dag:
        sensor(order_by="price", **how)
    with room_once_asked(renting):
        ended = run(dag)
    assert ended.state == "success"
    with renting.client() as client:
        cheapest = min((m for m in client.services.mr.available() if m.price_usd), key=lambda m: m.price_usd or 0)
    assert ended.result("free")["node_id"] == cheapest.node_id
    assert renting.sessions == []


@pytest.mark.parametrize("how", [{"mode": "poke"}, {"deferrable": True}])
@pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
def test_a_sensor_for_what_never_comes_ends_in_time(
    renting: Renting, how: dict[str, Any], soft_fail: bool, state: str
) -> None:
    with DAG("sensor_in_vain", schedule=None) as dag:
        sensor(max_price_usd=0.0001, timeout=1, soft_fail=soft_fail, **how)
    assert run(dag).tasks == {"free": state}


def test_a_sensor_outlives_an_outage_and_fails_for_a_key_that_is_refused(renting: Renting) -> None:
    renting.emulator.faults({"kind": "status", "status": 503, "method": "GET", "path": "^/services/mr$", "times": 3})
    renting.connection("octa_refused", password="no such key")
    with DAG("sensor_outage", schedule=None) as dag:
        sensor()
        sensor(task_id="refused", octa_conn_id="octa_refused", retries=3, retry_delay=timedelta(hours=1))
    assert run(dag).tasks == {"free": "success", "refused": "failed"}


def test_a_sensor_refuses_what_can_never_work_when_parsed() -> None:
    with pytest.raises(ValueError, match="service='gpu'"):
        sensor(service="gpu")
    with pytest.raises(ValueError, match="gpu_count"):
        sensor(gpu_count="many")
