"""`OctaJob` as a flow's author meets it: triggered, followed in the run's log, paid for, and carried on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, get_run_logger, task
from prefect.exceptions import TerminationSignal
from prefect_server import PrefectServer
from pydantic import SecretStr
from renting import Renting
from this_run import this_run
from waiting_for import wait_for

from octa_provider import JobResult, OctaClient
from octa_provider.errors import OctaConfigError, OctaNoMachineError
from prefect_blocks import JobFailedError, OctaCredentials, OctaJob
from prefect_blocks.tasks import run_job

pytestmark = pytest.mark.usefixtures("run_logs")
#: An app of the emulator's.
UBUNTU = "406c0b3f-6726-4169-a3b4-6322995cd755"
QUICK: dict[str, Any] = {"image": "alpine:3", "poll_s": 0.2}


def test_trigger_wait_fetch(server: PrefectServer, renting: Renting) -> None:
    @flow
    def steps() -> tuple[str, Any]:
        run = OctaJob(command="echo to the log; echo more", **QUICK).trigger()
        assert renting.running() == [run.uuid]
        with pytest.raises(OctaConfigError, match="has not ended yet"):
            run.fetch_result()
        run.wait_for_completion()
        assert renting.running() == []
        run.wait_for_completion()
        return this_run(), run.fetch_result()

    flow_run_id, result = steps()
    assert (result.exit_code, result.outcome.value) == (0, "succeeded")
    assert result.cost_wei == renting.sessions[0]["charge_wei"] > 0
    wait_for(lambda: {"to the log", "more"} <= set(server.logs_of(flow_run_id)), "its output in the run's log")
    started = [line for line in server.logs_of(flow_run_id) if line.startswith("Started session")]
    assert len(started) == 1
    assert renting.rental_keys[0] in started[0]


def test_the_blocks_organization_pays(server: PrefectServer, renting: Renting) -> None:
    account = OctaCredentials(organization_id=77, project_id="art")

    @flow
    def steps() -> None:
        OctaJob(command="true", credentials=account, **QUICK).trigger().wait_for_completion()

    steps()
    (session,) = renting.sessions
    assert (session["organization_id"], session["project_id"]) == (77, "art")


def test_the_same_for_coroutines(server: PrefectServer, renting: Renting) -> None:
    @flow
    async def steps() -> tuple[str, Any]:
        run = await OctaJob(command="echo from a coroutine", **QUICK).atrigger()
        await run.await_for_completion()
        return this_run(), await run.afetch_result()

    flow_run_id, result = asyncio.run(steps())
    assert result.exit_code == 0
    wait_for(lambda: "from a coroutine" in server.logs_of(flow_run_id), "its output in the run's log")


def test_a_saved_block_runs(server: PrefectServer, renting: Renting) -> None:
    emulator = renting.emulator
    account = OctaCredentials(api_key=SecretStr(emulator.api_key), base_url=emulator.base_url)
    OctaJob(command="exit 0", credentials=account, gpu_count=1, **QUICK).save("saved-job", overwrite=True)

    @flow
    def steps() -> Any:
        run = OctaJob.load("saved-job").trigger()
        run.wait_for_completion()
        return run.fetch_result()

    assert steps().succeeded


def test_a_failure_raises_with_its_result_and_is_paid_for(server: PrefectServer, renting: Renting) -> None:
    ids: list[str] = []

    @flow
    def steps() -> None:
        ids.append(this_run())
        OctaJob(command="echo why; exit 3", **QUICK).run()

    with pytest.raises(JobFailedError, match="exit code 3") as failed:
        steps()
    assert failed.value.result.exit_code == 3
    assert failed.value.result.cost_wei == renting.sessions[0]["charge_wei"]
    assert "failed" in next(a["data"] for a in server.artifacts_of(ids[0]) if a["key"] == "octa-steps-cost")


@pytest.mark.parametrize("form", ["plain", "coroutine"])
def test_a_flow_that_only_waits_fails_with_its_job(server: PrefectServer, renting: Renting, form: str) -> None:
    job = OctaJob(command="exit 3", **QUICK)

    @flow
    def plain() -> None:
        job.trigger().wait_for_completion()

    @flow
    async def coroutine() -> None:
        await (await job.atrigger()).await_for_completion()

    state: Any = plain(return_state=True) if form == "plain" else asyncio.run(coroutine(return_state=True))
    assert state.is_failed()
    with pytest.raises(JobFailedError, match="exit code 3"):
        state.result()
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.parametrize("form", ["plain", "coroutine"])
def test_a_failure_is_not_raised_where_it_is_not_wanted(server: PrefectServer, renting: Renting, form: str) -> None:
    job = OctaJob(command="exit 3", **QUICK)

    @flow
    def plain() -> None:
        run = job.trigger()
        run.wait_for_completion(raise_on_failure=False)
        with pytest.raises(JobFailedError, match="exit code 3"):
            run.fetch_result()

    @flow
    async def coroutine() -> None:
        run = await job.atrigger()
        await run.await_for_completion(raise_on_failure=False)
        with pytest.raises(JobFailedError, match="exit code 3"):
            await run.afetch_result()

    plain() if form == "plain" else asyncio.run(coroutine())  # type: ignore[func-returns-value, arg-type]
    assert renting.running() == []


@pytest.mark.parametrize("form", ["plain", "coroutine"])
def test_a_job_is_run_by_one_verb(server: PrefectServer, renting: Renting, form: str) -> None:
    job = OctaJob(command="true", **QUICK)
    plain = flow(lambda: job.run().exit_code, name="one-verb")

    @flow
    async def coroutine() -> int | None:
        return (await job.arun()).exit_code

    assert (plain() if form == "plain" else asyncio.run(coroutine())) == 0  # type: ignore[arg-type]
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_missing_outputs_are_no_success(server: PrefectServer, renting: Renting, tmp_path: Path) -> None:
    @flow
    def steps() -> None:
        run = OctaJob(command="true", outputs={"nothing": str(tmp_path / "out")}, **QUICK).trigger()
        run.wait_for_completion()
        run.fetch_result()

    with pytest.raises(JobFailedError, match="nothing"):
        steps()


def test_what_the_command_writes_is_the_results_value(server: PrefectServer, renting: Renting) -> None:
    writes: dict[str, Any] = {"command": """echo '{"loss": 0.25}' > m.json""", "result_file": "m.json"}

    @flow
    def steps() -> tuple[Any, Any]:
        return OctaJob(**writes, **QUICK).run().value, run_job(QUICK["image"], poll_s=0.2, **writes)["value"]

    assert steps() == ({"loss": 0.25}, {"loss": 0.25})
    assert renting.running() == []

    @flow
    def leaves_none() -> None:
        OctaJob(command="true", result_file="m.json", **QUICK).run()

    with pytest.raises(JobFailedError, match=r"the command succeeded, but left no result file m\.json"):
        leaves_none()


def test_a_job_has_the_ports_the_entrypoint_and_the_app_that_it_asks_for(
    server: PrefectServer, renting: Renting, tmp_path: Path
) -> None:
    waits = f"while [ ! -e {tmp_path}/end ]; do sleep 0.1; done"

    @flow
    def steps() -> str:
        OctaJob(image="", app=UBUNTU, entrypoint="env MARK=here", command="echo $MARK", poll_s=0.2).run()
        job = run_job.submit("", waits, app=UBUNTU, entrypoint="env", ports=[5000], poll_s=0.2)
        told = "Port 5000 answers at "
        wait_for(lambda: any(line.startswith(told) for line in server.logs_of(this_run())), "the port's address")
        (tmp_path / "end").touch()
        job.result()
        return this_run()

    flow_run_id = steps()
    wait_for(lambda: "here" in server.logs_of(flow_run_id), "what the entrypoint has set")
    with pytest.raises(OctaConfigError, match="image must name a container image"):
        OctaJob(image="", command="true").spec()


def test_another_machine_is_tried_when_one_never_comes_up(
    server: PrefectServer, renting: Renting, time_passes: Callable[[float], None]
) -> None:
    @flow
    def steps() -> tuple[str, Any]:
        return this_run(), run_job(QUICK["image"], "true", start_attempts=2, poll_s=0.2, name="two")

    with renting.first_never_up(time_passes):
        flow_run_id, result = steps()
    first, second = sorted(renting.sessions, key=lambda session: session["started_ms"])
    assert (result["uuid"], [one["uuid"] for one in result["tried"]]) == (second["uuid"], [first["uuid"]])
    assert first["node_id"] != second["node_id"]
    assert int(result["cost_wei"]) == first["charge_wei"] + second["charge_wei"]
    assert renting.running() == []
    told = f"Session {first['uuid']} never came up, and was stopped"
    wait_for(lambda: any(line.startswith(told) for line in server.logs_of(flow_run_id)), "what became of the first")
    assert [(row["outcome"], row["session"]) for row in server.bill_of(flow_run_id, "two")] == [
        ("never up", first["uuid"]),
        ("succeeded", second["uuid"]),
    ]


def test_the_machine_of_a_command_that_failed_is_kept_and_told(server: PrefectServer, renting: Renting) -> None:
    @flow
    def steps() -> tuple[str, JobResult]:
        with pytest.raises(JobFailedError) as failed:
            run_job(QUICK["image"], "exit 3", keep_failed_s=1800, poll_s=0.2, name="failed")
        return this_run(), failed.value.result

    flow_run_id, result = steps()
    assert result.kept_until is not None
    assert renting.running() == [result.uuid]
    told = f"Session {result.uuid} is kept since its command failed, and BILLS ON"
    wait_for(lambda: any(line.startswith(told) for line in server.logs_of(flow_run_id)), "that it is kept")
    assert any(f"octa-provider stop {result.uuid}" in line for line in server.logs_of(flow_run_id))
    (row,) = server.bill_of(flow_run_id, "failed")
    assert row["outcome"] == "failed, kept: bills on"
    with OctaClient(renting.emulator.api_key, base_url=renting.emulator.base_url) as client:
        client.rentals.open(result.uuid).stop()


def test_inputs_travel_and_outputs_come_home(server: PrefectServer, renting: Renting, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("42")

    @flow
    def steps() -> None:
        run = OctaJob(
            command="mkdir out && cat in.txt in.txt > out/twice.txt",
            inputs={str(tmp_path / "in.txt"): "in.txt"},
            outputs={"out": str(tmp_path / "out")},
            **QUICK,
        ).trigger()
        run.wait_for_completion()
        run.fetch_result()

    steps()
    assert (tmp_path / "out" / "twice.txt").read_text() == "4242"


@pytest.mark.parametrize("form", ["flow", "task"])
def test_a_retry_carries_on_with_the_same_command(
    server: PrefectServer, renting: Renting, tmp_path: Path, form: str
) -> None:
    """The first try dies after the trigger and cleans nothing up; the command is begun once all the same."""
    tries: list[str] = []
    command = f"echo began >> {tmp_path}/began; while [ ! -e {tmp_path}/end ]; do sleep 0.1; done"

    def work() -> str:
        run = OctaJob(command=command, **QUICK).trigger()
        tries.append(run.uuid)
        if len(tries) == 1:
            wait_for((tmp_path / "began").exists, "the command runs")
            raise RuntimeError("the first try dies")
        (tmp_path / "end").touch()
        run.wait_for_completion()
        return run.fetch_result().uuid

    if form == "flow":
        flow(retries=1)(work)()
    else:
        flow(lambda: task(retries=1)(work)(), name="one-task")()
    assert tries == [renting.sessions[0]["uuid"]] * 2
    assert len(renting.sessions) == 1
    assert (tmp_path / "began").read_text() == "began\n"


def test_a_run_that_is_not_waited_for_can_be_stopped(server: PrefectServer, renting: Renting) -> None:
    @flow
    async def steps() -> None:
        run = await OctaJob(command="sleep 3600", **QUICK).atrigger()
        await run.astop()
        await run.astop()

    asyncio.run(steps())
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_trigger_that_fails_after_the_start_leaves_nothing(
    server: PrefectServer, renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(*args: object, **kwargs: object) -> None:
        raise TerminationSignal(signal.SIGTERM)

    monkeypatch.setattr("prefect_blocks.job.emit", ends)

    @flow
    def steps() -> None:
        with pytest.raises(TerminationSignal):
            OctaJob(command="sleep 3600", **QUICK).trigger()

    steps()
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_trigger_whose_coroutine_is_cancelled_leaves_nothing(server: PrefectServer, renting: Renting) -> None:
    renting.holds_the_answer()

    async def cancelled() -> None:
        start = asyncio.create_task(OctaJob(command="sleep 3600", **QUICK).atrigger())
        await asyncio.to_thread(renting.wait_until_running)
        start.cancel()
        await asyncio.to_thread(renting.emulator.clear_faults)
        with pytest.raises(asyncio.CancelledError):
            await start

    asyncio.run(cancelled())
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_what_can_not_work_is_told_before_anything_is_paid(server: PrefectServer, renting: Renting) -> None:
    @flow
    def steps() -> None:
        with pytest.raises(OctaConfigError):
            OctaJob(command="true", inputs={"/no/such/file": "in"}, **QUICK).trigger()
        with pytest.raises(OctaNoMachineError, match="no machine fits"):
            OctaJob(command="true", gpu_model="no such card", **QUICK).trigger()
        get_run_logger().info("nothing was rented")

    steps()
    assert renting.sessions == []


@pytest.mark.parametrize("where", ["block", "environment"])
@pytest.mark.parametrize("form", ["plain", "coroutine"])
def test_an_ssh_key_that_can_not_be_read_is_told_before_anything_is_paid(
    server: PrefectServer, renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, form: str
) -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nc3RyYW5nZQ==\n-----END OPENSSH PRIVATE KEY-----\n"
    (tmp_path / "id").write_text(key)
    account = OctaCredentials(ssh_private_key=SecretStr(key)) if where == "block" else OctaCredentials()
    if where == "environment":
        monkeypatch.setenv("OCTA_SSH_KEY_FILE", str(tmp_path / "id"))
    job = OctaJob(command="true", via="ssh", credentials=account, **QUICK)
    asked = renting.count_requests("GET", "/")

    @flow
    def plain() -> None:
        job.trigger()

    @flow
    async def coroutine() -> None:
        await job.atrigger()

    with pytest.raises(OctaConfigError, match="can't be read as a private key") as refused:
        plain() if form == "plain" else asyncio.run(coroutine())  # type: ignore[func-returns-value, arg-type]
    assert "c3RyYW5nZQ" not in str(refused.value)
    assert renting.sessions == []
    assert renting.count_requests("GET", "/") == asked, "not even the market was asked"


def test_no_ssh_key_at_all_is_told_before_anything_is_paid(
    server: PrefectServer, renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OCTA_SSH_KEY_FILE", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    @flow
    def steps() -> Any:
        with pytest.raises(OctaConfigError, match="no SSH key to log in with"):
            OctaJob(command="true", outputs={"out": str(tmp_path / "out")}, **QUICK).trigger()
        # What needs no SSH needs no key.
        run = OctaJob(command="true", **QUICK).trigger()
        run.wait_for_completion()
        return run.fetch_result()

    assert steps().succeeded
    assert len(renting.sessions) == 1


def test_a_slash_at_the_end_of_a_local_path_keeps_its_meaning(
    server: PrefectServer, renting: Renting, tmp_path: Path
) -> None:
    """As with scp: the folder that gets it under its own name."""

    @flow
    def steps() -> None:
        job = OctaJob(command="mkdir out; echo x > out/file", outputs={"out": f"{tmp_path}/home/"}, **QUICK)
        run = job.trigger()
        run.wait_for_completion()
        run.fetch_result()

    steps()
    assert (tmp_path / "home" / "out" / "file").read_text() == "x\n"
