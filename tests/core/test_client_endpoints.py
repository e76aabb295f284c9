"""Every endpoint through its client method, against the emulator."""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from octa_provider import OctaClient, OctaConfigError, OctaNotFoundError, OctaRejectedError, RenderRequest
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.errors import OctaApiError
from octa_provider.models import Session, SessionPhase


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    with start_emulator(in_process=True, start_delay_s=0.02, machines=30, seed=7) as running:
        yield running


@pytest.fixture
def octa(emulator: EmulatorHandle) -> Iterator[OctaClient]:
    with OctaClient(emulator.api_key, base_url=emulator.base_url) as client:
        yield client


def own_node(octa: OctaClient) -> int:
    node_id = octa.nodes.list()[0].node_id
    assert node_id is not None
    return node_id


def asked(emulator: EmulatorHandle) -> str:
    """The last request that the emulator noted, such as `GET /accounts`."""
    last = emulator.ledger()["requests"][-1]
    return f"{last['method']} {last['path'].partition('?')[0]}"


def ready(octa: OctaClient, uuid: str) -> Session:
    for _ in range(60_000):
        session = octa.services.session(uuid).info()
        if session.phase is SessionPhase.READY:
            return session
        time.sleep(0.01)
    pytest.fail(f"session {uuid} did not get ready")


def test_accounts_get(octa: OctaClient, emulator: EmulatorHandle) -> None:
    account = octa.accounts.get()
    assert asked(emulator) == "GET /accounts"
    assert account.account_uuid
    assert isinstance(account.balance_wei, int)


def test_accounts_balance(octa: OctaClient, emulator: EmulatorHandle) -> None:
    balance = octa.accounts.balance()
    assert asked(emulator) == "GET /accounts/balance"
    assert isinstance(balance.balance_wei, int)
    assert balance.balance_wei > 0


def test_accounts_generate_wallet(octa: OctaClient, emulator: EmulatorHandle) -> None:
    one, other = octa.accounts.generate_wallet(), octa.accounts.generate_wallet()
    assert asked(emulator) == "POST /accounts"
    assert one.address != other.address
    assert one.address
    assert one.address.startswith("0x")


def test_network_get_needs_no_key(emulator: EmulatorHandle) -> None:
    with OctaClient(base_url=emulator.base_url) as anyone:
        network = anyone.network.get()
    assert asked(emulator) == "GET /network"
    assert network.market_price
    assert network.gpus


def test_apps_list(octa: OctaClient, emulator: EmulatorHandle) -> None:
    apps = octa.apps.list()
    assert asked(emulator) == "GET /apps"
    assert apps.odd == ()
    assert all(app.uuid and app.name for app in apps)
    assert all(isinstance(port, int) for app in apps for port in (*app.ports, *app.http_ports))


def test_apps_list_of_a_category(octa: OctaClient, emulator: EmulatorHandle) -> None:
    assert {app.category for app in octa.apps.list(category="AI")} == {"AI"}
    assert emulator.ledger()["requests"][-1]["path"] == "/apps?category=AI"


def test_nodes_list_and_its_filters(octa: OctaClient, emulator: EmulatorHandle) -> None:
    nodes = octa.nodes.list()
    assert asked(emulator) == "GET /nodes"
    assert nodes
    assert nodes[0].prices is not None
    assert list(octa.nodes.list(country="nowhere")) == []
    assert list(octa.nodes.list(state="offline")) == []
    assert len(octa.nodes.list(state="online")) == len(nodes)


def test_nodes_get(octa: OctaClient, emulator: EmulatorHandle) -> None:
    node_id = own_node(octa)
    node = octa.nodes.get(node_id)
    assert asked(emulator) == f"GET /nodes/{node_id}"
    assert node.node_id == node_id
    assert node.system
    listed = next(node for node in octa.nodes.list() if node.node_id == node_id)
    assert (node.osn, node.memory_bytes, node.disk_bytes) == (listed.osn, listed.memory_bytes, listed.disk_bytes)
    assert node.verified_at == listed.verified_at is not None
    with pytest.raises(OctaNotFoundError):
        octa.nodes.get(999_999)


def test_nodes_download_ident(octa: OctaClient, emulator: EmulatorHandle, tmp_path: Path) -> None:
    node_id, target = own_node(octa), tmp_path / "ident"
    assert octa.nodes.download_ident(node_id, target) == target.stat().st_size
    assert asked(emulator) == f"GET /nodes/{node_id}/ident"
    assert target.read_bytes().startswith(b"OCTA\x00\xff")


def test_nodes_download_logs(octa: OctaClient, emulator: EmulatorHandle) -> None:
    node_id, file = own_node(octa), io.BytesIO()
    octa.nodes.download_logs(node_id, file)
    assert asked(emulator) == f"GET /nodes/{node_id}/logs"
    assert f"node {node_id} is well" in gzip.decompress(file.getvalue()).decode()


def test_nodes_update_prices(octa: OctaClient, emulator: EmulatorHandle) -> None:
    node_id = own_node(octa)
    octa.nodes.update_prices(node_id, base_wei=10**20, storage_wei=2, traffic_wei=3)
    assert asked(emulator) == f"PATCH /nodes/{node_id}/prices"
    prices = next(node.prices for node in octa.nodes.list() if node.node_id == node_id)
    assert prices is not None
    assert (prices.base_wei, prices.storage_wei, prices.traffic_wei) == (10**20, 2, 3)


def test_nodes_update_prices_sends_those_that_are_given(octa: OctaClient) -> None:
    node_id = own_node(octa)
    octa.nodes.update_prices(node_id, base_wei=7, storage_wei=8, traffic_wei=9)
    octa.nodes.update_prices(node_id, gpu_hour=0.5, cpu_hour=0.1)
    octa.nodes.update_prices(node_id, storage_wei=10)
    prices = next(node.prices for node in octa.nodes.list() if node.node_id == node_id)
    assert prices is not None
    assert (prices.base_wei, prices.storage_wei, prices.traffic_wei) == (7, 10, 9)
    assert (prices.gpu_hour, prices.cpu_hour) == (0.5, 0.1)


@pytest.mark.parametrize("prices", [{}, {"base_wei": 0.5}, {"gpu_hour": -1}, {"gpu_hour": True}, {"cpu_hour": "1"}])
def test_nodes_update_prices_refuses_what_is_no_price(
    octa: OctaClient, emulator: EmulatorHandle, prices: dict[str, Any]
) -> None:
    before = len(emulator.ledger()["requests"])
    with pytest.raises(OctaConfigError, match=r"price|wei"):
        octa.nodes.update_prices(9001, **prices)
    assert len(emulator.ledger()["requests"]) == before


def test_nodes_reboot(octa: OctaClient, emulator: EmulatorHandle) -> None:
    node_id = own_node(octa)
    octa.nodes.reboot(node_id)
    assert asked(emulator) == f"GET /nodes/{node_id}/reboot"
    assert (octa.nodes.get(node_id).uptime_s or 0) < 60


def test_services_mr_available(octa: OctaClient, emulator: EmulatorHandle) -> None:
    machines = octa.services.mr.available()
    assert asked(emulator) == "GET /services/mr"
    assert len(machines) > 5
    assert any(machine.gpu_model and machine.price_usd for machine in machines)
    assert all((machine.net_down_mbps or 0) <= 100_000 for machine in machines)


def test_services_render_available(octa: OctaClient, emulator: EmulatorHandle) -> None:
    assert octa.services.render.available()
    assert asked(emulator) == "GET /services/render"


def test_services_vpn_available(octa: OctaClient, emulator: EmulatorHandle) -> None:
    machines = octa.services.vpn.available()
    assert asked(emulator) == "GET /services/vpn"
    assert any(machine.country for machine in machines)


def test_a_machine_from_start_to_stop(octa: OctaClient, emulator: EmulatorHandle) -> None:
    node_id = octa.services.mr.available()[0].node_id
    uuid = octa.services.mr.start(
        node_id=node_id, image="alpine", envs={"OCTA_RENTAL_KEY": "k/1"}, start_command="echo hello; sleep 60"
    ).uuid
    assert asked(emulator) == "POST /services/mr"
    service = octa.services.session(uuid)

    session = ready(octa, uuid)
    assert asked(emulator) == f"GET /services/{uuid}/info"
    assert (session.uuid, session.service, session.node_id, session.rental_key) == (uuid, "mr", node_id, "k/1")

    for _ in range(60_000):
        logs = service.logs()
        if "hello" in logs.container:
            break
        time.sleep(0.01)
    assert asked(emulator) == f"GET /services/{uuid}/logs"
    assert "hello" in logs.container
    assert logs.system

    assert uuid in [session.uuid for session in octa.sessions.list()]
    assert asked(emulator) == "GET /sessions"
    service.stop(score=5)
    assert asked(emulator) == f"POST /services/{uuid}/stop"
    assert uuid not in [session.uuid for session in octa.sessions.list()]
    (finished,) = [session for session in octa.sessions.list(recent=True) if session.uuid == uuid]
    assert finished.finished_at is not None
    assert finished.phase is SessionPhase.FINISHED
    assert "hello" in service.logs(recent=True).container


def test_services_render_start(octa: OctaClient, emulator: EmulatorHandle) -> None:
    node_id = octa.services.render.available()[-1].node_id
    uuid = octa.services.render.start(node_id=node_id, envs={"A": "1"}, multi_gpu_worker=True).uuid
    assert asked(emulator) == "POST /services/render"
    session = octa.services.session(uuid).info()
    assert (session.service, session.user_envs) == ("render", {"A": "1"})
    octa.services.session(uuid).stop()


def test_services_vpn_start(octa: OctaClient, emulator: EmulatorHandle) -> None:
    node_id = octa.services.vpn.available()[-1].node_id
    uuid = octa.services.vpn.start(node_id=node_id, subkind="v2ray", protocol="vless").uuid
    assert asked(emulator) == "POST /services/vpn"
    assert octa.services.session(uuid).info().service == "vpn"
    octa.services.session(uuid).stop()


@pytest.mark.parametrize(
    ("asked_for", "kind", "begins"),
    [({}, "wg", "[Interface]"), ({"subkind": "v2ray"}, "v2ray", "trojan://")],
)
def test_services_vpn_start_without_a_word_on_the_kind(
    octa: OctaClient, asked_for: dict[str, Any], kind: str, begins: str
) -> None:
    uuid = octa.services.vpn.start(node_id=octa.services.vpn.available()[0].node_id, **asked_for).uuid
    session = ready(octa, uuid)
    assert session.kind == kind
    assert str(session.config).startswith(begins)
    assert session.ip != session.public_ip
    octa.services.session(uuid).stop()


def test_every_form_of_a_refused_start_is_an_error(octa: OctaClient, emulator: EmulatorHandle) -> None:
    node_id = octa.services.render.available()[0].node_id
    with pytest.raises(OctaApiError) as refused:
        octa.services.render.start(node_id=1)
    assert refused.value.status == 400
    assert "Node not found" in str(refused.value)
    for service in (octa.services.render, octa.services.vpn):
        emulator.faults({"kind": "refuse", "reason": "No capacity"})
        with pytest.raises(OctaRejectedError, match="No capacity"):
            service.start(node_id=node_id)


def test_a_render_that_one_machine_refuses_is_started_on_the_next() -> None:
    with (
        start_emulator(in_process=True, start_delay_s=0.02, room=1, quirks=False) as full,
        OctaClient(full.api_key, base_url=full.base_url) as client,
    ):
        cheapest = min(client.services.render.available(), key=lambda machine: machine.price_usd or 0).node_id
        client.services.render.start(node_id=cheapest)
        rental = client.rentals.start(RenderRequest(), key="render/next", settle_s=0.1)
        assert rental.node_id != cheapest
        assert full.ledger()["running"] == 2
        rental.stop()


def test_a_machine_is_started_whether_its_answer_is_an_array_or_an_object(
    octa: OctaClient, emulator: EmulatorHandle
) -> None:
    node_id = octa.services.mr.available()[0].node_id
    emulator.faults({"kind": "bare_uuid"})
    for _ in range(2):
        uuid = octa.services.mr.start(node_id=node_id, image="alpine").uuid
        assert uuid in emulator.ledger()["running_uuids"]
        octa.services.session(uuid).stop()


def test_an_unknown_session_is_not_found(octa: OctaClient) -> None:
    service = octa.services.session("00000000-0000-0000-0000-000000000000")
    for call in (service.info, service.logs, service.stop):
        with pytest.raises(OctaNotFoundError):
            call()


def test_idle_jobs_get(octa: OctaClient, emulator: EmulatorHandle) -> None:
    node_id = own_node(octa)
    runs, failed = octa.idle_jobs.get(node_id, "1"), octa.idle_jobs.get(node_id, "2")
    assert asked(emulator) == f"GET /idle_jobs/{node_id}/2"
    assert (runs.is_up, runs.uptime_s, runs.error) == (True, 5400, None)
    assert (failed.is_up, failed.error) == (False, "exit status 1")


def test_idle_jobs_logs_in_both_forms(octa: OctaClient, emulator: EmulatorHandle) -> None:
    node_id = own_node(octa)
    packed, listed = octa.idle_jobs.logs(node_id, "1"), octa.idle_jobs.logs(node_id, "42")
    assert asked(emulator) == f"GET /idle_jobs/{node_id}/42/logs"
    assert packed.text.startswith("[0] hashing\n[1] hashing")
    assert listed.text.splitlines() == packed.text.splitlines()
