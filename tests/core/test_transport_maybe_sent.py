"""Every network error says whether the request may have reached the server: a rental must know what to look for."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
import requests
from held_clock import HeldClock
from odd_server import OddServer, answer, drip, hang_up, raw, refused_port, reset, silent, truncated
from urllib3.exceptions import ConnectTimeoutError
from urllib3.util import connection as urllib3_connection

from octa_provider import OctaClient, OctaNetworkError, OctaTimeoutError
from octa_provider.timing.clock import SYSTEM_CLOCK

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]


def failure(client: OctaClient) -> OctaNetworkError:
    with pytest.raises(OctaNetworkError) as caught:
        client.services.render.start(node_id=1)
    assert caught.value.method == "POST"
    assert caught.value.url.endswith("/services/render")
    told = "may have acted" if caught.value.maybe_sent else "nothing was sent"
    assert told in str(caught.value)
    return caught.value


def test_a_refused_connection_sent_nothing(connect: Connect) -> None:
    error = failure(connect(f"http://127.0.0.1:{refused_port()}"))
    assert not error.maybe_sent
    assert not isinstance(error, OctaTimeoutError)


def test_a_name_that_does_not_resolve_sent_nothing(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert not failure(connect("https://api.octa.invalid")).maybe_sent


def test_a_connect_timeout_sent_nothing_and_is_a_timeout(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any, **kwargs: Any) -> Any:
        raise TimeoutError("timed out")

    monkeypatch.setattr(urllib3_connection, "create_connection", never)
    error = failure(connect("https://192.0.2.1"))
    assert not error.maybe_sent
    assert isinstance(error, OctaTimeoutError)


def test_a_url_that_requests_refuses_sent_nothing(connect: Connect) -> None:
    assert not failure(connect("https://a..b")).maybe_sent


def test_a_proxy_of_an_unknown_kind_sent_nothing(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "gopher://127.0.0.1:1")
    assert not failure(connect("https://api.octa.computer")).maybe_sent


@pytest.mark.parametrize("trouble", [reset, hang_up])
def test_a_connection_lost_after_the_request_may_have_sent_it(trouble: Any, serve: Serve, connect: Connect) -> None:
    server = serve(trouble)
    assert failure(connect(server)).maybe_sent
    assert len(server.received) == 1


def test_a_server_that_hangs_up_before_reading_counts_as_sent(serve: Serve, connect: Connect) -> None:
    assert failure(connect(serve(deaf=True))).maybe_sent


def test_a_read_timeout_may_have_sent_it_and_is_a_timeout(serve: Serve, connect: Connect) -> None:
    error = failure(connect(serve(silent()), timeout=0.5))
    assert error.maybe_sent
    assert isinstance(error, OctaTimeoutError)


def test_a_body_that_breaks_off_may_have_sent_it(serve: Serve, connect: Connect) -> None:
    error = failure(connect(serve(truncated(100, b'{"uuid": "u'))))
    assert error.maybe_sent
    assert "broke off" in str(error)


def test_a_body_that_falls_silent_is_a_timeout(serve: Serve, connect: Connect) -> None:
    def stall(connection: socket.socket, request: Any) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[")
        return silent()(connection, request)

    error = failure(connect(serve(stall), timeout=0.5))
    assert error.maybe_sent
    assert isinstance(error, OctaTimeoutError)


def test_a_dripping_body_ends_at_the_timeout_though_no_read_is_slow(serve: Serve, connect: Connect) -> None:
    error = failure(connect(serve(drip(b" ", 0.02, declared=100_000)), timeout=0.5, clock=SYSTEM_CLOCK))
    assert isinstance(error, OctaTimeoutError)
    assert error.maybe_sent


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
        b"I am no web server\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
def test_an_answer_that_breaks_http_may_have_sent_it(head: bytes, serve: Serve, connect: Connect) -> None:
    server = serve(raw(head, stay=False))
    assert failure(connect(server)).maybe_sent
    assert len(server.received) == 1


def test_an_error_of_an_unknown_kind_counts_as_sent(connect: Connect) -> None:
    class Strange(requests.Session):
        def request(self, *args: Any, **kwargs: Any) -> Any:
            raise requests.RequestException("strange")

    assert failure(connect("https://api.octa.computer", session=Strange())).maybe_sent


def test_causes_that_hang_together_in_a_long_chain_are_followed_only_so_far() -> None:
    from octa_provider.http.session import innermost, maybe_sent

    error: BaseException = ConnectTimeoutError("deep")
    for _ in range(30):
        error = requests.ConnectionError(error)
    assert isinstance(error, requests.RequestException)
    assert maybe_sent(error)
    assert "ConnectionError" in innermost(error)


def test_a_clients_clock_that_leaps_does_not_end_an_exchange(serve: Serve, connect: Connect) -> None:
    class Leaping(HeldClock):
        def monotonic(self) -> float:
            self.at_s += 100.0
            return self.at_s

    server = serve(answer(body=[]))
    assert list(connect(server, clock=Leaping()).sessions.list()) == []
