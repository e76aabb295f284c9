"""Caps hold for everything that rents, whoever looks; and machines that a flow has started end with the flow."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from flow_process import FlowProcesses
from prefect import flow
from prefect_server import PrefectServer
from pydantic import ValidationError
from renting import Renting
from waiting_for import wait_for

from octa_provider import MachineRequest
from octa_provider.errors import OctaBudgetError, OctaConfigError
from prefect_blocks import JobFailedError, OctaJob, rented_machine, tasks
from prefect_blocks.worker_configuration import OctaJobConfiguration

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("server")]

REQUEST = MachineRequest("alpine:3", start_command="sleep 3600")
CAPS: list[dict[str, float]] = [{"max_cost_usd": 0.05}, {"max_duration_s": 3600.0}]
BAD = [math.inf, -math.inf, math.nan, "5", 0, -1, True, False, [5], "none"]


@pytest.mark.parametrize("caps", CAPS, ids=lambda caps: next(iter(caps)))
@pytest.mark.parametrize("form", ["plain", "coroutine"])
@pytest.mark.parametrize("lost", [None, LookupError("the machine is gone")])
def test_a_cap_holds_while_the_block_works(
    renting: Renting, form: str, caps: dict[str, Any], lost: Exception | None
) -> None:
    def inside() -> None:
        renting.emulator.advance_clock(5 * 3600)
        renting.wait_until_none_runs()
        if lost is not None:
            raise lost

    @flow
    def plain() -> None:
        with rented_machine(REQUEST, poll_s=0.2, **caps):
            inside()

    @flow
    async def coroutine() -> None:
        async with rented_machine(REQUEST, poll_s=0.2, **caps):
            await asyncio.to_thread(inside)

    with pytest.raises(OctaBudgetError, match="it was stopped") as raised:
        plain() if form == "plain" else asyncio.run(coroutine())  # type: ignore[func-returns-value, arg-type]
    assert raised.value.__cause__ is lost
    assert len(renting.sessions) == 1


def test_outside_any_flow_a_cap_holds_too(renting: Renting) -> None:
    def script() -> None:
        with rented_machine(REQUEST, poll_s=0.2, max_cost_usd=0.05):
            renting.emulator.advance_clock(5 * 3600)
            renting.wait_until_none_runs()

    with pytest.raises(OctaBudgetError):
        script()


@pytest.mark.parametrize("caps", CAPS, ids=lambda caps: next(iter(caps)))
@pytest.mark.parametrize("kind", ["machine", "render"])
def test_a_cap_holds_while_the_flow_does_something_else(renting: Renting, kind: str, caps: dict[str, Any]) -> None:
    @flow
    def works() -> None:
        if kind == "machine":
            tasks.start_machine("alpine:3", start_command="sleep 3600", **caps)
        else:
            tasks.start_render(**caps)
        renting.emulator.advance_clock(5 * 3600)
        renting.wait_until_none_runs()

    works()
    assert len(renting.sessions) == 1


@pytest.mark.parametrize("caps", CAPS, ids=lambda caps: next(iter(caps)))
def test_a_cap_ends_a_job(renting: Renting, caps: dict[str, Any]) -> None:
    @flow
    def works() -> None:
        job = OctaJob(image="alpine:3", command="echo begun; sleep 3600", poll_s=0.2, **caps).trigger()
        wait_for(lambda: job.state.phase.value == "running", "it runs")
        renting.emulator.advance_clock(5 * 3600)
        job.wait_for_completion()

    with pytest.raises(JobFailedError, match=r"over budget: session .* of at most"):
        works()
    assert (len(renting.sessions), renting.running()) == (1, [])


def test_a_retry_after_a_cap_rents_anew_with_caps_of_its_own(renting: Renting) -> None:
    tries: list[str] = []

    @flow(retries=1)
    def works() -> None:
        job = OctaJob(image="alpine:3", command="echo begun; sleep 3600", poll_s=0.2, max_duration_s=3600.0).trigger()
        wait_for(lambda: job.state.phase.value == "running", "it runs")
        tries.append(job.state.rental.uuid)
        renting.emulator.advance_clock(2 * 3600)
        job.wait_for_completion()

    with pytest.raises(JobFailedError, match=r"over budget: session .* of at most"):
        works()
    assert len(tries) == len(set(tries)) == len(renting.sessions) == 2
    assert renting.running() == []


def test_machines_below_their_caps_are_left_alone(renting: Renting) -> None:
    @flow
    def works() -> None:
        started = [tasks.start_machine("alpine:3", max_cost_usd=5.0, max_duration_s=86_400) for _ in range(3)]
        looks = renting.count_requests("GET", "/sessions")
        wait_for(lambda: renting.count_requests("GET", "/sessions") > looks + 2, "they are looked at")
        assert len(renting.running()) == 3
        for session in started:
            tasks.stop_session(session)

    works()
    assert renting.running() == []


@pytest.mark.parametrize("value", BAD, ids=repr)
@pytest.mark.parametrize("cap", ["max_cost_usd", "max_duration_s"])
def test_a_cap_that_can_not_hold_is_refused_in_one_sentence(renting: Renting, cap: str, value: Any) -> None:
    ways: list[Callable[..., Any]] = [
        lambda **caps: rented_machine(REQUEST, **caps).__enter__(),
        lambda **caps: tasks.start_machine("alpine:3", **caps),
        lambda **caps: tasks.start_render(**caps),
        lambda **caps: tasks.start_vpn(**caps),
        lambda **caps: tasks.run_job("alpine:3", "true", **caps),
    ]
    tried: list[Callable[..., Any]] = []

    @flow
    def starts() -> None:
        for way in ways:
            with pytest.raises(OctaConfigError, match=f"{cap} must be a number above 0, or left out") as refused:
                way(**{cap: value})
            assert "\n" not in str(refused.value)
            tried.append(way)

    starts()
    assert tried == ways
    forms: list[Callable[..., Any]] = [
        lambda **caps: OctaJobConfiguration(command="true", env={}, **caps),
        lambda **caps: OctaJob(image="alpine:3", command="true", **caps),
    ]
    for form in forms:
        with pytest.raises(ValidationError, match=f"{cap} must be a number above 0"):
            form(**{cap: value})
    assert renting.sessions == []


def test_the_forms_still_ask_for_a_number() -> None:
    fields = OctaJobConfiguration.model_json_schema()["properties"]
    assert {"type": "number", "exclusiveMinimum": 0.0}.items() <= fields["max_duration_s"].items()
    assert fields["max_cost_usd"]["anyOf"][0]["type"] == "number"


def raises() -> None:
    raise LookupError("of the flow's own")


def is_interrupted() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("end", [None, raises, is_interrupted])
@pytest.mark.parametrize("form", ["plain", "coroutine", "submitted"])
def test_what_a_flow_has_started_ends_with_it(renting: Renting, form: str, end: Callable[[], None] | None) -> None:
    @flow
    def plain() -> None:
        tasks.start_machine("alpine:3")
        if end is not None:
            end()

    @flow
    async def coroutine() -> None:
        await tasks.astart_machine("alpine:3")
        if end is not None:
            end()

    @flow
    def submitted() -> None:
        tasks.start_machine.submit("alpine:3").wait()
        if end is not None:
            end()

    forms: dict[str, Callable[[], Any]] = {
        "plain": plain,
        "coroutine": lambda: asyncio.run(coroutine()),  # type: ignore[arg-type]
        "submitted": submitted,
    }
    with nullcontext() if end is None else pytest.raises(BaseException):  # noqa: PT011
        forms[form]()
    assert len(renting.sessions) == 1
    renting.wait_until_none_runs()


def test_a_flow_that_is_terminated_leaves_nothing_that_it_started(renting: Renting, flows: FlowProcesses) -> None:
    process = flows.engine(flows.new_run("starts"))
    wait_for((flows.folder / "runs").exists, "it runs")
    assert len(renting.running()) == 2
    process.popen.send_signal(signal.SIGTERM)
    process.wait()
    assert renting.running() == []


def test_a_flow_that_completes_waits_for_its_stops_when_its_process_ends(
    server: PrefectServer, renting: Renting, flows: FlowProcesses
) -> None:
    run = flows.new_run("starts")
    (flows.folder / "end").touch()
    assert flows.engine(run).wait() == 0
    assert server.state_of(run) == "Completed"
    assert (len(renting.sessions), renting.running()) == (2, [])


def test_told_to_outlive_its_flow_a_machine_does(renting: Renting) -> None:
    @flow
    def starts() -> Any:
        return tasks.start_machine("alpine:3", outlives_flow=True, max_cost_usd=5.0)

    session = starts()
    looks = renting.count_requests("GET", "/sessions")
    wait_for(lambda: renting.count_requests("GET", "/sessions") > looks + 1, "its cap is looked after")
    assert renting.running() == [session["uuid"]]
    tasks.stop_session.fn(session)
    assert renting.running() == []


def test_what_the_flow_has_stopped_is_not_stopped_again(renting: Renting) -> None:
    @flow
    def steps() -> str:
        session = tasks.start_machine("alpine:3", max_cost_usd=5.0)
        tasks.stop_session(session)
        return str(session["uuid"])

    uuid = steps()
    stops = renting.count_requests("POST", f"/services/{uuid}/stop")
    uuid_other = steps()
    wait_for(lambda: renting.count_requests("POST", f"/services/{uuid_other}/stop"), "the other one is stopped")
    assert renting.count_requests("POST", f"/services/{uuid}/stop") == stops


def test_a_machine_that_can_not_be_stopped_is_asked_again_until_it_is(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    from octa_provider.errors import OctaStopError
    from octa_provider.rental.rental import Rental

    stop, tries = Rental.stop, []

    def stops_late(self: Rental, *args: Any, **kwargs: Any) -> Any:
        tries.append(self.uuid)
        if len(tries) < 3:
            raise OctaStopError("not seen gone", uuids=(self.uuid,))
        return stop(self, *args, **kwargs)

    monkeypatch.setattr(Rental, "stop", stops_late)

    @flow
    def forgets() -> None:
        tasks.start_machine("alpine:3")

    forgets()
    renting.wait_until_none_runs()
    assert len(tries) == 3


def test_an_account_that_can_not_be_asked_is_asked_again(renting: Renting) -> None:
    @flow
    def works() -> None:
        tasks.start_machine("alpine:3", start_command="sleep 3600", max_cost_usd=0.05)
        renting.emulator.advance_clock(5 * 3600)
        renting.emulator.faults({"kind": "status", "method": "GET", "path": "/sessions", "status": 500, "times": 3})
        renting.wait_until_none_runs()

    works()
