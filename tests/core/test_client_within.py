"""`client.within(deadline)`: the same client, for requests that must end in time and are sent once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest
from a_key import KEY
from held_clock import HeldClock
from odd_server import OddServer, Received, answer, drip, hang_up, refused_port, silent

from octa_provider import MachineRequest, OctaCancelledError, OctaClient, OctaError, OctaNetworkError, OctaServerError
from octa_provider.errors import OctaTimeoutError
from octa_provider.http.hooks import RequestContext
from octa_provider.logs.session_log import SessionLog
from octa_provider.timing.deadline import Deadline

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]


def never() -> bool:
    return False


def test_a_view_asks_over_the_same_connection_with_the_same_key_and_hooks(
    serve: Serve, connect: Connect, clock: HeldClock
) -> None:
    server, told = serve(), []
    octa = connect(server, on_request=told.append)
    octa.sessions.list()
    view = octa.within(Deadline(clock, 60.0))
    view.sessions.list()
    assert server.accepts == 1
    assert server.received[1].headers["authorization"] == KEY
    assert [type(context) for context in told] == [RequestContext] * 2
    assert (view.base_url, view.clock) == (octa.base_url, octa.clock)


@pytest.mark.parametrize("ask", [lambda view: view.sessions.list(), lambda view: view.sessions.list(retries=5)])
def test_a_view_sends_a_read_once_whoever_asks_for_retries(
    serve: Serve, connect: Connect, clock: HeldClock, ask: Callable[[OctaClient], object]
) -> None:
    server = serve(answer(503, {}))
    view = connect(server, retries=3).within(Deadline(clock, 60.0))
    with pytest.raises(OctaServerError):
        ask(view)
    assert len(server.received) == 1
    assert clock.slept == []


def test_a_view_does_not_sleep_for_what_a_server_asks(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    view = connect(serve(answer(429, {}, Retry_After="3600"))).within(Deadline(clock, 5.0))
    with pytest.raises(Exception, match="429"):
        view.sessions.list()
    assert clock.slept == []


@pytest.mark.parametrize("left_s", [1.5, 0.0, -100.0])
@pytest.mark.parametrize(
    "ask",
    [
        lambda view: view.sessions.list(),
        lambda view: view.services.start(MachineRequest(image="x"), 1),
        lambda view: view.services.session("u").stop(),
        lambda view: list(SessionLog(view, "u").new_lines()),
    ],
    ids=["a read", "a start", "a stop", "a log"],
)
def test_a_request_of_a_view_ends_by_its_deadline_or_within_a_second(
    serve: Serve, connect: Connect, clock: HeldClock, left_s: float, ask: Callable[[OctaClient], object]
) -> None:
    octa = connect(serve(silent()), timeout=3600.0)
    with pytest.raises(OctaTimeoutError):
        ask(octa.within(Deadline(clock, left_s)))


def test_a_deadline_that_has_passed_still_lets_a_stop_be_sent(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    server = serve(answer(body={}))
    connect(server).within(Deadline(clock, -1.0)).services.session("u").stop()
    assert [request.path for request in server.received] == ["/services/u/stop"]


def test_the_clients_own_timeout_holds_when_the_deadline_is_far(
    serve: Serve, connect: Connect, clock: HeldClock
) -> None:
    view = connect(serve(silent()), timeout=0.3).within(Deadline(clock, 3600.0))
    with pytest.raises(OctaTimeoutError):
        view.sessions.list()


def test_a_cancel_is_heard_while_a_body_arrives(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    server = serve(drip(b" ", 0.05, declared=10_000))
    view = connect(server, timeout=3600.0).within(Deadline(clock, 3600.0), lambda: bool(server.received))
    with pytest.raises(OctaCancelledError):
        view.sessions.list()


def test_a_cancel_is_heard_while_a_server_is_silent(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    server = serve(silent())
    view = connect(server, timeout=3600.0).within(Deadline(clock, 3600.0), lambda: bool(server.received))
    with pytest.raises(OctaCancelledError):
        list(SessionLog(view, "u").new_lines())


def test_a_cancel_never_loses_the_answer_to_a_start(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    view = connect(serve(answer(body={"uuid": "u-1"}))).within(Deadline(clock, 60.0), lambda: True)
    assert view.services.start(MachineRequest(image="x"), 1).uuid == "u-1"


def test_a_view_of_a_view_keeps_to_both(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    octa = connect(serve(silent()), timeout=3600.0)
    near, far = Deadline(clock, 0.5), Deadline(clock, 3600.0)
    for view in (octa.within(near).within(far), octa.within(far).within(near)):
        with pytest.raises(OctaTimeoutError):
            view.sessions.list()
    for view in (octa.within(far, never).within(far, lambda: True), octa.within(far, lambda: True).within(far, never)):
        with pytest.raises(OctaCancelledError):
            view.sessions.list()


def test_rentals_of_a_view_outlive_its_deadline(connect: Connect, clock: HeldClock) -> None:
    octa = connect("https://api.example")
    view = octa.within(Deadline(clock, 1.0)).within(Deadline(clock, 1.0))
    assert view.rentals is octa.rentals
    assert view.jobs is octa.jobs
    assert view.rentals.open("u").api is octa


def test_closing_a_view_closes_nothing(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    server = serve()
    octa = connect(server)
    octa.sessions.list()
    with octa.within(Deadline(clock, 60.0)) as view:
        view.sessions.list()
    octa.sessions.list()
    assert server.accepts == 1


def test_what_a_view_learns_of_a_dead_host_its_client_knows(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    server = serve()
    octa = connect(f"http://127.0.0.1:{refused_port()}", server)
    octa.within(Deadline(clock, 60.0)).sessions.list()
    assert octa.base_url == server.url


def test_a_view_moves_on_to_the_next_host_as_its_client_does(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    lost, other = serve(hang_up), serve()
    view = connect(lost, other).within(Deadline(clock, 60.0))
    with pytest.raises(OctaNetworkError) as caught:
        view.sessions.list()
    assert caught.value.maybe_sent
    view.sessions.list()
    assert (len(lost.received), len(other.received)) == (1, 1)


def test_views_of_many_threads_do_not_share_their_deadlines(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    ended: list[str] = []

    def slow(connection: socket.socket, request: Received) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not ended:
            connection.sendall(b"1\r\n \r\n")
            time.sleep(0.05)
        connection.sendall(b"0\r\n\r\n")
        return True

    octa = connect(serve(slow), timeout=3600.0)

    def ask(left_s: float, name: str) -> None:
        try:
            octa.within(Deadline(clock, left_s)).sessions.list()
        except OctaError as error:
            # Spaces are no JSON: then the whole answer came, which it does when the other has ended.
            ended.append(f"{name} {type(error).__name__}")

    threads = [threading.Thread(target=ask, args=each) for each in ((0.1, "short"), (3600.0, "long"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["long OctaDecodeError", "short OctaTimeoutError"]


def test_a_view_shows_no_key(connect: Connect, clock: HeldClock) -> None:
    view = connect("https://api.example").within(Deadline(clock, 1.0))
    assert KEY not in repr(view)
