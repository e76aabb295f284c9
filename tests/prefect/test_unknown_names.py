"""A name that is none is refused in one sentence, before any money is spent: a misspelt cap would be no cap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pool import Pool
from prefect import flow
from prefect_server import PrefectServer
from renting import Renting

from octa_provider import MachineRequest, OctaConfigError
from prefect_blocks import OctaCredentials, OctaJob, OctaRenderBatch, OctaWorker, rented_machine, tasks
from prefect_blocks.flows import render_animation_flow, run_job_flow
from prefect_blocks.worker_configuration import OctaJobConfiguration

QUICK: dict[str, Any] = {"image": "alpine:3", "command": "true", "poll_s": 0.2}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: OctaJob(gpu="3090", **QUICK), "OctaJob has no 'gpu' .did you mean gpu_count or gpu_memory_gb"),
        (lambda: OctaJob(max_cost=1.0, **QUICK), "OctaJob has no 'max_cost' .did you mean max_cost_usd"),
        (lambda: OctaRenderBatch(max_cost=1.0), "OctaRenderBatch has no 'max_cost' .did you mean max_cost_usd"),
        (lambda: OctaCredentials(apikey="key"), "OctaCredentials has no 'apikey' .did you mean api_key"),
    ],
)
def test_a_block_has_no_other_fields(make: Callable[[], object], told: str) -> None:
    with pytest.raises(OctaConfigError, match=told) as refused:
        make()
    assert "\n" not in str(refused.value)
    assert "3090" not in str(refused.value), "a value may be a secret"


@pytest.mark.parametrize(
    "call",
    [
        lambda: tasks.run_job("alpine:3", "true", max_cost=1.0),
        lambda: tasks.start_machine("alpine:3", max_cost=1.0),
        lambda: run_job_flow("alpine:3", "true", max_cost=1.0),
        lambda: render_animation_flow(scene="a.blend", frames="1", output="out", max_cost=1.0),
    ],
)
def test_a_task_or_flow_takes_no_other_arguments(
    server: PrefectServer, renting: Renting, call: Callable[[], object]
) -> None:
    with pytest.raises(TypeError, match="max_cost"):
        flow(call, name="misspells")()
    assert renting.sessions == []


@pytest.mark.parametrize(
    "call",
    [
        lambda: tasks.run_job("alpine:3", "true", requirements={"gpu": "3090"}),
        lambda: tasks.start_machine("alpine:3", requirements={"gpu": "3090"}),
        lambda: tasks.find_machines({"gpu": "3090"}),
        lambda: rented_machine(MachineRequest("alpine:3"), requirements={"gpu": "3090"}),
        lambda: run_job_flow("alpine:3", "true", requirements={"gpu": "3090"}),
    ],
)
def test_requirements_have_no_other_names(server: PrefectServer, renting: Renting, call: Callable[[], object]) -> None:
    with pytest.raises(OctaConfigError, match="requirements have no gpu: choose from"):
        flow(call, name="misspells")()
    assert renting.sessions == []


def test_the_free_disk_of_requirements_is_never_dropped(server: PrefectServer, renting: Renting) -> None:
    with renting.client() as client:
        free = [machine.free_disk_bytes or 0 for machine in client.services.mr.available()]
    most_gb = max(free) / 1e9

    @flow
    def steps(disk_gb: float) -> int:
        return int(tasks.run_job("alpine:3", "true", requirements={"disk_gb": disk_gb}, poll_s=0.2)["node_id"])

    with pytest.raises(Exception, match="too little disk"):
        steps(most_gb + 1)
    assert renting.sessions == []
    node = steps(most_gb - 1)
    with renting.client() as client:
        assert free.count(max(free)) > 1 or node in [
            machine.node_id for machine in client.services.mr.available() if machine.free_disk_bytes == max(free)
        ]


@pytest.mark.parametrize(
    "call",
    [
        lambda disk_gb: tasks.start_machine("alpine:3", requirements={"disk_gb": disk_gb}),
        lambda disk_gb: run_job_flow("alpine:3", "true", requirements={"disk_gb": disk_gb}),
        lambda disk_gb: OctaJob(image="alpine:3", command="true", free_disk_gb=disk_gb).run(),
        lambda disk_gb: enters(rented_machine(MachineRequest("alpine:3"), requirements={"disk_gb": disk_gb})),
    ],
    ids=["start_machine", "run_job_flow", "OctaJob", "rented_machine"],
)
def test_the_free_disk_counts_wherever_a_machine_is_chosen(
    server: PrefectServer, renting: Renting, call: Callable[[float], object]
) -> None:
    with renting.client() as client:
        most_gb = max(machine.free_disk_bytes or 0 for machine in client.services.mr.available()) / 1e9
    with pytest.raises(Exception, match="too little disk"):
        flow(lambda: call(most_gb + 1), name="wants more disk")()
    assert renting.sessions == []
    found = flow(lambda: tasks.find_machines({"disk_gb": most_gb - 1}), name="looks for much disk")()
    every = flow(lambda: tasks.find_machines(), name="looks")()
    assert 0 < len(found) < len(every)


def enters(block: AbstractContextManager[object]) -> None:
    with block:
        pass


def test_prefects_server_refuses_a_job_variable_that_is_none(pool: Pool) -> None:
    with pytest.raises(AssertionError, match="'envs' does not match"):
        pool.submit("greets", envs={"A": "b"})
    pool.submit("greets", **{"env.A": "b"})


def test_a_pool_of_an_earlier_release_refuses_it_when_the_run_is_submitted(
    server: PrefectServer, pool: Pool, renting: Renting, tmp_path: Path
) -> None:
    template = OctaWorker.get_default_base_job_template()
    for name in ("additionalProperties", "patternProperties"):
        del template["variables"][name]
    server.ask("PATCH", f"/work_pools/{pool.name}", json={"base_job_template": template})
    pool.worker()
    run = pool.submit("greets", envs={"A": "b"})
    server.wait_for_state(run, "Crashed")
    told = server.flow_run(run)["state"]["message"]
    assert "the work pool has no 'envs' (did you mean env" in told
    assert renting.sessions == []


def test_a_pool_may_have_variables_of_its_own() -> None:
    template = OctaWorker.get_default_base_job_template()
    template["variables"]["properties"]["team"] = {"type": "string", "default": "ours"}
    template["job_configuration"]["env"] = {"TEAM": "{{ team }}", "DESK": "{{ desk }}"}
    values = {"team": "theirs", "desk": "4", "image": "alpine:3"}
    made = asyncio.run(OctaJobConfiguration.from_template_and_values(template, values))
    assert made.env == {"TEAM": "theirs", "DESK": "4"}
    with pytest.raises(OctaConfigError, match=r"the work pool has no 'teams' .did you mean team"):
        asyncio.run(OctaJobConfiguration.from_template_and_values(template, {"teams": "theirs"}))
