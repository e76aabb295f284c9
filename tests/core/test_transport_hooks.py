"""Hooks: what they are told, for each attempt, and that a broken one does no harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from held_clock import HeldClock
from odd_server import OddServer, answer, hang_up, refused_port

from octa_provider import OctaClient, OctaNetworkError, RequestContext, ResponseContext

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]


def test_every_attempt_is_told_before_and_after(serve: Serve, connect: Connect) -> None:
    events: list[Any] = []
    server = serve(answer(503, {"message": "busy"}, x_request_id="r-1"), hang_up, answer(200, [], x_request_id="r-3"))
    connect(server, on_request=events.append, on_response=events.append).sessions.list(recent=True)
    assert [type(event) for event in events] == [RequestContext, ResponseContext] * 3
    assert {(event.method, event.url) for event in events} == {("GET", f"{server.url}/sessions")}
    assert [event.attempt for event in events] == [1, 1, 2, 2, 3, 3]
    answers = events[1::2]
    assert [event.status for event in answers] == [503, None, 200]
    assert [event.request_id for event in answers] == ["r-1", None, "r-3"]
    assert "busy" in answers[0].error
    assert "may have acted" in answers[1].error
    assert answers[2].error is None


def test_each_base_url_of_one_attempt_is_told(serve: Serve, connect: Connect) -> None:
    events: list[RequestContext] = []
    server = serve()
    dead = f"http://127.0.0.1:{refused_port()}"
    connect(dead, server, on_request=events.append).sessions.list()
    assert [(event.url, event.attempt) for event in events] == [
        (f"{dead}/sessions", 1),
        (f"{server.url}/sessions", 1),
    ]


def test_the_duration_reaches_to_the_last_byte(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    def slow(connection: Any, request: Any) -> bool:
        clock.at_s += 2.5
        return answer()(connection, request)

    events: list[ResponseContext] = []
    connect(serve(slow), on_response=events.append).sessions.list()
    assert events[0].duration_s == pytest.approx(2.5)


def test_a_hook_that_raises_neither_loses_the_answer_nor_the_error(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(context: object) -> None:
        raise RuntimeError("my hook is broken")

    client = connect(serve(answer(200, {"uuid": "u-1"}), hang_up), on_request=broken, on_response=broken)
    assert client.services.render.start(node_id=1).uuid == "u-1"
    with pytest.raises(OctaNetworkError):
        client.services.render.start(node_id=1)
    assert caplog.text.count("my hook is broken") >= 4


def test_a_hook_can_still_interrupt_the_program(serve: Serve, connect: Connect) -> None:
    def interrupt(context: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        connect(serve(), on_request=interrupt).sessions.list()
