"""What can't be mended by asking again fails at once; a host that has ever answered is waited for."""

from __future__ import annotations

import pickle
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from a_key import KEY
from held_clock import HeldClock
from odd_server import OddServer, answer, raw, refused_port
from self_signed import Certificate, certificate

from octa_provider import MachineRequest, OctaClient, OctaNetworkError
from octa_provider.timing.asking import ask_until, is_fatal, is_transient
from octa_provider.timing.deadline import Deadline

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]
PROXY_NAMES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


def failure(octa: OctaClient) -> OctaNetworkError:
    """What a read fails with, and a start in the same way."""
    with pytest.raises(OctaNetworkError) as started:
        octa.services.start(MachineRequest(image="x"), 1)
    with pytest.raises(OctaNetworkError) as caught:
        octa.sessions.list()
    assert started.value.final is caught.value.final
    assert not started.value.maybe_sent
    assert KEY not in str(caught.value)
    return caught.value


def is_raised_at_once(octa: OctaClient, clock: HeldClock) -> None:
    """A wait of five minutes, and the transport itself, do not ask a second time."""
    clock.slept.clear()
    with pytest.raises(OctaNetworkError):
        ask_until(Deadline(clock, 300.0), octa.sessions.list)
    assert clock.slept == []


def test_a_certificate_that_nobody_vouches_for_is_final(
    serve: Serve, connect: Connect, clock: HeldClock, untrusted: Certificate
) -> None:
    octa = connect(serve(tls=untrusted.context))
    error = failure(octa)
    assert error.final
    assert not is_transient(error)
    assert "the certificate of 127.0.0.1 can't be verified (self" in str(error)
    assert "REQUESTS_CA_BUNDLE" in str(error)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    is_raised_at_once(octa, clock)


def test_a_certificate_of_another_host_is_final(
    serve: Serve, connect: Connect, clock: HeldClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = certificate(tmp_path, "127.0.0.2")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.path))
    octa = connect(serve(tls=other.context))
    assert "mismatch" in str(failure(octa))
    is_raised_at_once(octa, clock)


def old_tls(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def test_a_server_of_an_old_tls_version_is_final(
    serve: Serve, connect: Connect, clock: HeldClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ours.path))
    with pytest.warns(DeprecationWarning, match="TLS"):
        old_tls(ours.context)
    octa = connect(serve(tls=ours.context))
    error = failure(octa)
    assert error.final
    assert "no TLS connection to 127.0.0.1 is possible" in str(error)
    is_raised_at_once(octa, clock)


@pytest.fixture
def speaks_no_tls() -> Iterator[int]:
    """The port of a server that answers whatever comes with plain HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_a_port_that_speaks_no_tls_is_final(connect: Connect, clock: HeldClock, speaks_no_tls: int) -> None:
    octa = connect(f"https://127.0.0.1:{speaks_no_tls}")
    assert "check the scheme and the port" in str(failure(octa))
    is_raised_at_once(octa, clock)


@pytest.mark.parametrize("name", PROXY_NAMES)
@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        ("foo://127.0.0.1:1", "of a scheme that is not known"),
        ("socks5://127.0.0.1:1", r"pip install 'requests\[socks\]'"),
        ("socks5h://user:proxy-secret@127.0.0.1:1", r"pip install 'requests\[socks\]'"),
        ("http://", "whose URL is none"),
    ],
)
def test_a_proxy_that_can_not_be_used_is_final(
    connect: Connect, clock: HeldClock, monkeypatch: pytest.MonkeyPatch, name: str, proxy: str, told: str
) -> None:
    monkeypatch.setenv(name, proxy)
    octa = connect("https://198.51.100.7")
    error = failure(octa)
    assert error.final
    with pytest.raises(OctaNetworkError, match=told):
        raise error
    assert "proxy-secret" not in str(error)
    is_raised_at_once(octa, clock)


@pytest.mark.parametrize("status", [403, 407])
def test_a_proxy_that_lets_nothing_through_is_final(
    serve: Serve, connect: Connect, clock: HeldClock, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", serve(raw(b"HTTP/1.1 %d No\r\n\r\n" % status, stay=False)).url)
    octa = connect("https://198.51.100.7")
    assert f"refuses to connect to 198.51.100.7 ({status})" in str(failure(octa))
    is_raised_at_once(octa, clock)


def test_a_proxy_whose_tunnel_fails_for_now_is_waited_for(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", serve(raw(b"HTTP/1.1 503 Later\r\n\r\n", stay=False)).url)
    assert not failure(connect("https://198.51.100.7")).final


@pytest.fixture
def no_such_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names nobody knows: what a resolver without a network would say is another thing."""

    def look_up(*args: object, **options: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.usefixtures("no_such_host")
def test_a_proxy_that_does_not_exist_is_final(
    connect: Connect, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://no-such-host.invalid:3128")
    octa = connect("https://198.51.100.7")
    assert "there is no host of this name: the proxy" in str(failure(octa))
    is_raised_at_once(octa, clock)


@pytest.mark.usefixtures("no_such_host")
def test_a_host_that_does_not_exist_is_final(connect: Connect, clock: HeldClock) -> None:
    octa = connect("https://no-such-host.invalid")
    error = failure(octa)
    assert error.final
    assert "there is no host of this name: no-such-host.invalid" in str(error)
    is_raised_at_once(octa, clock)


def test_a_host_whose_name_no_url_can_hold_is_final(connect: Connect, clock: HeldClock) -> None:
    octa = connect(f"https://{'a' * 64}.example")
    assert failure(octa).final
    is_raised_at_once(octa, clock)


def test_a_name_that_can_not_be_looked_up_now_has_a_short_wait(
    connect: Connect, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*args: object, **options: object) -> object:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    octa = connect("https://api.example", retries=0)
    assert "can't be looked up now" in str(failure(octa))
    began = clock.at_s
    with pytest.raises(OctaNetworkError):
        ask_until(Deadline(clock, 300.0), octa.sessions.list)
    assert 10 <= clock.at_s - began <= 30


@pytest.mark.parametrize("through_proxy", [False, True])
def test_refused_connections_have_a_short_wait_and_a_line_at_once(
    connect: Connect,
    clock: HeldClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    through_proxy: bool,
) -> None:
    url = f"http://127.0.0.1:{refused_port()}"
    if through_proxy:
        monkeypatch.setenv("HTTPS_PROXY", url)
    octa = connect("https://198.51.100.7" if through_proxy else url, retries=0)
    began = clock.at_s
    with pytest.raises(OctaNetworkError, match="refuses connections") as caught:
        ask_until(Deadline(clock, 300.0), octa.sessions.list)
    assert not caught.value.final
    assert 10 <= clock.at_s - began <= 30
    told = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 1
    assert "refuses connections" in told[0].getMessage()
    # Whoever goes on asking, as a stop would, hears it at once.
    is_raised_at_once(octa, clock)


def test_a_server_that_starts_within_the_short_wait_is_reached(clock: HeldClock) -> None:
    port = refused_port()
    with OctaClient(KEY, base_url=f"http://127.0.0.1:{port}", clock=clock, retries=0) as octa:
        asked: list[int] = []

        def question() -> int:
            asked.append(1)
            if len(asked) < 4:
                return len(octa.sessions.list())
            with OddServer(answer(body=[]), port=port):
                return len(octa.sessions.list())

        assert ask_until(Deadline(clock, 300.0), question) == 0


def test_the_short_wait_begins_anew_after_a_while(connect: Connect, clock: HeldClock) -> None:
    octa = connect(f"http://127.0.0.1:{refused_port()}", retries=0)
    for _ in range(2):
        began = clock.at_s
        with pytest.raises(OctaNetworkError):
            ask_until(Deadline(clock, 300.0), octa.sessions.list)
        assert 10 <= clock.at_s - began <= 30
        clock.sleep(3600.0)


class StartsLate(HeldClock):
    """Starts a server on a port when 100 s have been slept."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.server: OddServer | None = None

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.at_s > 100 and self.server is None:
            gone = {"uuid": "u-1", "finished_at": 1_700_000_000_000}
            self.server = OddServer(answer(body={}), answer(body=[]), answer(body=[gone]), port=self.port)


def test_a_stop_in_a_new_process_waits_for_an_api_that_is_being_restarted() -> None:
    """It has never had an answer, and connections are refused: but there is a machine to stop."""
    clock = StartsLate(refused_port())
    with OctaClient(KEY, base_url=f"http://127.0.0.1:{clock.port}", clock=clock) as octa:
        octa.rentals.open("u-1").stop(deadline_s=300.0)
    assert clock.server is not None
    clock.server.close()


def test_what_breaks_after_a_host_has_answered_is_an_outage(
    serve: Serve, connect: Connect, clock: HeldClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = certificate(tmp_path), certificate(tmp_path, "127.0.0.2")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ours.path))
    server = serve(answer(body=[], Connection="close"), tls=ours.context)
    octa = connect(server, retries=0)
    octa.sessions.list()
    ours.context.load_cert_chain(other.path, other.path.with_suffix(".key"))
    error = failure(octa)
    assert "can't be verified" in str(error)
    assert not error.final
    assert is_transient(error)
    server.close()
    for _ in range(3):
        clock.sleep(10.0)
        assert not failure(octa).final


def test_what_an_error_answer_comes_from_has_answered(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    server = serve(answer(503, {}, Connection="close"))
    octa = connect(server, retries=0)
    with pytest.raises(Exception, match="503"):
        octa.sessions.list()
    server.close()
    for _ in range(3):
        clock.sleep(10.0)
        assert not failure(octa).final


def test_with_several_base_urls_one_that_may_come_back_is_enough(
    serve: Serve, connect: Connect, untrusted: Certificate
) -> None:
    hopeless = serve(tls=untrusted.context)
    hopeful = f"http://127.0.0.1:{refused_port()}"
    for urls in ((hopeless, hopeful), (hopeful, hopeless)):
        assert not failure(connect(*urls, retries=0)).final
    other = serve(tls=untrusted.context)
    assert failure(connect(hopeless, other)).final


def test_a_silent_server_is_never_final(connect: Connect, clock: HeldClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        octa = connect(f"https://127.0.0.1:{deaf.getsockname()[1]}", timeout=0.2, retries=0)
        for _ in range(3):
            clock.sleep(10.0)
            with pytest.raises(OctaNetworkError) as caught:
                octa.sessions.list()
            assert not caught.value.final


def test_finality_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(OctaNetworkError("x", maybe_sent=False, final=True, unreached_s=3.0)))
    assert (error.final, error.unreached_s) == (True, 3.0)
    assert (OctaNetworkError("x").final, OctaNetworkError("x").unreached_s) == (False, None)


def test_who_watches_many_sessions_does_not_wait_for_what_is_final() -> None:
    assert is_fatal(OctaNetworkError("x", final=True))
    assert not is_fatal(OctaNetworkError("x", unreached_s=600.0))
