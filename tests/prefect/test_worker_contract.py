"""What Prefect asks of a worker type, one promise at a time; and what this one adds."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pool import Pool
from prefect import flow
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound
from prefect.states import Cancelled, Cancelling, Crashed, Pending, Running
from prefect_server import PrefectServer
from renting import Renting
from waiting_for import wait_for

from octa_provider import MachineRequest
from octa_provider.errors import OctaConfigError
from prefect_blocks import OctaWorker
from prefect_blocks.cancel_grace import CancelGrace
from prefect_blocks.flow_run_state import SeenState
from prefect_blocks.infrastructure_pid import InfrastructurePid
from prefect_blocks.namespace import namespace_here
from prefect_blocks.rental_key import worker_key
from prefect_blocks.worker_configuration import OctaJobConfiguration

pytestmark = [pytest.mark.usefixtures("server")]


@pytest.fixture
def configuration(renting: Renting) -> OctaJobConfiguration:
    return OctaJobConfiguration(command="sleep 3600", image="alpine:3", poll_s=0.2, env={})


@pytest.fixture
def rented(renting: Renting) -> Iterator[InfrastructurePid]:
    """A machine as a worker rents it."""
    key = worker_key(uuid4(), 0)
    rental = renting.client().rentals.start(MachineRequest("alpine:3"), key=key)
    yield InfrastructurePid(rental.uuid, key)
    renting.client().rentals.stop(key)


async def kill(pool: Pool, pid: str, configuration: OctaJobConfiguration) -> None:
    async with OctaWorker(work_pool_name=pool.name) as worker:
        await worker.kill_infrastructure(pid, configuration)


def test_what_a_container_publishes_and_is_can_be_asked_for(renting: Renting) -> None:
    """By job variables of the form, as of a job."""
    asked = {"http_ports": [8000], "ports": [9000], "entrypoint": "env MARK=here", "app": "an-app"}
    template = OctaWorker.get_default_base_job_template()
    made = asyncio.run(OctaJobConfiguration.from_template_and_values(template, {"command": "true", "env": {}} | asked))
    spec = made.spec()
    assert (list(spec.http_ports), list(spec.ports), spec.entrypoint, spec.app) == tuple(asked.values())


def test_kill_infrastructure_stops_the_machine(
    pool: Pool, renting: Renting, configuration: OctaJobConfiguration, rented: InfrastructurePid
) -> None:
    asyncio.run(kill(pool, str(rented), configuration))
    assert renting.running() == []


def test_kill_infrastructure_says_when_it_is_gone(
    pool: Pool, renting: Renting, configuration: OctaJobConfiguration, rented: InfrastructurePid
) -> None:
    renting.client().rentals.stop(rented.key)
    with pytest.raises(InfrastructureNotFound, match=rented.uuid):
        asyncio.run(kill(pool, str(rented), configuration))


@pytest.mark.parametrize("pid", ["12345", "some-cluster:uid:job-name", "a-uuid/prefect/no-uuid/worker/0", ""])
def test_kill_infrastructure_leaves_what_is_another_workers(
    pool: Pool, renting: Renting, configuration: OctaJobConfiguration, pid: str
) -> None:
    with pytest.raises(InfrastructureNotAvailable):
        asyncio.run(kill(pool, pid, configuration))
    assert renting.count_requests("POST", "/services/nothing") == 0


def test_the_infrastructure_pid_tells_all_that_is_needed_to_find_the_rental(renting: Renting) -> None:
    pid = InfrastructurePid("a-uuid", worker_key(UUID(int=5), 3))
    assert InfrastructurePid.read(str(pid)) == pid
    assert (pid.flow_run_id, pid.run_count) == (UUID(int=5), 3)
    assert InfrastructurePid.read(None) is None


def test_a_flow_run_that_is_run_again_gets_a_machine_of_its_own() -> None:
    run = uuid4()
    assert worker_key(run, 0) == worker_key(run, 0)
    assert len({worker_key(run, 0), worker_key(run, 1), worker_key(uuid4(), 0)}) == 3


@pytest.mark.parametrize(
    ("state", "at", "over"),
    [
        (None, 0.0, True),
        (Running(), 100.0, False),
        (Pending(), 100.0, False),
        (Cancelling(), 0.0, False),
        (Cancelling(), 9.9, False),
        (Cancelling(), 10.0, True),
        (Cancelled(), 10.0, True),
        (Crashed(), 10.0, True),
    ],
)
def test_a_process_has_its_grace_when_its_flow_run_is_over(state: Any, at: float, over: bool) -> None:
    grace = CancelGrace(10.0)
    seen = SeenState(True, state, exists=state is not None)
    grace.is_over(seen, 0.0)
    assert grace.is_over(seen, at) == over


def test_a_flow_run_that_goes_on_after_all_gets_its_grace_anew() -> None:
    grace = CancelGrace(10.0)
    cancelling = SeenState(True, Cancelling())
    assert not grace.is_over(cancelling, 0.0)
    assert not grace.is_over(SeenState(True, Running()), 8.0)
    assert not grace.is_over(cancelling, 11.0)
    assert grace.is_over(cancelling, 21.0)


def test_initiating_a_run_returns_at_once_and_the_machine_is_followed_to_its_end(
    server: PrefectServer, pool: Pool, renting: Renting, tmp_path: Path
) -> None:
    """What `submit` calls: it must not wait for the flow run, and nobody else may have to stop its machine."""
    waits = f"while [ ! -e {tmp_path}/end ]; do sleep 0.1; done"
    configuration = OctaJobConfiguration(command=waits, image="alpine:3", poll_s=0.2, env={})

    @flow
    def nothing() -> None: ...

    async def initiates() -> tuple[FlowRun, list[str]]:
        async with OctaWorker(work_pool_name=pool.name) as worker:
            run = await worker.client.create_flow_run(nothing, state=Pending())
            await worker._initiate_run(run, configuration)
            return await worker.client.read_flow_run(run.id), renting.running()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run, running = asyncio.run(initiates())
    assert len(running) == 1, "it returned while the machine ran"
    (tmp_path / "end").touch()
    assert run.infrastructure_pid == f"{running[0]}/{namespace_here()}/{worker_key(run.id, 0)}"
    renting.wait_until_none_runs()


def test_an_api_that_no_machine_can_reach_is_told_before_anything_is_paid(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCTA_BASE_URL", "https://api.octa.example")
    for api in ("http://127.0.0.1:4200/api", "http://localhost:4200/api", "http://[::1]:4200/api"):
        configuration = OctaJobConfiguration(command="true", image="alpine:3", env={"PREFECT_API_URL": api})
        with pytest.raises(OctaConfigError, match=r"env\.PREFECT_API_URL"):
            configuration.spec()
    reachable = {"PREFECT_API_URL": "https://prefect.example/api"}
    OctaJobConfiguration(command="true", image="alpine:3", env=reachable).spec()


def test_the_form_takes_a_saved_account(server: PrefectServer, pool: Pool, renting: Renting) -> None:
    """Prefect's server refuses a reference that its schema could take for a block itself."""
    from pydantic import SecretStr

    from prefect_blocks import OctaCredentials

    emulator = renting.emulator
    account = OctaCredentials(api_key=SecretStr(emulator.api_key), base_url=emulator.base_url)
    account.save("for-pools", overwrite=True)
    reference = {"$ref": {"block_document_id": server.block_id("octaspace-credentials", "for-pools")}}
    run = pool.submit("greets", credentials=reference)

    async def resolved() -> OctaJobConfiguration:
        async with OctaWorker(work_pool_name=pool.name) as worker:
            await worker.sync_with_backend()
            flow_run = await worker.client.read_flow_run(UUID(run))
            return await OctaJobConfiguration.resolve_for_flow_run(
                flow_run, client=worker.client, work_pool=worker.work_pool, worker_name=worker.name
            )

    found = asyncio.run(resolved()).account()
    assert found.api_key is not None
    assert found.api_key.get_secret_value() == emulator.api_key
    assert emulator.api_key not in repr(found)


def test_two_workers_of_one_pool_do_not_follow_the_same_machine(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Any
) -> None:
    """The second is there while the first follows; then the first dies, and exactly one run has one machine."""
    # However slow it is, it is not taken for gone.
    first = pool.worker("first", PREFECT_WORKER_HEARTBEAT_SECONDS="600")
    run = pool.submit("works", {"folder": str(tmp_path)})
    wait_for((tmp_path / "runs").exists, "the flow runs")
    wait_for(lambda: server.flow_run(run)["infrastructure_pid"], "the machine is known")
    second = pool.worker("second")
    wait_for(lambda: "started" in second.output.lower(), "the second one is up")
    time.sleep(5)
    assert "Following session" not in second.output
    first.kill()
    pool.counts_as_gone("first")
    wait_for(lambda: "Following session" in second.output, "the second one takes over")
    wait_for(lambda: server.flow_run(run)["labels"]["prefect.worker.name"] == "second", "it says so")
    (tmp_path / "end").touch()
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 1


def test_an_account_that_can_not_be_asked_costs_only_its_own_machines(
    server: PrefectServer, pool: Pool, renting: Renting
) -> None:
    """And a flow run of it, whose machine is not seen, is not taken for one whose machine has ended."""
    from prefect_blocks import OctaCredentials
    from prefect_blocks.unfollowed_machines import active_machines

    key = worker_key(uuid4(), 0)
    rental = renting.client().rentals.start(MachineRequest("alpine:3"), key=key)
    good, bad = uuid4(), uuid4()
    refused = OctaCredentials(api_key="refused", base_url=renting.emulator.base_url, retries=0)
    active, unasked = active_machines(
        [
            (bad, OctaJobConfiguration(command="true", env={}, credentials=refused)),
            (None, OctaJobConfiguration(command="true", env={})),
            (good, OctaJobConfiguration(command="true", env={})),
        ]
    )
    assert InfrastructurePid(rental.uuid, rental.key or "") in active
    assert unasked == {bad}
    renting.client().rentals.stop(key)


def test_the_default_image_is_that_of_the_workers_own_versions() -> None:
    """As those of Kubernetes, Docker and ECS: another Prefect in the machine than in the worker fails in odd ways."""
    import platform

    import prefect

    template = OctaWorker.get_default_base_job_template()
    made = asyncio.run(OctaJobConfiguration.from_template_and_values(template, {}))
    python = ".".join(platform.python_version_tuple()[:2])
    assert made.image == f"prefecthq/prefect:{prefect.__version__}-python{python}"
