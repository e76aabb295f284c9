"""One client, many users: one connection for many requests, many threads, a forked child."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from odd_server import OddServer, answer

from octa_provider import OctaClient, OctaNotFoundError

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]


def test_many_requests_share_one_connection(serve: Serve, connect: Connect) -> None:
    server = serve()
    client = connect(server)
    for _ in range(50):
        client.sessions.list()
        client.apps.list()
    assert len(server.received) == 100
    assert server.accepts == 1


def test_error_answers_keep_the_connection_too(serve: Serve, connect: Connect) -> None:
    server = serve(answer(404, {"message": "no"}), answer(503, b""), answer(), answer(200, {"uuid": "u"}), answer(404))
    client = connect(server)
    with pytest.raises(OctaNotFoundError):
        client.services.session("u").info()
    client.sessions.list()
    client.services.render.start(node_id=1)
    with pytest.raises(OctaNotFoundError):
        client.services.session("u").stop()
    assert server.accepts == 1


def test_the_client_is_safe_to_share_between_threads(serve: Serve, connect: Connect) -> None:
    def named(connection: object, request: object) -> bool:
        uuid = request.path.split("/")[2]  # type: ignore[attr-defined]
        return answer(200, {"uuid": uuid})(connection, request)  # type: ignore[arg-type]

    server = serve(named)
    client = connect(server)
    together = threading.Barrier(32)

    def ask(number: int) -> None:
        together.wait()
        for step in range(10):
            uuid = f"{number}-{step}"
            assert client.services.session(uuid).info().uuid == uuid

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(ask, range(32)))
    assert len(server.received) == 320
    assert server.accepts <= 32


def test_threads_that_make_the_first_request_at_once_share_one_session(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, asked_by = requests.Session.request, []

    def noted(session: requests.Session, *args: Any, **options: Any) -> requests.Response:
        asked_by.append(session)
        return request(session, *args, **options)

    monkeypatch.setattr(requests.Session, "request", noted)
    client = connect(serve(answer(body=[])))
    together = threading.Barrier(16)

    def ask(_: int) -> None:
        together.wait()
        client.sessions.list()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(16)))
    assert len(asked_by) == 16
    assert len(set(map(id, asked_by))) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_makes_connections_of_its_own(serve: Serve, connect: Connect) -> None:
    server = serve()
    client = connect(server)
    client.sessions.list()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            client.sessions.list()
            client.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client.sessions.list()
    assert [request.connection for request in server.received] == [1, 2, 1]
