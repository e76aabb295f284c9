"""`OctaJob.trigger()`: what a flow has started ends with the flow, however it ends, and is watched without a waiter."""

from __future__ import annotations

import asyncio
import pickle
import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from flow_process import FlowProcesses
from prefect import flow, task
from prefect_server import PrefectServer
from renting import Renting
from waiting_for import wait_for

from octa_provider.errors import OctaCancelledError
from octa_provider.job.result import JobOutcome, JobResult
from prefect_blocks import JobFailedError, OctaJob, OctaJobRun

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("server")]

QUICK: dict[str, Any] = {"image": "alpine:3", "poll_s": 0.2}


def sleeps(**options: Any) -> OctaJobRun:
    return OctaJob(command="sleep 3600", **QUICK | options).trigger()


def test_one_of_three_raises_and_none_is_left(renting: Renting) -> None:
    @flow
    def parallel() -> None:
        commands = ["exit 1", "sleep 3600", "sleep 3600"]
        runs = [OctaJob(command=command, **QUICK).trigger() for command in commands]
        for run in runs:
            run.wait_for_completion()
            run.fetch_result()

    with pytest.raises(JobFailedError):
        parallel()
    assert len(renting.sessions) == 3
    renting.wait_until_none_runs()


def returns() -> None:
    pass


def raises() -> None:
    raise LookupError("of the flow's own")


def is_interrupted() -> None:
    raise KeyboardInterrupt


def exits() -> None:
    raise SystemExit(3)


@pytest.mark.parametrize("end", [returns, raises, is_interrupted, exits])
@pytest.mark.parametrize("form", ["flow", "coroutine", "called flow", "task", "submitted task"])
def test_however_a_flow_ends_nothing_is_left(renting: Renting, form: str, end: Callable[[], None]) -> None:
    def body() -> None:
        sleeps()
        end()

    @flow(name="body")
    async def coroutine() -> None:
        await OctaJob(command="sleep 3600", **QUICK).atrigger()
        end()

    @flow
    def calls() -> None:
        flow(body, name="called")()

    @flow
    def has_task() -> None:
        task(sleeps)()
        end()

    @flow
    def submits() -> None:
        task(sleeps).submit().wait()
        end()

    forms: dict[str, Callable[[], Any]] = {
        "flow": flow(body, name="body"),
        "coroutine": lambda: asyncio.run(coroutine()),  # type: ignore[arg-type]
        "called flow": calls,
        "task": has_task,
        "submitted task": submits,
    }
    # What comes out of the flow is its own, and not what is looked at.
    with nullcontext() if end is returns else pytest.raises(BaseException):  # noqa: PT011
        forms[form]()
    assert len(renting.sessions) == 1
    renting.wait_until_none_runs()


ENDS = ["cancelled", signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


@pytest.mark.parametrize("name", ["triggers", "triggers_async"])
@pytest.mark.parametrize("end", ENDS, ids=str)
def test_nobody_waits_and_the_flow_is_ended(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, name: str, end: str | int
) -> None:
    run = flows.new_run(name)
    process = flows.engine(run) if isinstance(end, int) else flows.runner(run)
    wait_for((flows.folder / "runs").exists, "it runs")
    assert len(renting.running()) == 2
    if isinstance(end, int):
        process.popen.send_signal(end)
    else:
        server.set_state(run, "CANCELLING")
        server.wait_for_state(run, "Cancelled")
    process.wait()
    renting.wait_until_none_runs()


def test_the_flow_completes_and_its_process_stops_what_it_left(
    server: PrefectServer, renting: Renting, flows: FlowProcesses
) -> None:
    run = flows.new_run("triggers")
    (flows.folder / "end").touch()
    assert flows.engine(run).wait() == 0
    assert server.state_of(run) == "Completed"
    assert len(renting.sessions) == 2
    assert renting.running() == [], "the process waited for the stops"


SCRIPT = """
from prefect_blocks import OctaJob
run = OctaJob(image="alpine:3", command="sleep 3600", poll_s=0.2).trigger()
{then}
"""


@pytest.mark.parametrize("then", ["", "raise LookupError", "raise SystemExit(3)"])
def test_a_script_ends_and_nothing_is_left(renting: Renting, flows: FlowProcesses, then: str) -> None:
    flows.script(SCRIPT.format(then=then)).wait()
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("then", ["import time; time.sleep(3600)", "run.wait_for_completion()"])
def test_a_script_is_ended_by_a_signal_and_nothing_is_left(
    renting: Renting, flows: FlowProcesses, then: str, number: int
) -> None:
    process = flows.script(SCRIPT.format(then=f"print('it has ' + 'triggered', flush=True); {then}"))
    wait_for(lambda: "it has triggered" in process.output, "it has triggered")
    process.popen.send_signal(number)
    process.wait()
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_told_to_outlive_its_flow_it_does(renting: Renting) -> None:
    @flow
    def starts() -> list[OctaJobRun]:
        return [OctaJob(command="sleep 3600", **QUICK).trigger(outlives_flow=True)]

    (run,) = starts()
    looks = renting.count_requests("GET", f"/services/{run.uuid}")
    wait_for(lambda: renting.count_requests("GET", f"/services/{run.uuid}") > looks + 20, "it is watched on")
    assert renting.running() == [run.uuid]
    run.stop()
    assert renting.running() == []


def test_told_to_outlive_its_flow_it_ends_with_the_process(renting: Renting, flows: FlowProcesses) -> None:
    script = """
    from prefect import flow
    from prefect_blocks import OctaJob
    @flow
    def starts():
        OctaJob(image="alpine:3", command="sleep 3600", poll_s=0.2).trigger(outlives_flow=True)
    starts()
    """
    import textwrap

    assert flows.script(textwrap.dedent(script)).wait() == 0
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_caps_hold_when_nobody_waits(renting: Renting) -> None:
    @flow
    def never_waits() -> str:
        run = sleeps(max_cost_usd=0.05)
        renting.emulator.advance_clock(5 * 3600)
        renting.wait_until_none_runs()
        with pytest.raises(JobFailedError) as failed:
            run.wait_for_completion()
        return failed.value.result.outcome.value

    assert never_waits() == "over budget"


def test_the_timeout_holds_when_nobody_waits(renting: Renting) -> None:
    @flow
    def never_waits() -> str:
        run = sleeps(timeout_s=1.0)
        renting.wait_until_none_runs()
        with pytest.raises(JobFailedError) as failed:
            run.wait_for_completion()
        return failed.value.result.outcome.value

    assert never_waits() == "timed out"


def test_a_job_that_ends_is_stopped_and_brought_home_when_nobody_waits(renting: Renting, tmp_path: Path) -> None:
    @flow
    def never_waits() -> None:
        for name in ("one", "other"):
            OctaJob(command=f"echo {name} > made", outputs={"made": str(tmp_path / name)}, **QUICK).trigger()
        renting.wait_until_none_runs()

    never_waits()
    assert len(renting.sessions) == 2
    wait_for(lambda: (tmp_path / "one").exists() and (tmp_path / "other").exists(), "both are home")
    assert (tmp_path / "one").read_text() == "one\n"


def test_await_on_a_trigger_works(renting: Renting) -> None:
    @flow
    async def awaits() -> int | None:
        run = await OctaJob(command="exit 0", **QUICK).trigger()
        await run.await_for_completion()
        return run.fetch_result().exit_code

    assert asyncio.run(awaits()) == 0  # type: ignore[arg-type]
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_run_that_was_stopped_says_so(renting: Renting) -> None:
    @flow
    def stops() -> None:
        run = sleeps()
        run.stop()
        for ask in (run.wait_for_completion, run.fetch_result):
            with pytest.raises(OctaCancelledError):
                ask()

    stops()
    assert renting.running() == []


def test_a_job_that_two_wait_for_is_stopped_once_and_told_to_both(renting: Renting, tmp_path: Path) -> None:
    @flow
    def waits_twice() -> list[int | None]:
        job = OctaJob(command=f"while [ ! -e {tmp_path}/end ]; do sleep 0.1; done; exit 0", **QUICK)
        runs = [job.trigger(key="same"), job.trigger(key="same")]
        (tmp_path / "end").touch()
        for run in runs:
            run.wait_for_completion()
        return [run.fetch_result().exit_code for run in runs]

    assert waits_twice() == [0, 0]
    assert len(renting.sessions) == 1


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_a_failed_job_travels_between_processes(pickler: Any) -> None:
    result = JobResult(3, JobOutcome.FAILED, "why", None, (), 1, 0.1, 1.0, 5, "uuid", "key", 1)
    error = pickler.loads(pickler.dumps(JobFailedError(result)))
    assert (error.result, str(error)) == (result, "failed: why")


SETTINGS = """
import signal, sys
from prefect import flow
from prefect_blocks import OctaJob
signal.signal(signal.SIGHUP, signal.SIG_IGN)
before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)]
job = OctaJob(image="alpine:3", command="exit 0", poll_s=0.2)
def run():
    started = job.trigger()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, "nohup stays nohup"
    started.wait_for_completion()
run()
assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)]
flow(run)()
assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)]
"""


def test_signals_are_afterwards_as_before_and_an_ignored_one_stays_so(renting: Renting, flows: FlowProcesses) -> None:
    process = flows.script(SETTINGS)
    assert process.wait() == 0, process.output
    assert len(renting.sessions) == 2
