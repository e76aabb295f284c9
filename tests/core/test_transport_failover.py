"""Several base URLs: a failed connection moves on, unless bytes of a side effect may have been sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from held_clock import HeldClock
from odd_server import OddServer, answer, hang_up, refused_port, reset, truncated

from octa_provider import OctaClient, OctaNetworkError, OctaServerError

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]
STARTED = answer(body={"uuid": "u-1"})


def nobody() -> str:
    return f"http://127.0.0.1:{refused_port()}"


def test_a_refused_connection_moves_on_to_the_next_base_url_at_once(
    serve: Serve, connect: Connect, clock: HeldClock
) -> None:
    server = serve()
    connect(nobody(), nobody(), server, retries=0).sessions.list()
    assert len(server.received) == 1
    assert clock.slept == []


def test_a_post_moves_on_too_because_nothing_was_sent(serve: Serve, connect: Connect) -> None:
    server = serve(STARTED)
    assert connect(nobody(), server).services.render.start(node_id=1).uuid == "u-1"
    assert [request.method for request in server.received] == ["POST"]


@pytest.mark.parametrize("trouble", [hang_up, reset, truncated(50, b"{")])
def test_a_post_whose_bytes_may_have_been_sent_never_moves_on(trouble: Any, serve: Serve, connect: Connect) -> None:
    first, second = serve(trouble), serve(STARTED)
    with pytest.raises(OctaNetworkError) as caught:
        connect(first, second).services.render.start(node_id=1)
    assert caught.value.maybe_sent
    assert len(first.received) == 1
    assert second.accepts == 0


def test_an_error_status_is_an_answer_and_moves_nothing(serve: Serve, connect: Connect) -> None:
    first, second = serve(answer(500)), serve(STARTED)
    with pytest.raises(OctaServerError):
        connect(first, second).services.render.start(node_id=1)
    assert second.accepts == 0


def test_a_get_that_broke_off_is_tried_again_at_the_next_base_url(serve: Serve, connect: Connect) -> None:
    first, second = serve(hang_up), serve()
    connect(first, second).sessions.list()
    assert (len(first.received), len(second.received)) == (1, 1)


def test_the_base_url_that_answered_stays_in_use(serve: Serve, connect: Connect) -> None:
    server = serve()
    dead = nobody()
    attempts: list[str] = []
    client = connect(dead, server, on_request=lambda context: attempts.append(context.url))
    assert client.base_url == dead
    client.sessions.list()
    client.sessions.list()
    assert client.base_url == server.url
    assert attempts == [f"{dead}/sessions", f"{server.url}/sessions", f"{server.url}/sessions"]


def test_after_the_last_base_url_comes_the_first_again(serve: Serve, connect: Connect) -> None:
    first, second = serve(), serve()
    client = connect(first, second)
    client.sessions.list()
    first.close()
    client.sessions.list()
    second.close()
    with pytest.raises(OctaNetworkError) as caught:
        client.sessions.list(retries=0)
    assert client.base_url in {first.url, second.url}
    assert caught.value.url.endswith("/sessions")


def test_when_all_refuse_the_error_says_that_nothing_was_sent(connect: Connect) -> None:
    with pytest.raises(OctaNetworkError, match="nothing was sent") as caught:
        connect(nobody(), nobody()).services.render.start(node_id=1)
    assert not caught.value.maybe_sent


def test_the_same_base_url_twice_counts_once(serve: Serve, connect: Connect) -> None:
    dead = nobody()
    attempts: list[str] = []
    client = connect(dead, dead + "/", retries=0, on_request=lambda context: attempts.append(context.url))
    with pytest.raises(OctaNetworkError):
        client.sessions.list()
    assert attempts == [f"{dead}/sessions"]
