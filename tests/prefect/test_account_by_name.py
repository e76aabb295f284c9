"""An account is named wherever a job is described: what Prefect stores is the name, never the keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from deploying import deploy, stored
from pool import FLOWS, Pool
from prefect import flow
from prefect_server import PrefectServer
from pydantic import SecretStr
from renting import Renting

from octa_provider import MachineRequest, OctaConfigError
from prefect_blocks import OctaCredentials, OctaJob, rented_machine, tasks

QUICK: dict[str, Any] = {"poll_s": 0.2}


@pytest.fixture
def account(server: PrefectServer, renting: Renting, monkeypatch: pytest.MonkeyPatch) -> OctaCredentials:
    """The only way to the emulator is a saved block, with both keys."""
    emulator = renting.emulator
    block = OctaCredentials(
        api_key=SecretStr(emulator.api_key),
        base_url=emulator.base_url,
        ssh_private_key=SecretStr(emulator.ssh_private_key.read_text()),
    )
    block.save("by-name", overwrite=True)
    for name in ("OCTA_API_KEY", "OCTA_SSH_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    return block


def test_a_deployment_of_a_yaml_file_names_it(
    server: PrefectServer, pool: Pool, renting: Renting, account: OctaCredentials, tmp_path: Path
) -> None:
    done = deploy(server, pool, tmp_path, "greets", credentials="by-name")
    assert done.returncode == 0, done.stdout + done.stderr
    found = server.ask("GET", "/deployments/name/greets/from-yaml").json()
    assert found["job_variables"]["credentials"] == "by-name"
    pool.worker(OCTA_API_KEY="", OCTA_SSH_KEY_FILE="")
    run = server.post(f"/deployments/{found['id']}/create_flow_run", parameters={}, state={"type": "SCHEDULED"})["id"]
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 1
    assert account.api_key.get_secret_value() not in stored(server)


def test_keys_in_clear_are_not_stored(
    server: PrefectServer, pool: Pool, renting: Renting, account: OctaCredentials, tmp_path: Path
) -> None:
    """`prefect deploy` puts the block's content where its reference stands."""
    done = deploy(server, pool, tmp_path, "greets", credentials="{{ prefect.blocks.octaspace-credentials.by-name }}")
    told = done.stdout + done.stderr
    assert done.returncode != 0, told
    assert "is a dependency of" in told
    for secret in (account.api_key.get_secret_value(), renting.emulator.ssh_private_key.read_text().split("\n")[1]):
        assert secret not in told
        assert secret not in stored(server)


def test_a_flow_that_is_deployed_names_it(
    server: PrefectServer, pool: Pool, renting: Renting, account: OctaCredentials
) -> None:
    @flow
    def deployed() -> None: ...

    deployed.from_source(str(FLOWS), "machine_flows.py:greets").deploy(  # type: ignore[union-attr]
        "by-deploy", work_pool_name=pool.name, job_variables={"credentials": "by-name"}, build=False, push=False
    )
    found = server.ask("GET", "/deployments/name/greets/by-deploy").json()
    assert found["job_variables"]["credentials"] == "by-name"


def test_a_name_that_is_none_ends_the_run_with_one_sentence(
    server: PrefectServer, pool: Pool, renting: Renting
) -> None:
    pool.worker()
    run = pool.submit("greets", credentials="no-such")
    server.wait_for_state(run, "Crashed")
    assert "there is no OctaSpace Credentials block named 'no-such'" in server.flow_run(run)["state"]["message"]
    assert renting.sessions == []


def test_tasks_blocks_and_machines_take_the_name(
    server: PrefectServer, renting: Renting, account: OctaCredentials
) -> None:
    @flow
    def steps() -> None:
        assert tasks.find_machines(credentials="by-name")
        tasks.stop_session(tasks.start_machine("alpine:3", credentials="by-name"), credentials="by-name")
        tasks.run_job("alpine:3", "true", credentials="by-name", **QUICK)
        with rented_machine(MachineRequest("alpine:3"), credentials="by-name", **QUICK):
            pass
        OctaJob(image="alpine:3", command="true", credentials="by-name", **QUICK).run()

    @flow
    async def coroutine() -> None:
        await OctaJob(image="alpine:3", command="true", credentials="by-name", **QUICK).arun()

    steps()
    asyncio.run(coroutine())  # type: ignore[arg-type]
    assert len(renting.sessions) == 5
    assert renting.running() == []
    with pytest.raises(OctaConfigError, match="no OctaSpace Credentials block named 'no-such'"):
        tasks.find_machines(credentials="no-such")
