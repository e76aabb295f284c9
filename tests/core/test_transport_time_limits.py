"""Every exchange ends in time, whatever the server does with its bytes."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from a_key import KEY
from odd_server import OddServer, Step, answer, chunked, drip, dripping, endless, raw, silent
from self_signed import certificate

from octa_provider import MachineRequest, OctaClient, OctaError, OctaNetworkError, OctaTimeoutError
from octa_provider.logs.session_log import SessionLog

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]
#: The servers below would go on for longer: an exchange that ends in this time was ended by its limit.
LONG_S = 600.0

HEADERS_BYTE_BY_BYTE = dripping(b"HTTP/1.1 200 OK\r\nX-Filler: " + b"a" * 1000, 0.1)
SLOW_HEADERS = dripping(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(99)), 0.1)
CONTINUES = endless(b"HTTP/1.1 100 Continue\r\n\r\n", 0.01)
CONTINUES_AT_FULL_SPEED = endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0.0)
BODY = drip(b" ", 0.1, declared=1000)
OPEN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks_without_end(connection: socket.socket, request: object) -> bool:
    connection.sendall(OPEN_CHUNKS + b'e\r\n{"container":"\r\n')
    while True:
        connection.sendall(b"1\r\nx\r\n")
        time.sleep(0.1)


def a_chunk_size_without_end(connection: socket.socket, request: object) -> bool:
    connection.sendall(OPEN_CHUNKS)
    while True:
        connection.sendall(b"0")
        time.sleep(0.1)


STALLS = {
    "headers byte by byte": HEADERS_BYTE_BY_BYTE,
    "slow headers": SLOW_HEADERS,
    "100 Continue without end": CONTINUES,
    "100 Continue at full speed": CONTINUES_AT_FULL_SPEED,
    "a body that drips": BODY,
    "chunks without end": chunks_without_end,
    "a chunk size without end": a_chunk_size_without_end,
    "silence": silent(),
}
CALLS: dict[str, Callable[[OctaClient], object]] = {
    "a read": lambda octa: octa.accounts.get(),
    "a start": lambda octa: octa.services.start(MachineRequest(image="x"), 1),
    "a stop": lambda octa: octa.services.session("u").stop(),
    "a log": lambda octa: list(SessionLog(octa, "u").new_lines()),
    "a download": lambda octa: octa.nodes.download_logs(1, io.BytesIO()),
}


@pytest.fixture(params=list(STALLS))
def stall(request: pytest.FixtureRequest) -> Step:
    return STALLS[request.param]


def ends_in_time(call: Callable[[], object]) -> OctaError | None:
    """What the call raised; fails when it does not end."""
    raised: list[OctaError | None] = []

    def run() -> None:
        try:
            call()
            raised.append(None)
        except OctaError as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LONG_S)
    assert raised, "the exchange did not end"
    return raised[0]


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_server_that_stalls_can_not_hold_an_exchange_beyond_its_timeout(
    serve: Serve, connect: Connect, stall: Step, call: Callable[[OctaClient], object]
) -> None:
    octa = connect(serve(stall), timeout=0.5, retries=0)
    error = ends_in_time(lambda: call(octa))
    assert isinstance(error, OctaTimeoutError)
    assert error.maybe_sent


def test_the_same_holds_over_tls(
    serve: Serve, connect: Connect, stall: Step, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ours.path))
    octa = connect(serve(stall, tls=ours.context), timeout=0.5, retries=0)
    assert isinstance(ends_in_time(lambda: octa.sessions.list()), OctaTimeoutError)


def test_a_tls_handshake_that_never_ends_is_bounded_and_nothing_was_sent(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        octa = connect(f"https://127.0.0.1:{deaf.getsockname()[1]}", timeout=0.5, retries=0)
        error = ends_in_time(lambda: octa.services.start(MachineRequest(image="x"), 1))
    assert isinstance(error, OctaTimeoutError)
    assert not error.maybe_sent


def test_a_proxy_that_drips_its_answer_to_connect_is_bounded_and_nothing_was_sent(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(HEADERS_BYTE_BY_BYTE)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with OctaClient(KEY, base_url="https://api.example", timeout=0.5, retries=0) as octa:
        error = ends_in_time(lambda: octa.services.start(MachineRequest(image="x"), 1))
    assert isinstance(error, OctaTimeoutError)
    assert not error.maybe_sent


def test_a_name_that_takes_long_to_look_up_is_bounded_and_nothing_was_sent(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    over = threading.Event()

    def look_up(*args: object, **options: object) -> list[object]:
        asked.set()
        over.wait(1000.0)
        raise socket.gaierror(socket.EAI_AGAIN, "late")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    octa = connect("https://api.example", timeout=0.5, retries=0)
    error = ends_in_time(lambda: octa.services.start(MachineRequest(image="x"), 1))
    over.set()
    assert asked.is_set()
    assert isinstance(error, OctaTimeoutError)
    assert not error.maybe_sent


def test_all_the_addresses_of_a_name_share_one_timeout(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []

    def connection(self: socket.socket, address: object) -> None:
        tried.append(self.gettimeout() or 0.0)
        time.sleep(self.gettimeout() or 0.0)
        raise TimeoutError("timed out")

    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{n}", 443)) for n in range(200)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: addresses)
    monkeypatch.setattr(socket.socket, "connect", connection)
    octa = connect("https://api.example", timeout=0.5, retries=0)
    assert isinstance(ends_in_time(lambda: octa.sessions.list()), OctaTimeoutError)


def test_a_name_with_an_address_that_is_dead_is_reached_at_the_next_one(serve: Serve, connect: Connect) -> None:
    # `localhost` is ::1 too, where this server does not listen.
    server = serve(answer(body=[]))
    assert list(connect(f"http://localhost:{server.port}").sessions.list()) == []


def test_a_kept_connection_is_bounded_as_a_new_one(serve: Serve, connect: Connect, stall: Step) -> None:
    server = serve(answer(body=[]), stall)
    octa = connect(server, retries=0)
    octa.sessions.list()
    assert isinstance(ends_in_time(lambda: octa.sessions.list(timeout=0.5)), OctaTimeoutError)
    assert server.accepts == 1


def test_a_session_of_the_callers_own_has_its_body_bounded(serve: Serve, connect: Connect) -> None:
    import requests

    with requests.Session() as own:
        octa = connect(serve(BODY), timeout=0.5, retries=0, session=own)
        assert isinstance(ends_in_time(lambda: octa.sessions.list()), OctaTimeoutError)


def test_an_honest_log_may_take_longer_than_the_timeout(serve: Serve, connect: Connect) -> None:
    piece = b"line of a long log\\n" * 3000

    def steady(connection: socket.socket, request: object) -> bool:
        connection.sendall(OPEN_CHUNKS + b'e\r\n{"container":"\r\n')
        for _ in range(20):
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(0.1)
        connection.sendall(b'2\r\n"}\r\n0\r\n\r\n')
        return True

    octa = connect(serve(steady), timeout=1.0, retries=0)
    for _ in range(30):
        # On a busy computer the server itself may say nothing for a second.
        with contextlib.suppress(OctaTimeoutError):
            assert sum(1 for _ in SessionLog(octa, "u").new_lines()) == 20 * 3000
            return
    raise AssertionError("it was ended each time")


def test_a_burst_does_not_buy_time_for_a_drip(serve: Serve, connect: Connect) -> None:
    burst = b"x" * 4_000_000

    def step(connection: socket.socket, request: object) -> bool:
        connection.sendall(OPEN_CHUNKS + b'e\r\n{"container":"\r\n%x\r\n%s\r\n' % (len(burst), burst))
        while True:
            connection.sendall(b"1\r\nx\r\n")
            time.sleep(0.1)

    octa = connect(serve(step), timeout=0.5, retries=0)
    assert isinstance(ends_in_time(lambda: list(SessionLog(octa, "u").new_lines())), OctaTimeoutError)


@pytest.mark.no_cover  # It is 20 MB of the same few lines.
def test_a_request_that_nobody_takes_is_bounded(connect: Connect) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with listener:
        octa = connect(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.5, retries=0)
        request = MachineRequest(image="x", envs={"BIG": "b" * 20_000_000})
        error = ends_in_time(lambda: octa.services.start(request, 1))
    assert isinstance(error, OctaNetworkError)
    assert error.maybe_sent


def test_a_connection_serves_on_after_an_answer_in_pieces(serve: Serve, connect: Connect) -> None:
    server = serve(
        chunked(b"[", b"]"), raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
    )
    octa = connect(server)
    assert [*octa.sessions.list(), *octa.sessions.list()] == []
    assert server.accepts == 1
