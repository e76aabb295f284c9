"""TLS is verified; the environment's certificates and proxies are honoured; its `~/.netrc` never replaces the key."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from a_key import KEY
from odd_server import OddServer, Received, answer, hang_up, raw, redirect, refused_port
from self_signed import Certificate, certificate

from octa_provider import OctaClient, OctaConfigError, OctaNetworkError

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


def test_an_untrusted_certificate_is_refused_and_nothing_was_sent(
    serve: Serve, connect: Connect, trusted: Certificate
) -> None:
    server = serve(tls=trusted.context)
    with pytest.raises(OctaNetworkError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        connect(server).services.render.start(node_id=1)
    assert not caught.value.maybe_sent
    assert server.received == []


def test_a_certificate_for_another_host_is_refused(
    serve: Serve, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = certificate(tmp_path, "127.0.0.2")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.path))
    server = serve(tls=other.context)
    with pytest.raises(OctaNetworkError) as caught:
        connect(server).services.render.start(node_id=1)
    assert not caught.value.maybe_sent
    assert server.received == []


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environments_certificates_are_trusted(
    name: str, serve: Serve, connect: Connect, trusted: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(trusted.path))
    server = serve(tls=trusted.context)
    connect(server).sessions.list()
    assert server.received[0].headers["authorization"] == KEY


def test_certificates_that_do_not_exist_are_told_by_the_variables_name(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nothing.pem"))
    with pytest.raises(OctaConfigError, match="REQUESTS_CA_BUNDLE"):
        connect("https://127.0.0.1:1").sessions.list()


def test_a_given_sessions_missing_certificates_are_an_error_of_ours(connect: Connect, tmp_path: Path) -> None:
    session = requests.Session()
    session.verify = str(tmp_path / "nothing.pem")
    with pytest.raises(OctaConfigError, match=r"nothing\.pem"):
        connect("https://127.0.0.1:1", session=session).sessions.list()


def test_a_server_that_speaks_no_tls_never_sees_the_key(serve: Serve, connect: Connect) -> None:
    server = serve(raw(b"HTTP/1.1 400 X\r\n\r\n", stay=False))
    with pytest.raises(OctaNetworkError):
        connect(f"https://127.0.0.1:{server.port}", retries=0, timeout=0.2).sessions.list()
    assert KEY not in repr(server.received)


def test_a_server_that_hangs_up_in_the_handshake_is_a_network_error(serve: Serve, connect: Connect) -> None:
    server = serve(deaf=True)
    with pytest.raises(OctaNetworkError):
        connect(f"https://127.0.0.1:{server.port}").services.render.start(node_id=1)


def test_a_redirect_from_https_to_plain_http_is_refused(
    serve: Serve, connect: Connect, trusted: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted.path))
    server = serve(redirect(302, "http://api.octa.computer/sessions"), tls=trusted.context)
    with pytest.raises(OctaConfigError, match="plain http"):
        connect(server).sessions.list()


def test_a_netrc_never_replaces_the_key(
    serve: Serve, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\nmachine localhost login some password one\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server = serve(answer(), answer(), answer(200, {}), answer(200, {}))
    mine = requests.Session()
    for session in (None, mine):
        connect(server, session=session).sessions.list()
    for session in (None, mine):
        connect(server, session=session).network.get()
    assert [request.headers.get("authorization") for request in server.received] == [KEY, KEY, None, None]


class Tunnel(OddServer):
    """A proxy: answers plain requests itself, opens tunnels to loopback for CONNECT."""

    def __init__(self, *steps: Callable[[socket.socket, Received], bool]) -> None:
        super().__init__(*(steps or (self._forward,)))

    @staticmethod
    def _forward(connection: socket.socket, request: Received) -> bool:
        if request.method != "CONNECT":
            return answer()(connection, request)
        port = int(request.path.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as far:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(far, connection), daemon=True)
            back.start()
            _pump(connection, far)
            back.join(60)
        return False


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_the_environments_proxy_is_used(name: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with Tunnel() as proxy:
        monkeypatch.setenv(name, proxy.url)
        connect("http://octa.test", allow_http=True).sessions.list()
    assert proxy.received[0].path == "http://octa.test/sessions"


def test_no_proxy_is_honoured(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with Tunnel() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "octa.invalid")
        with pytest.raises(OctaNetworkError):
            connect("http://octa.invalid", allow_http=True, retries=0).sessions.list()
    assert proxy.accepts == 0


def test_the_proxy_sees_neither_key_nor_path_of_an_https_request(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = "198.51.100.7"
    far = certificate(tmp_path, address)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(far.path))
    with OddServer(tls=far.context) as server, Tunnel() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        connect(f"https://{address}:{server.port}").sessions.list()
    assert [(request.method, request.path) for request in proxy.received] == [("CONNECT", f"{address}:{server.port}")]
    assert KEY not in repr(proxy.received)
    assert server.received[0].headers["authorization"] == KEY


def test_a_redirect_to_another_host_goes_through_the_proxy_too(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Tunnel(redirect(302, "http://store.test/file"), answer()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        connect("http://octa.test", allow_http=True).sessions.list()
    assert [request.path for request in proxy.received] == ["http://octa.test/sessions", "http://store.test/file"]
    assert [request.headers.get("authorization") for request in proxy.received] == [KEY, None]


def test_plain_http_to_this_machine_never_goes_through_a_proxy(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    with Tunnel() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("all_proxy", proxy.url)
        connect(server).sessions.list()
    assert proxy.accepts == 0
    assert len(server.received) == 1


def test_a_proxy_that_refuses_the_connection_sent_nothing(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{refused_port()}")
    with pytest.raises(OctaNetworkError) as caught:
        connect("https://198.51.100.7").services.render.start(node_id=1)
    assert not caught.value.maybe_sent


def test_a_proxy_that_refuses_its_tunnel_sent_nothing(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with Tunnel(raw(b"HTTP/1.1 403 Forbidden\r\n\r\n", stay=False)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(OctaNetworkError, match="403") as caught:
            connect("https://198.51.100.7").services.render.start(node_id=1)
    assert not caught.value.maybe_sent
    assert len(proxy.received) == 1


def test_a_proxy_that_loses_a_plain_request_may_have_sent_it(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with Tunnel(hang_up) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.raises(OctaNetworkError) as caught:
            connect("http://octa.test", allow_http=True).services.render.start(node_id=1)
    assert caught.value.maybe_sent


def test_a_proxys_password_is_in_no_error(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://user:proxy-secret@127.0.0.1:{refused_port()}")
    with pytest.raises(OctaNetworkError) as caught:
        connect("https://198.51.100.7", retries=0).sessions.list()
    assert "proxy-secret" not in str(caught.value)
