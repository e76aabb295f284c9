"""What the constructor takes, where it takes it from, and what it refuses before any request."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import requests
from odd_server import OddServer, answer

import octa_provider
from octa_provider import OctaClient, OctaConfigError, RenderRequest

KEY = "octa-key-51a9e7c0d4b84f6e"
Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]


def test_the_key_is_sent_bare_in_the_authorization_header(serve: Serve, connect: Connect) -> None:
    server = serve()
    connect(server).sessions.list()
    assert server.received[0].headers["authorization"] == KEY


@pytest.mark.parametrize("text", [f" {KEY}", f"{KEY}\n", f"\t{KEY}\r\n"])
def test_white_space_around_the_key_is_dropped_wherever_it_comes_from(
    text: str, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    connect(server, api_key=text).sessions.list()
    monkeypatch.setenv("OCTA_API_KEY", text)
    connect(server, api_key=None).sessions.list()
    assert [request.headers["authorization"] for request in server.received] == [KEY, KEY]


def test_the_argument_wins_over_the_environment(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, other = serve(), serve()
    monkeypatch.setenv("OCTA_API_KEY", "key-of-the-environment")
    monkeypatch.setenv("OCTA_BASE_URL", other.url)
    connect(server).sessions.list()
    assert server.received[0].headers["authorization"] == KEY
    assert other.received == []


def test_key_and_base_urls_come_from_the_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve()
    monkeypatch.setenv("OCTA_API_KEY", KEY)
    monkeypatch.setenv("OCTA_BASE_URL", f"{server.url}/ , https://api.octa.space")
    with OctaClient() as client:
        assert client.base_url == server.url
        client.sessions.list()
    assert server.received[0].headers["authorization"] == KEY


def test_the_default_base_url_is_the_documented_one() -> None:
    assert OctaClient(KEY).base_url == "https://api.octa.computer"


@pytest.mark.parametrize("key", [None, "", "  \n"])
def test_without_a_key_every_call_but_the_network_fails_before_any_request(
    key: str | None, serve: Serve, connect: Connect, tmp_path: Any
) -> None:
    server = serve(answer(body={}))
    client = connect(server, api_key=key)
    calls: list[Callable[[], object]] = [
        client.accounts.get,
        client.accounts.balance,
        client.accounts.generate_wallet,
        client.apps.list,
        client.nodes.list,
        lambda: client.nodes.get(1),
        lambda: client.nodes.download_ident(1, tmp_path / "ident"),
        lambda: client.nodes.download_logs(1, tmp_path / "logs"),
        lambda: client.nodes.update_prices(1, base_wei=1, storage_wei=1, traffic_wei=1),
        lambda: client.nodes.reboot(1),
        client.services.mr.available,
        client.services.render.available,
        client.services.vpn.available,
        lambda: client.services.mr.start(node_id=1, image="blender:4.5"),
        lambda: client.services.render.start(node_id=1),
        lambda: client.services.vpn.start(node_id=1, subkind="wg"),
        client.services.session("abc").info,
        client.services.session("abc").logs,
        client.services.session("abc").stop,
        client.sessions.list,
        lambda: client.idle_jobs.get(1, "j"),
        lambda: client.idle_jobs.logs(1, "j"),
    ]
    for call in calls:
        with pytest.raises(OctaConfigError, match="OCTA_API_KEY"):
            call()
    assert server.accepts == 0
    client.network.get()
    assert "authorization" not in server.received[0].headers


def test_the_network_is_asked_without_the_key_even_when_there_is_one(serve: Serve, connect: Connect) -> None:
    server = serve(answer(body={}))
    connect(server).network.get()
    assert "authorization" not in server.received[0].headers


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key": "two words"},
        {"api_key": "line\nbreak"},
        {"api_key": "clé"},
        {"api_key": 12345},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": 1e300},
        {"timeout": True},
        {"timeout": "30"},
        {"retries": -1},
        {"retries": 101},
        {"retries": 1.5},
        {"retries": True},
        {"max_retry_after": -1},
        {"max_retry_after": float("inf")},
        {"max_retry_after": True},
        {"max_retry_after": "60"},
        {"user_agent": "two\r\nlines: injected"},
        {"user_agent": "naïve"},
        {"base_url": ""},
        {"base_url": []},
        {"base_url": [None]},
        {"base_url": 7},
        {"base_url": "http://api.octa.computer"},
        {"base_url": ["https://api.octa.computer", "http://api.octa.space"]},
    ],
)
def test_arguments_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OctaConfigError):
        OctaClient(**{"api_key": KEY, **wrong})


@pytest.mark.parametrize(
    "wrong", [{"timeout": 0}, {"timeout": -3.0}, {"timeout": "5"}, {"retries": -1}, {"retries": True}]
)
def test_one_calls_timeout_and_retries_are_checked_before_any_request(
    wrong: dict[str, Any], serve: Serve, connect: Connect
) -> None:
    server = serve()
    with pytest.raises(OctaConfigError):
        connect(server).sessions.list(**wrong)
    assert server.accepts == 0


@pytest.mark.parametrize("uuid", ["../accounts", "a/b", "", ".", "..", "a\\b", "a b", "a\nb", "a\x7fb"])
def test_a_uuid_that_would_leave_its_place_is_a_value_error_before_any_request(
    uuid: str, connect: Connect, no_network: None
) -> None:
    client = connect("https://api.octa.computer")
    with pytest.raises(ValueError, match="request path"):
        client.services.session(uuid)
    with pytest.raises(ValueError, match="request path"):
        client.idle_jobs.get(1, uuid)
    with pytest.raises(ValueError, match="request path"):
        client.nodes.get(uuid)  # type: ignore[arg-type]


def test_odd_but_harmless_characters_of_an_id_are_quoted(serve: Serve, connect: Connect) -> None:
    server = serve(answer(body={"uuid": "x"}))
    connect(server).services.session("a?b#c%2Fd;é").info()
    assert server.received[0].path == "/services/a%3Fb%23c%252Fd%3B%C3%A9/info"


def test_requests_say_who_sends_them(serve: Serve, connect: Connect) -> None:
    server = serve()
    connect(server).sessions.list()
    connect(server, user_agent="studio/1.2").sessions.list()
    own, named = (request.headers["user-agent"] for request in server.received)
    assert own.startswith("octa-provider")
    assert named == f"studio/1.2 {own}"


def test_without_its_metadata_the_package_still_says_its_name(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import PackageNotFoundError

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("octa_provider.client.version", missing)
    server = serve()
    connect(server).sessions.list()
    assert server.received[0].headers["user-agent"] == "octa-provider"


def test_a_session_that_is_passed_in_is_used_and_not_closed(serve: Serve) -> None:
    class Watched(requests.Session):
        closed = 0

        def close(self) -> None:
            self.closed += 1
            super().close()

    server, session = serve(), Watched()
    session.headers["X-Studio"] = "7"
    with OctaClient(KEY, base_url=server.url, session=session) as client:
        client.sessions.list()
    assert server.received[0].headers["x-studio"] == "7"
    assert session.closed == 0


def test_a_closed_client_can_be_used_again(serve: Serve, connect: Connect) -> None:
    server = serve()
    client = connect(server)
    client.sessions.list()
    client.close()
    client.close()
    client.sessions.list()
    assert server.accepts == 2


def test_the_clients_clock_and_rentals_hang_off_it(connect: Connect, clock: Any) -> None:
    client = connect("https://api.octa.computer")
    assert client.clock is clock
    assert client.rentals is client.rentals
    assert client.jobs is client.jobs
    assert client.transport.clock is clock


def test_services_start_posts_any_request_once(serve: Serve, connect: Connect) -> None:
    server = serve(answer(body={"uuid": "u-1"}))
    assert connect(server).services.start(RenderRequest(), 7).uuid == "u-1"
    assert [(request.method, request.path) for request in server.received] == [("POST", "/services/render")]


def test_importing_the_package_and_its_pure_parts_imports_no_http_library() -> None:
    script = """
import sys
import octa_provider, octa_provider.market.requirements
import octa_provider.market.request, octa_provider.render.frames, octa_provider.rental.key
from octa_provider import Requirements, MachineRequest, OctaError
loaded = {"requests", "urllib3", "asyncssh", "aiohttp", "airflow", "prefect"} & set(sys.modules)
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_resolves_and_an_unknown_one_says_so() -> None:
    assert "OctaClient" in octa_provider.__all__
    for name in octa_provider.__all__:
        assert getattr(octa_provider, name) is not None
    assert set(octa_provider.__all__) <= set(dir(octa_provider))
    with pytest.raises(AttributeError, match="OctaKlient"):
        _ = octa_provider.OctaKlient
