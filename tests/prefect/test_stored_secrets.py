"""Of a flow run's secret Prefect stores the name of a saved block: its value is read by the worker, at the start."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from deploying import deploy, stored
from pool import FLOWS, Pool
from prefect import flow
from prefect.blocks.system import Secret
from prefect_server import PrefectServer
from pydantic import SecretStr
from renting import Renting
from waiting_for import wait_for

from octa_provider.errors import OctaConfigError
from prefect_blocks import OctaCredentials, OctaWorker, octa

pytestmark = pytest.mark.e2e

TOKEN = "hf_sentinel-of-a-block"
PLAIN, BRACES = "prefect.blocks.secret.hf-token", "{{ prefect.blocks.secret.hf-token }}"
TOLD = "write prefect.blocks.secret.NAME, without braces"


@pytest.fixture(autouse=True)
def block(server: PrefectServer) -> None:
    Secret(value=TOKEN).save("hf-token", overwrite=True)


def assert_nothing_holds_it(server: PrefectServer, renting: Renting, *texts: str) -> None:
    """Prefect encrypts blocks in its database; what has the value there has it in clear."""
    seen = stored(server) + json.dumps(renting.emulator.ledger()) + "".join(texts)
    with renting.client() as client:
        seen += json.dumps([one.raw for one in (*client.sessions.list(), *client.sessions.list(recent=True))])
    assert "sentinel" not in seen
    for path in (*server.home.rglob("*"), *(renting.emulator.state / "sessions").rglob("*")):
        if path.is_file():
            assert b"hf_sentinel-of" not in path.read_bytes(), f"it is in {path}"


def test_a_deployment_of_a_yaml_file_and_one_of_a_flow_name_it(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    done = deploy(server, pool, tmp_path, "tells", secret_envs={"HF_TOKEN": PLAIN})
    assert done.returncode == 0, done.stdout + done.stderr
    of_yaml = server.ask("GET", "/deployments/name/tells/from-yaml").json()
    variables = of_yaml["job_variables"] | {"secret_envs": {"HF_TOKEN": BRACES}}

    @flow
    def deployed() -> None: ...

    deployed.from_source(str(FLOWS), "machine_flows.py:tells").deploy(  # type: ignore[union-attr]
        "by-deploy", work_pool_name=pool.name, job_variables=variables, build=False, push=False
    )
    of_flow = server.ask("GET", "/deployments/name/tells/by-deploy").json()
    assert [one["job_variables"]["secret_envs"]["HF_TOKEN"] for one in (of_yaml, of_flow)] == [PLAIN, BRACES]
    worker = pool.worker()
    runs = []
    for number, deployment in enumerate((of_yaml, of_flow)):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        made = {"parameters": {"folder": str(folder)}, "state": {"type": "SCHEDULED"}}
        runs.append(server.post(f"/deployments/{deployment['id']}/create_flow_run", **made)["id"])
    for number, run in enumerate(runs):
        server.wait_for_state(run, "Completed")
        told = json.loads((tmp_path / f"run-{number}" / "told").read_text())
        assert told["HF_TOKEN"] == hashlib.sha256(TOKEN.encode()).hexdigest()
        wait_for(lambda run=run: any("was stopped after" in line for line in server.logs_of(run)), "the log")
    renting.wait_until_none_runs()
    logs = [json.dumps(server.logs_of(run)) for run in runs]
    assert_nothing_holds_it(server, renting, done.stdout, done.stderr, worker.output, *logs)


@pytest.mark.parametrize("variables", [{"secret_envs": {"HF_TOKEN": BRACES}}, {"secret_envs.HF_TOKEN": BRACES}])
def test_a_value_that_prefect_deploy_puts_in_its_place_is_not_stored(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path, variables: dict[str, Any]
) -> None:
    done = deploy(server, pool, tmp_path, "tells", **variables)
    told = done.stdout + done.stderr
    assert done.returncode != 0, told
    assert TOLD in told
    assert_nothing_holds_it(server, renting, told)


@pytest.mark.parametrize("value", [TOKEN, f" {TOKEN}\n", [TOKEN], {"value": TOKEN}, f"{PLAIN} {TOKEN}"])
def test_a_value_is_refused_when_a_flow_run_is_made(
    server: PrefectServer, renting: Renting, pool: Pool, value: object
) -> None:
    deployment = pool.deploy("tells")
    create = f"{server.api_url}/deployments/{deployment}/create_flow_run"
    for variables in ({"secret_envs": {"HF_TOKEN": value}}, {"secret_envs.HF_TOKEN": value}, {"secret_envs": value}):
        answered = httpx.post(create, json={"job_variables": variables}, timeout=300)
        assert answered.is_client_error, variables
        assert TOLD in answered.text
        assert "sentinel" not in answered.text
    assert "sentinel" not in stored(server)


def test_a_bound_flow_has_no_values(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    """Its job variables are stored with the flow run, which Prefect checks against nothing."""
    with pytest.raises(OctaConfigError, match=r"write prefect\.blocks\.secret\.NAME") as refused:
        octa(work_pool=pool.name, secret_envs={"HF_TOKEN": TOKEN})
    assert "sentinel" not in str(refused.value)
    octa(work_pool=pool.name, secret_envs={"HF_TOKEN": PLAIN})


@pytest.mark.parametrize("account", [OctaCredentials(api_key=SecretStr(TOKEN)), {"api_key": TOKEN}])
def test_a_bound_flow_has_no_account_in_clear(
    server: PrefectServer, renting: Renting, pool: Pool, account: object
) -> None:
    with pytest.raises(OctaConfigError, match="write the name of a saved block") as refused:
        octa(work_pool=pool.name, credentials=account)
    assert "sentinel" not in str(refused.value)
    octa(work_pool=pool.name, credentials="studio")
    octa(work_pool=pool.name, credentials={"$ref": {"block_document_id": "of a saved block"}})

    @flow
    def pays_in_clear() -> None: ...

    async def submit() -> None:
        async with OctaWorker(work_pool_name=pool.name) as worker:
            await worker.submit(pays_in_clear, job_variables={"credentials": account})

    with pytest.raises(OctaConfigError, match="write the name of a saved block"):
        asyncio.run(submit())
    assert server.runs_of("pays-in-clear") == []


def test_submitting_to_a_worker_takes_no_values(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    @flow
    def submitted() -> None: ...

    async def submit() -> None:
        async with OctaWorker(work_pool_name=pool.name) as worker:
            await worker.submit(submitted, job_variables={"secret_envs": {"HF_TOKEN": TOKEN}})

    with pytest.raises(OctaConfigError, match=r"write prefect\.blocks\.secret\.NAME"):
        asyncio.run(submit())
    assert server.runs_of("submitted") == []
