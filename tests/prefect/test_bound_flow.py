"""The job variables of a flow that `@octa` has bound are looked at before Prefect's server stores any of them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prefect
import pytest
from deploying import stored
from pool import FLOWS, Pool
from prefect import flow
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect_server import PrefectServer
from pydantic import SecretStr
from renting import Renting

from octa_provider import OctaConfigError
from prefect_blocks import OctaCredentials, octa

pytestmark = pytest.mark.e2e

SECRET = "hf_sentinel-of-a-flow"
NAMED = "prefect.blocks.secret.hf-token"


@flow(name="bound")
def unbound() -> None: ...


#: What would be stored in clear.
IN_CLEAR: dict[str, dict[str, Any]] = {
    "secret": {"secret_envs": {"HF_TOKEN": SECRET}},
    "dotted-secret": {"secret_envs.HF_TOKEN": SECRET},
    "said-twice": {"secret_envs.HF_TOKEN": SECRET, "secret_envs": {"HF_TOKEN": NAMED}},
    "secrets-that-are-text": {"secret_envs": SECRET},
    "account": {"credentials": {"api_key": SECRET}},
    "account-block": {"credentials": OctaCredentials(api_key=SecretStr(SECRET))},
    "dotted-account": {"credentials.api_key": SECRET},
    "no-reference": {"credentials": {"$ref": {"api_key": SECRET}}},
}
#: What the worker would refuse, and what it is told by.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": ({"max_cost_usdd": 5.0}, "the work pool has no 'max_cost_usdd' .did you mean max_cost_usd"),
    "cap": ({"max_cost_usd": -1.0}, "max_cost_usd: max_cost_usd must be a number above 0"),
    "number": ({"gpu_count": "many"}, "gpu_count: Input should be a valid integer"),
    "account": ({"credentials": "nobody"}, "there is no OctaSpace Credentials block named 'nobody'"),
    "block": ({"secret_envs": {"HF_TOKEN": f"{NAMED}-not"}}, r"there is no prefect.blocks.secret.hf-token-not"),
    "way": ({"via": "container", "secret_envs": {"HF_TOKEN": NAMED}}, "choose auto or ssh for the job variable via"),
}


def given_later(bound: Any, values: dict[str, Any]) -> Any:
    bound.job_variables = values
    return bound


#: How a bound flow gets its job variables.
GIVEN: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "options": lambda bound, values: bound.with_options(job_variables=values),
    "options-of-options": lambda bound, values: bound.with_options(retries=1).with_options(job_variables=values),
    "options-then-options": lambda bound, values: bound.with_options(job_variables=values).with_options(retries=1),
    "attribute": given_later,
}


def retried(bound: Any) -> object:
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(unbound.with_options(name="before"))
    return asyncio.run(bound.retry(run))


#: How its runs come to the server.
SENT: dict[str, Callable[[Any], object]] = {
    "called": lambda bound: bound(),
    "submitted": lambda bound: bound.submit(),
    "left-to-a-worker": lambda bound: bound.submit_to_work_pool(),
    "retried": retried,
}


@pytest.fixture(autouse=True)
def block(server: PrefectServer) -> None:
    Secret(value="of a block").save("hf-token", overwrite=True)


@pytest.fixture
def bound(pool: Pool) -> Any:
    return octa(work_pool=pool.name, max_cost_usd=5.0)(unbound)


def assert_nothing_is_stored(server: PrefectServer) -> None:
    assert server.runs_of("bound") == []
    assert "sentinel" not in stored(server)
    for path in server.home.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), f"it is in {path}"


@pytest.mark.parametrize("values", IN_CLEAR.values(), ids=IN_CLEAR)
def test_what_would_be_stored_in_clear_is_refused_at_once(
    server: PrefectServer, renting: Renting, pool: Pool, bound: Any, values: dict[str, Any]
) -> None:
    says = "write (the name of a saved block|" + r"prefect\.blocks\.secret\.NAME)"
    for give in (*(GIVEN[name] for name in GIVEN if name != "attribute"), lambda _, given: octa(pool.name, **given)):
        with pytest.raises(OctaConfigError, match=says) as told:
            give(bound, values)
        assert "sentinel" not in str(told.value)
    for send in SENT.values():
        with pytest.raises(OctaConfigError) as told:
            send(given_later(bound, values))
        assert "sentinel" not in str(told.value)
    assert_nothing_is_stored(server)
    assert renting.sessions == []


@pytest.mark.parametrize(("values", "says"), WRONG.values(), ids=WRONG)
def test_what_the_worker_would_refuse_is_refused_before_it_is_stored(
    server: PrefectServer, renting: Renting, bound: Any, values: dict[str, Any], says: str
) -> None:
    for give in GIVEN.values():
        for send in SENT.values():
            with pytest.raises(OctaConfigError, match=says):
                send(give(bound, values))
    assert_nothing_is_stored(server)
    assert renting.sessions == []


async def adeploys(bound: Any, pool: str, values: dict[str, Any]) -> None:
    await bound.adeploy("night", pool, job_variables=values, build=False, push=False, image="none")


async def deploys_in_a_coroutine(bound: Any, pool: str, values: dict[str, Any]) -> None:
    await bound.deploy("night", work_pool_name=pool, job_variables=values, build=False, push=False, image="none")


def makes_one(bound: Any, pool: str, values: dict[str, Any]) -> None:
    prefect.deploy(bound.to_deployment("night", job_variables=values), work_pool_name=pool, build=False, image="none")


@pytest.mark.parametrize(
    "deploy",
    [
        lambda *given: asyncio.run(adeploys(*given)),
        lambda *given: asyncio.run(deploys_in_a_coroutine(*given)),
        makes_one,
        lambda bound, pool, values: bound.to_deployment("night", work_pool_name=pool, job_variables=values),
        lambda bound, pool, values: bound.deploy("night", pool, "none", False, False, None, values),
    ],
    ids=["adeploy", "deploy-in-a-coroutine", "to_deployment", "to_deployment-of-a-pool", "deploy"],
)
def test_a_deployment_of_it_has_none_of_them_either(
    server: PrefectServer, renting: Renting, pool: Pool, bound: Any, deploy: Any
) -> None:
    # As a pool of an early release, which has Prefect's server check little.
    template = server.ask("GET", f"/work_pools/{pool.name}").json()["base_job_template"]
    lax = {"type": "object", "properties": template["variables"]["properties"]}
    server.ask("PATCH", f"/work_pools/{pool.name}", json={"base_job_template": template | {"variables": lax}})
    for values in IN_CLEAR.values():
        with pytest.raises(OctaConfigError) as told:
            deploy(bound, pool.name, values)
        assert "sentinel" not in str(told.value)
    if deploy is not makes_one:
        with pytest.raises(OctaConfigError, match="did you mean max_cost_usd"):
            deploy(bound, pool.name, WRONG["misspelt"][0])
    assert_nothing_is_stored(server)
    assert not any(one["name"] == "night" for one in server.all_of("/deployments/filter", sort="NAME_ASC"))


def test_what_is_right_is_stored_as_it_was_written(
    server: PrefectServer, pool: Pool, bound: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{FLOWS}:{':'.join(sys.path)}")
    step = {"folder": str(tmp_path)}
    steps = {
        "bundle_upload_step": {"bundle_folder": step | {"do": "upload"}},
        "bundle_execution_step": {"bundle_folder": step | {"do": "execute"}},
    }
    server.ask("PATCH", f"/work_pools/{pool.name}", json={"storage_configuration": steps})
    values = {"max_cost_usd": 2.0, "gpu_count": 1, "secret_envs": {"HF_TOKEN": NAMED}, "env.A": "b"}
    mine = bound.with_options(job_variables=values, launcher=[sys.executable])

    async def submits() -> Any:
        return await mine.submit_to_work_pool()

    for future in (mine.submit_to_work_pool(), asyncio.run(submits())):
        run = server.flow_run(str(future.flow_run_id))
        command = run["job_variables"].pop("command")
        assert "bundle_folder" in command
        assert run["job_variables"] == values
        server.delete(f"/flow_runs/{future.flow_run_id}")


def test_a_pool_of_another_type_is_none(server: PrefectServer, renting: Renting, tmp_path: Path) -> None:
    server.post("/work_pools/", name=f"process-{tmp_path.name}", type="process")
    elsewhere = octa(work_pool=f"process-{tmp_path.name}")(unbound)
    for send in SENT.values():
        with pytest.raises(OctaConfigError, match="is of type process: @octa takes one of type octa"):
            send(elsewhere)
    assert server.runs_of("bound") == []


def test_what_serves_it_runs_it_itself_and_its_deployment_has_job_variables_of_its_own(
    server: PrefectServer, renting: Renting, pool: Pool
) -> None:
    @flow
    def tells() -> int:
        return os.getpid()

    mine = octa(work_pool=pool.name, max_cost_usd=5.0)(tells)
    assert mine.to_deployment("night").job_variables == {}
    # As Prefect's runner does.
    assert run_flow(mine) == os.getpid()
    assert renting.sessions == []
