"""Two Prefects on one account: whose machine is whose, and all parts of one agree on it."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_API_URL,
    PREFECT_HOME,
    temporary_settings,
)
from prefect.task_runners import ProcessPoolTaskRunner
from prefect_server import PrefectServer, start_prefect_server
from pydantic import SecretStr
from renting import Renting

from octa_provider import MachineRequest
from octa_provider.errors import OctaConfigError
from octa_provider.rental.key import checked_namespace, rental_key
from prefect_blocks import OctaCredentials
from prefect_blocks.flows import reap_orphans_flow
from prefect_blocks.infrastructure_pid import InfrastructurePid
from prefect_blocks.namespace import default_namespace, namespace_here
from prefect_blocks.owner import family_of, owner_lives
from prefect_blocks.rental_key import flow_run_of, worker_key
from prefect_blocks.unfollowed_machines import active_machines
from prefect_blocks.worker_configuration import OctaJobConfiguration

CLOUD = "https://api.prefect.cloud/api/accounts/0A/workspaces/0b"


def of(url: str) -> str:
    with temporary_settings({PREFECT_API_URL: url}):
        return default_namespace()


@pytest.mark.parametrize(
    "urls",
    [
        ("https://prefect.example/api", "https://Prefect.EXAMPLE:443/api/", "https://prefect.example", "http://prefect.example/api"),
        ("http://prefect.example:4200/api", "http://PREFECT.example.:4200/api/"),
        ("http://localhost:4200/api", "http://127.0.0.1:4200/api", "http://[::1]:4200/api/"),
        (CLOUD, CLOUD.lower() + "/", CLOUD.replace("api.prefect.cloud", "api.eu.prefect.cloud")),
        ("https://a.example/prefect/api", "https://a.example/prefect/"),
    ],
)  # fmt: skip
def test_the_same_api_is_the_same_installation(urls: tuple[str, ...]) -> None:
    assert len({of(url) for url in urls}) == 1


def test_another_api_is_another_installation() -> None:
    urls = [
        "https://prefect.example/api",
        "https://other.example/api",
        "https://prefect.example:8443/api",
        "https://prefect.example/prod/api",
        "https://prefect.example/dev/api",
        "http://localhost:4200/api",
        "http://localhost:4201/api",
        CLOUD,
        CLOUD.replace("0b", "0c"),
        CLOUD.replace("0A", "0d"),
    ]
    assert len({of(url) for url in urls}) == len(urls)


def test_a_loopback_address_is_told_apart_by_the_computer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = set()
    for computer in ("one", "other"):
        (tmp_path / computer).write_text(f"{computer}\n")
        monkeypatch.setattr("prefect_blocks.namespace.MACHINE_IDS", (tmp_path / "none", tmp_path / computer))
        found |= {of("http://127.0.0.1:4200/api"), of("http://localhost:4200/api")}
    assert len(found) == 2
    for computer in ("pod-1", "pod-2"):
        monkeypatch.setattr("prefect_blocks.namespace.MACHINE_IDS", ())
        monkeypatch.setattr("socket.gethostname", lambda computer=computer: computer)
        found.add(of("http://127.0.0.1:4200/api"))
    assert len(found) == 4


def test_without_an_api_the_database_counts_and_else_the_profiles_home(tmp_path: Path) -> None:
    def local(**settings: str) -> str:
        names = {"home": PREFECT_HOME, "database": PREFECT_API_DATABASE_CONNECTION_URL}
        updates: dict[Any, Any] = {names[name]: value for name, value in settings.items()}
        with temporary_settings(updates, restore_defaults={PREFECT_API_URL}):
            return default_namespace()

    one, other = local(home=str(tmp_path / "one")), local(home=str(tmp_path / "other"))
    shared = "postgresql+asyncpg://{0}@db.example:5432/prefect"
    database = local(home=str(tmp_path / "one"), database=shared.format("me:secret-1"))
    assert len({one, other, database, local(database="sqlite+aiosqlite:////data/prefect.db")}) == 4
    assert database == local(home=str(tmp_path / "other"), database=shared.format("you:secret-2"))
    assert "secret" not in database


@pytest.mark.parametrize(
    "url", ["https://user:hunter2@prefect.example/api?token=hunter2", f"{CLOUD}?key=hunter2", "http://[bad/api"]
)
def test_no_secret_shows_and_any_address_makes_a_namespace(url: str) -> None:
    try:
        namespace = of(url)
    except ValueError:
        # Prefect itself refuses such an address.
        return
    assert "hunter2" not in namespace
    assert namespace == of(url.replace("hunter2", "another"))
    assert checked_namespace(namespace) == namespace


def test_the_block_comes_first_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTA_NAMESPACE", "of the environment")
    assert OctaCredentials(api_key=SecretStr("k"), namespace="prod").get_client().namespace == "prod"
    assert OctaCredentials(api_key=SecretStr("k")).get_client().namespace == "of%20the%20environment"
    monkeypatch.setenv("OCTA_NAMESPACE", " ")
    assert OctaCredentials(api_key=SecretStr("k")).get_client().namespace == default_namespace()
    with pytest.raises(OctaConfigError, match="namespace"):
        OctaCredentials(api_key=SecretStr("k"), namespace="prefect").get_client()


def test_a_rented_machine_is_told_whose_it_is(renting: Renting) -> None:
    """Its own address of the API may be another one than the worker's."""
    env = {"PREFECT_API_URL": "https://by-another-way.example/api"}
    configuration = OctaJobConfiguration(image="alpine:3", env=dict(env))
    configuration.prepare_for_flow_run(FlowRun(flow_id=uuid4(), name="x"))
    assert configuration.spec().envs["OCTA_NAMESPACE"] == default_namespace()
    told = OctaJobConfiguration(image="alpine:3", env=env | {"OCTA_NAMESPACE": "mine"})
    told.prepare_for_flow_run(FlowRun(flow_id=uuid4(), name="x"))
    assert told.spec().envs["OCTA_NAMESPACE"] == "mine"


def told() -> str:
    return namespace_here()


def test_the_processes_of_a_task_runner_agree_with_the_flow(server: PrefectServer) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
    def asks() -> str:
        return str(task(told).submit().result())

    script = "from prefect_blocks.namespace import namespace_here; print(namespace_here())"
    plain = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    assert asks() == plain == default_namespace()


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with start_prefect_server(tmp_path_factory.mktemp("other") / "server") as server:
        yield server


def other_namespace(other: PrefectServer) -> str:
    return of(other.api_url)


def test_the_machines_of_another_prefect_are_never_reaped(
    server: PrefectServer, other_server: PrefectServer, renting: Renting
) -> None:
    flow_id = other_server.post("/flows/", name="theirs")["id"]
    ended = other_server.post("/flow_runs/", flow_id=flow_id, name="ended", state={"type": "CRASHED"})["id"]
    theirs = renting.client(other_namespace(other_server)).rentals
    keys = [worker_key(UUID(ended), 0), f"prefect/{uuid4()}/flow/a-0", f"prefect/task-run/{uuid4()}/a"]
    for key in keys:
        theirs.start(MachineRequest("alpine:3", start_command="sleep 3600"), key=key)
    try:
        for any_namespace in (False, True):
            reaped = reap_orphans_flow(older_than_s=0, any_namespace=any_namespace, max_age_s=0.001)
            assert (reaped["orphans"], reaped["stopped"]) == ([], [])
        active, _ = active_machines([(None, OctaJobConfiguration(command="true", env={}))])
        assert active == [], "a worker's clean-up does not see them"
        with temporary_settings({PREFECT_API_URL: other_server.api_url}):
            assert len(reap_orphans_flow(older_than_s=0)["stopped"]) == 3, "their own reaper does"
    finally:
        for key in keys:
            theirs.stop(key)


def test_of_another_namespace_only_what_is_known_here_to_be_over_is_stopped(
    server: PrefectServer, renting: Renting
) -> None:
    """The same Prefect, reached in another way: its runs are known here."""
    flow_id = server.post("/flows/", name="ours")["id"]
    over = server.post("/flow_runs/", flow_id=flow_id, name="over", state={"type": "CRASHED"})["id"]
    lives = server.post("/flow_runs/", flow_id=flow_id, name="lives", state={"type": "RUNNING"})["id"]
    elsewhere = renting.client("by-another-way").rentals
    keys = [f"prefect/{over}/flow/a-0", f"prefect/{lives}/flow/a-0", "airflow/dag/run/task/0"]
    for key in keys:
        elsewhere.start(MachineRequest("alpine:3"), key=key)
    try:
        assert reap_orphans_flow(older_than_s=0)["orphans"] == []
        reaped = reap_orphans_flow(older_than_s=0, any_namespace=True)
        assert [one["key"] for one in reaped["orphans"]] == [f"by-another-way/{keys[0]}"]
        assert len(reaped["stopped"]) == 1
    finally:
        for key in keys:
            elsewhere.stop(key)


def test_what_is_too_old_is_stopped_although_its_run_lives(server: PrefectServer, renting: Renting) -> None:
    flow_id = server.post("/flows/", name="ours")["id"]
    lives = server.post("/flow_runs/", flow_id=flow_id, name="lives", state={"type": "RUNNING"})["id"]
    renting.client().rentals.start(MachineRequest("alpine:3"), key=f"prefect/{lives}/flow/a-0")
    renting.emulator.advance_clock(3600)
    assert reap_orphans_flow(older_than_s=0, max_age_s=7200)["orphans"] == []
    assert len(reap_orphans_flow(older_than_s=0, max_age_s=1800)["stopped"]) == 1


@pytest.mark.parametrize("name", ["кадр " * 60, "a" * 250, "shot/12 of 24%"])
def test_the_owner_of_a_key_with_a_long_name_is_found(server: PrefectServer, renting: Renting, name: str) -> None:
    flow_id = server.post("/flows/", name="long")["id"]
    over = server.post("/flow_runs/", flow_id=flow_id, name="over", state={"type": "COMPLETED"})["id"]
    renting.client().rentals.start(MachineRequest("alpine:3"), key=rental_key("prefect", over, name))
    assert len(reap_orphans_flow(older_than_s=0)["stopped"]) == 1


def test_an_owner_that_is_not_known_here_is_told_from_one_that_is_over(server: PrefectServer) -> None:
    flow_id = server.post("/flows/", name="ours")["id"]
    over, lives = (
        server.post("/flow_runs/", flow_id=flow_id, name="run", state={"type": kind})["id"]
        for kind in ("CRASHED", "RUNNING")
    )
    with get_client(sync_client=True) as client:
        for namespace in ("", "prod/"):
            assert owner_lives(client, f"{namespace}prefect/{over}/flow/a-0") is False
            assert owner_lives(client, f"{namespace}prefect/{lives}/flow/a-0") is True
            assert owner_lives(client, f"{namespace}prefect/{uuid.uuid4()}/flow/a-0") is None
            assert owner_lives(client, f"{namespace}prefect/task-run/{uuid.uuid4()}/a") is None
            assert owner_lives(client, f"{namespace}airflow/{over}/a") is True


def test_keys_are_read_with_a_namespace_and_without() -> None:
    run = uuid4()
    assert flow_run_of(worker_key(run, 0)) == flow_run_of(f"prod/{worker_key(run, 0)}") == run
    assert flow_run_of(f"a/b/{worker_key(run, 0)}") is None
    pid = InfrastructurePid("uuid", f"prod/{worker_key(run, 2)}")
    assert InfrastructurePid.read(str(pid)) == pid
    assert (pid.flow_run_id, pid.run_count) == (run, 2)


def test_a_family_of_more_than_a_page_is_found(server: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect_blocks.flow_run_pages.PAGE", 5)
    flow_id = server.post("/flows/", name="parent")["id"]
    parent = server.post("/flow_runs/", flow_id=flow_id, name="parent")["id"]
    for number in range(12):
        call = server.post("/task_runs/", flow_run_id=parent, task_key="k", dynamic_key=str(number), name="t")
        server.post("/flow_runs/", flow_id=flow_id, name=f"child-{number}", parent_task_run_id=call["id"])
    with get_client(sync_client=True) as client:
        assert len(set(family_of(client, UUID(parent)))) == 13
