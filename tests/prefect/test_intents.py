"""What is about to be rented is on Prefect's server: another computer's try finds what a killed one has left."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import httpx
import pytest
from flow_process import FlowProcesses
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect_server import PrefectServer
from renting import Renting
from waiting_for import wait_for

from octa_provider.emulator.container.free_port import free_port
from octa_provider.rental.intents import FolderIntents, Intent
from prefect_blocks import OctaCredentials, impatient_client, intents
from prefect_blocks.flows import reap_orphans_flow
from prefect_blocks.intents import NAME_PREFIX, PrefectIntents

pytestmark = [pytest.mark.usefixtures("server")]

KEY = "ns/prefect/run/work"


def intent(attempt: str = "a", at: float = 100.0, uuid: str | None = None, before: int = 0) -> Intent:
    return Intent(attempt, "print", "mr", 7, tuple(f"session-{n}" for n in range(before)), at, uuid)


def variables(server: PrefectServer) -> list[dict[str, Any]]:
    found = server.post("/variables/filter", variables={"name": {"like_": NAME_PREFIX}})
    return [one for one in found if one["name"].startswith(NAME_PREFIX)]


@pytest.fixture(autouse=True)
def _nothing_written_down_by_others(server: PrefectServer) -> None:
    """The server is shared: what another test's machine, which the emulator ended, has left is no concern of these."""
    for one in server.post("/variables/filter"):
        if one["name"].startswith(NAME_PREFIX):
            server.delete(f"/variables/{one['id']}")


@pytest.fixture
def store(tmp_path: Path) -> PrefectIntents:
    intents.away_until.clear()
    return PrefectIntents(FolderIntents(tmp_path / "intents"))


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["job", "block"])
def test_killed_before_the_answer_and_the_try_on_another_computer_adopts(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, name: str
) -> None:
    """The API tells nobody's environment, and the two share no disk: only Prefect's server."""
    renting.emulator.faults({"kind": "no_user_envs", "times": None})
    renting.holds_the_answer()
    run = flows.new_run(name)
    flows.environment = {"OCTA_STATE_DIR": str(flows.folder / "one")}
    first = flows.engine(run)
    renting.wait_until_running()
    first.kill()
    assert len(variables(server)) == 1
    flows.again(run)
    flows.environment = {"OCTA_STATE_DIR": str(flows.folder / "other")}
    (flows.folder / "end").touch()
    assert flows.engine(run).wait() == 0
    assert server.state_of(run) == "Completed"
    assert len(renting.sessions) == 1, "the second try adopted it"
    assert renting.running() == []
    wait_for(lambda: not variables(server), "what was written down is gone with it")


def test_written_read_replaced_and_removed(server: PrefectServer, store: PrefectIntents) -> None:
    first, second = intent("a", 100.0), intent("b", 50.0)
    store.put(KEY, first)
    store.put(KEY, second)
    store.put("ns/another", intent("c"))
    assert store.read(KEY) == (second, first)
    assert store.claimed() == {}
    assert sorted(key for key, _ in store.pending()) == ["ns/another", KEY, KEY]
    store.put(KEY, first.started("uuid"))
    assert store.read(KEY) == (second, first.started("uuid"))
    assert store.claimed() == {"uuid": KEY}
    kept = intent("uuid").started("uuid").kept(2.0)
    store.put(f"kept/{KEY}", kept)
    assert (store.kept(), store.claimed()) == (((f"kept/{KEY}", kept),), {"uuid": KEY})
    store.remove(f"kept/{KEY}", "uuid")
    assert store.kept() == ()
    for key, attempt in ((KEY, "a"), (KEY, "b"), (KEY, "b"), ("ns/another", "c")):
        store.remove(key, attempt)
    assert store.read(KEY) == ()
    assert variables(server) == []


def test_another_computer_reads_it(store: PrefectIntents, tmp_path: Path) -> None:
    store.put(KEY, intent())
    elsewhere = PrefectIntents(FolderIntents(tmp_path / "elsewhere"))
    assert elsewhere.read(KEY) == (intent(),)
    elsewhere.remove(KEY, "a")
    assert store.read(KEY) == ()


@pytest.mark.parametrize("key", ["ns/prefect/run/" + "%D0%BA" * 900, "ns/prefect/run/" + "a" * 16_000])
def test_what_is_too_large_for_a_variable_is_kept_here(server: PrefectServer, store: PrefectIntents, key: str) -> None:
    store.put(key, intent())
    assert variables(server) == []
    assert store.read(key) == (intent(),)
    store.remove(key, "a")
    assert store.read(key) == ()


def test_names_that_differ_in_any_letter_are_told_apart(store: PrefectIntents) -> None:
    keys = ["ns/a_b", "ns/a-b", "ns/A-b", "ns/a%b", "ns/" + "ж" * 300]
    for key in keys:
        store.put(key, intent(uuid=key))
    assert [store.read(key) for key in keys] == [(intent(uuid=key),) for key in keys]
    for key in keys:
        store.remove(key, "a")


@pytest.mark.parametrize("away", ["refused", "frozen"])
def test_without_an_answer_it_is_kept_here_and_nobody_waits_again(
    store: PrefectIntents, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, away: str
) -> None:
    import socket

    monkeypatch.setattr(intents, "TIMEOUT_S", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = free_port()
        if away == "frozen":
            silent.listen()
            port = silent.getsockname()[1]
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
            store.put(KEY, intent())
            assert store.read(KEY) == (intent(),)
            store.remove(KEY, "a")
            assert store.read(KEY) == ()
    assert sum("does not keep" in record.message for record in caplog.records) == 1


def test_a_server_whose_database_is_busy_is_asked_again(store: PrefectIntents, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's answer to two who write at once, several times in a row: it is no server that is away."""
    monkeypatch.setattr(intents, "BUSY_S", 0.0)
    create, asked = SyncPrefectClient.create_variable, []

    def busy_at_first(client: SyncPrefectClient, variable: VariableCreate) -> object:
        asked.append(variable.name)
        if len(asked) < 5:
            request = httpx.Request("POST", "http://prefect/api/variables/")
            raise httpx.HTTPStatusError("busy", request=request, response=httpx.Response(503, request=request))
        return create(client, variable)

    monkeypatch.setattr(SyncPrefectClient, "create_variable", busy_at_first)
    store.put(KEY, intent())
    assert (len(asked), intents.away_until) == (5, {})
    assert store.read(KEY) == (intent(),)
    store.remove(KEY, "a")


def test_a_script_without_a_server_starts_none(store: PrefectIntents, monkeypatch: pytest.MonkeyPatch) -> None:
    def starts(*args: object, **kwargs: object) -> None:
        raise AssertionError("a server would be started")

    monkeypatch.setattr(impatient_client, "get_client", starts)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        store.put(KEY, intent())
        assert store.read(KEY) == (intent(),)


def test_all_that_is_noted_is_noted_by_one_client(
    server: PrefectServer, store: PrefectIntents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To make one reads settings and certificates again, and each start of a machine notes several things."""
    made: list[SyncPrefectClient] = []
    make = impatient_client.get_client

    def get_client(**options: Any) -> SyncPrefectClient:
        made.append(make(**options))
        return made[-1]

    monkeypatch.setattr(impatient_client, "get_client", get_client)
    monkeypatch.setattr(impatient_client, "_made", None)
    retries = PREFECT_CLIENT_MAX_RETRIES.value()

    def note(number: int) -> None:
        store.put(f"{KEY}/{number}", intent())
        assert store.read(f"{KEY}/{number}") == (intent(),)
        store.remove(f"{KEY}/{number}", "a")
        assert PREFECT_CLIENT_MAX_RETRIES.value() == retries

    with ThreadPoolExecutor(4) as threads:
        # Each has the settings that are in force here.
        for noted in [threads.submit(copy_context().run, note, number) for number in range(8)]:
            noted.result()
    assert len(made) == 1
    with temporary_settings({PREFECT_API_URL: f"{server.api_url}/"}):
        note(8)
    assert len(made) == 2, "with other settings another one"
    monkeypatch.setattr(impatient_client.os, "getpid", lambda: 0)
    note(9)
    assert len(made) == 3, "a process that was forked has its own"


def test_threads_that_ask_at_once_do_not_disturb_each_other(server: PrefectServer) -> None:
    def ask_often() -> None:
        for _ in range(4000):
            with impatient_client.impatient_client(intents.TIMEOUT_S):
                assert PREFECT_CLIENT_MAX_RETRIES.value() == 0

    switched_after_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            for asked in [threads.submit(copy_context().run, ask_often) for _ in range(8)]:
                asked.result()
    finally:
        sys.setswitchinterval(switched_after_s)


def test_the_reaper_forgets_what_nobody_will_ask_for(server: PrefectServer, renting: Renting) -> None:
    with OctaCredentials().get_client() as client:
        assert isinstance(client.intents, PrefectIntents)
        now = client.clock.time()
        client.intents.put("ns/old", intent("old", now - 7200))
        client.intents.put("ns/gone", intent("gone", now - 7200, uuid="no-session"))
        client.intents.put("ns/new", intent("new", now))
        reap_orphans_flow(dry_run=True)
        assert len(variables(server)) == 3
        reap_orphans_flow()
        assert [one["value"]["key"] for one in variables(server)] == ["ns/new"]
        client.intents.remove("ns/new", "new")


def test_a_variable_of_somebody_else_is_left_alone(
    server: PrefectServer, renting: Renting, store: PrefectIntents
) -> None:
    server.post("/variables/", name=f"{NAME_PREFIX}of_somebody", value="text")
    assert store.claimed() == {}
    reap_orphans_flow()
    assert len(variables(server)) == 1
    server.delete(f"/variables/name/{NAME_PREFIX}of_somebody")
