"""Secrets reach a job's command, and nobody else: not OctaSpace's API, not Prefect's database, no log, no error."""

from __future__ import annotations

import asyncio
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect_server import PrefectServer
from pydantic import SecretStr, ValidationError
from renting import Renting

from octa_provider.errors import OctaConfigError
from prefect_blocks import OctaJob, tasks
from prefect_blocks.flows import run_job_flow

pytestmark = [pytest.mark.e2e]

SECRET = "sentinel-it's a $ecret-that-never-shows"
#: Tells that it came, without telling it.
TELLS = 'printf %s "$TOKEN" | sha256sum | cut -c1-64 > told'
TOLD = hashlib.sha256(SECRET.encode()).hexdigest() + "\n"
QUICK: dict[str, Any] = {"poll_s": 0.2}


def assert_nowhere(server: PrefectServer, renting: Renting) -> None:
    """Neither in what the account's API has been told, nor in anything that Prefect's server has written down."""
    for word in (SECRET, "it's a $ecret", hashlib.sha256(SECRET.encode()).hexdigest()):
        assert word not in json.dumps(renting.emulator.ledger())
        with renting.client() as client:
            sessions = [*client.sessions.list(), *client.sessions.list(recent=True)]
            assert not any(word in json.dumps(session.raw) for session in sessions)
        for path in server.home.rglob("*"):
            if path.is_file():
                assert word.encode() not in path.read_bytes(), f"it is in {path}"


@pytest.mark.parametrize("form", ["block", "coroutine", "saved", "task", "task with text", "flow"])
def test_a_secret_reaches_the_command_and_nobody_else(
    server: PrefectServer, renting: Renting, tmp_path: Path, form: str
) -> None:
    outputs = {"told": str(tmp_path / "told")}
    job = OctaJob(image="alpine:3", command=TELLS, secret_envs={"TOKEN": SECRET}, outputs=outputs, **QUICK)

    @flow
    def block() -> Any:
        run = job.trigger()
        run.wait_for_completion()
        return run.fetch_result().succeeded

    @flow
    async def coroutine() -> Any:
        run = await job.atrigger()
        await run.await_for_completion()
        return (await run.afetch_result()).succeeded

    @flow
    def saved() -> Any:
        job.save("with-a-secret", overwrite=True)
        run = OctaJob.load("with-a-secret").trigger()
        run.wait_for_completion()
        return run.fetch_result().succeeded

    @flow(persist_result=True)
    def task(value: Any) -> Any:
        done = tasks.run_job("alpine:3", TELLS, secret_envs={"TOKEN": value}, outputs=outputs, **QUICK)
        return done["outcome"] == "succeeded"

    def named() -> Any:
        Secret(value=SECRET).save("of-the-flow", overwrite=True)
        done = run_job_flow("alpine:3", TELLS, secret_envs={"TOKEN": "of-the-flow"}, outputs=outputs, **QUICK)
        return done["outcome"] == "succeeded"

    assert {
        "block": block,
        "coroutine": lambda: asyncio.run(coroutine()),  # type: ignore[arg-type]
        "saved": saved,
        "task": lambda: task(SecretStr(SECRET)),
        # Not as a flow's parameter, which Prefect stores.
        "task with text": flow(lambda: task.fn(SECRET), name="with-text"),
        "flow": named,
    }[form]()
    assert (tmp_path / "told").read_text() == TOLD
    assert len(renting.sessions) == 1
    assert_nowhere(server, renting)


@pytest.mark.parametrize("show", [repr, str, lambda job: json.dumps(job.model_dump(mode="json"), default=str)])
def test_a_secret_is_shown_by_no_block(show: Any) -> None:
    job = OctaJob(image="alpine:3", command="true", secret_envs={"TOKEN": SECRET})
    assert "$ecret" not in show(job)
    assert "$ecret" not in show(job.spec()) if show is not None and show in (repr, str) else True
    assert job.spec().over_ssh
    assert job.spec().secret_envs == {"TOKEN": SECRET}


def test_who_reads_a_saved_block_sees_no_secret(server: PrefectServer) -> None:
    job = OctaJob(image="alpine:3", command="true", envs={"SHOWN": "yes"}, secret_envs={"TOKEN": SECRET})
    document = job.save("with-secrets-to-hide", overwrite=True)
    with get_client(sync_client=True) as client:
        shown = client.read_block_document(document, include_secrets=False).data
        whole = client.read_block_document(document, include_secrets=True).data
    assert "$ecret" not in json.dumps(shown)
    assert (shown["envs"], list(shown["secret_envs"])) == ({"SHOWN": "yes"}, ["TOKEN"])
    assert whole["secret_envs"] == {"TOKEN": SECRET}
    assert OctaJob.load("with-secrets-to-hide").spec().secret_envs == {"TOKEN": SECRET}


def test_another_value_of_a_secret_is_the_same_cached_result_and_the_same_job(
    server: PrefectServer, renting: Renting, tmp_path: Path
) -> None:
    """No cache key and no rental key holds a secret, not even its hash."""
    command = f"echo ran >> {tmp_path}/ran"

    @flow
    def twice() -> Any:
        return [
            tasks.run_job.with_options(persist_result=True)("alpine:3", command, secret_envs={"TOKEN": one}, **QUICK)
            for one in (SECRET, "another value")
        ]

    first, second = twice()
    assert first == second
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert len(renting.sessions) == 1
    fingerprints = {
        OctaJob(image="alpine:3", command="true", secret_envs={"TOKEN": one}).spec().fingerprint
        for one in (SECRET, "another value")
    }
    assert len(fingerprints) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"secret_envs": {"TOKEN": SECRET}, "via": "container"}, "secret_envs needs SSH"),
        ({"secret_envs": {"TOKEN": SECRET}, "envs": {"TOKEN": "x"}}, "TOKEN is in envs and in secret_envs"),
        ({"secret_envs": {SECRET: "x"}}, "one of the names is not a name of an environment variable"),
        ({"secret_envs": {"TOKEN": SECRET + "\0"}}, "the value of TOKEN must be text"),
        ({"secret_envs": {"TOKEN": SECRET.encode()}}, "the value of TOKEN must be text"),
        ({"secret_envs": {"TOKEN": [SECRET]}}, "the value of TOKEN must be text"),
        ({"secret_envs": SECRET}, "secret_envs must be a mapping"),
        ({"secret_envs": [("TOKEN", SECRET)]}, "secret_envs must be a mapping"),
        ({"secret_envs": {"OCTA_JOB": SECRET}}, "secret_envs must not set OCTA_JOB"),
    ],
)
def test_a_secret_that_can_not_be_handed_over_is_refused_unseen(
    server: PrefectServer, renting: Renting, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(OctaConfigError, match=said) as refused:
        flow(lambda: tasks.run_job("alpine:3", "true", **given, **QUICK), name="refused")()
    assert "$ecret" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert renting.sessions == []


@pytest.mark.parametrize(
    "given",
    [
        {"secret_envs": {"TOKEN": SECRET}, "via": "container"},
        {"secret_envs": {SECRET: "x"}},
        {"secret_envs": {"TOKEN": SECRET + "\0"}},
        {"secret_envs": {"TOKEN": [SECRET]}},
        {"secret_envs": SECRET},
        {"secret_envs": {"TOKEN": SECRET}, "max_cost_usd": -1},
    ],
)
def test_a_block_refuses_a_secret_unseen(given: dict[str, Any]) -> None:
    with pytest.raises((OctaConfigError, ValidationError)) as refused:
        OctaJob(image="alpine:3", command="true", **given, **QUICK).spec()
    assert "$ecret" not in str(refused.value)


def test_a_secret_block_that_is_not_there_is_named(server: PrefectServer, renting: Renting) -> None:
    with pytest.raises(OctaConfigError, match="there is no Secret block named 'not-there'"):
        run_job_flow("alpine:3", "true", secret_envs={"TOKEN": "not-there"}, **QUICK)
    Secret(value={"a": SECRET}).save("no-text", overwrite=True)
    with pytest.raises(OctaConfigError, match="'no-text' holds no text") as refused:
        run_job_flow("alpine:3", "true", secret_envs={"TOKEN": "no-text"}, **QUICK)
    assert "$ecret" not in str(refused.value)
    assert renting.sessions == []


def test_a_failed_job_does_not_tell_its_secret(server: PrefectServer, renting: Renting) -> None:
    from prefect_blocks import JobFailedError

    @flow
    def fails() -> None:
        tasks.run_job("alpine:3", "exit 3", secret_envs={"TOKEN": SECRET}, **QUICK)

    with pytest.raises(JobFailedError) as failed:
        fails()
    assert SECRET.encode() not in pickle.dumps(failed.value)
    assert_nowhere(server, renting)
