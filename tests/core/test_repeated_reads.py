"""A read that is made again is prepared once, is the same on the wire, and hides from nobody who watches requests."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from a_key import KEY
from odd_server import OddServer, answer
from requests.adapters import HTTPAdapter
from self_signed import certificate
from urllib3 import HTTPResponse

from octa_provider import OctaClient, OctaNotFoundError
from octa_provider.http.repeated_read import MOST_REMEMBERED, RepeatedReads
from octa_provider.http.session import KeyAuth, new_session

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]


def test_a_read_is_prepared_once(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, made = requests.PreparedRequest.prepare, []

    def noted(request: requests.PreparedRequest, **parts: Any) -> None:
        prepare(request, **parts)
        made.append(request.url)

    monkeypatch.setattr(requests.PreparedRequest, "prepare", noted)
    server = serve(answer(), answer(), answer(), answer(200, {}))
    client = connect(server)
    for _ in range(3):
        client.sessions.list()
    client.accounts.balance()
    assert made == [f"{server.url}/sessions", f"{server.url}/accounts/balance"]
    assert server.accepts == 1


def test_it_is_the_same_on_the_wire_as_by_a_session_of_the_callers(serve: Serve, connect: Connect) -> None:
    server = serve(answer())
    for client in (connect(server), connect(server, session=requests.Session())):
        for _ in range(2):
            client.sessions.list()
            client.nodes.list(country="a&b c", state="online")
            client.apps.list(category="ä")
            client.transport.get("/network", public=True)
    sent = [(one.method, one.path, one.headers, one.body) for one in server.received]
    own, given = sent[:8], sent[8:]
    assert own[:4] == own[4:] == given[:4] == given[4:]
    assert [headers.get("authorization") for _, _, headers, _ in own[:4]] == [KEY, KEY, KEY, None]


@pytest.mark.parametrize("name", ["request", "send", "get_adapter", "prepare_request"])
def test_whoever_watches_sessions_sees_every_read(
    name: str, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(serve(answer()))
    client.sessions.list()
    usual, seen = getattr(requests.Session, name), []

    def noted(session: requests.Session, *args: Any, **options: Any) -> Any:
        seen.append(session)
        return usual(session, *args, **options)

    monkeypatch.setattr(requests.Session, name, noted)
    client.sessions.list()
    client.sessions.list()
    assert len(seen) == 2


def test_a_stand_in_for_the_adapter_answers_in_place_of_the_network(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    def stand_in(adapter: HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url = 404, request.url or ""
        response.raw = HTTPResponse(io.BytesIO(b"{}"), preload_content=False)
        return response

    monkeypatch.setattr(HTTPAdapter, "send", stand_in)
    with pytest.raises(OctaNotFoundError):
        connect("https://api.octa.computer").sessions.list()


def test_connections_that_were_closed_are_made_anew(serve: Serve, tmp_path: Path) -> None:
    trusted = certificate(tmp_path)
    server = serve(answer(), tls=trusted.context)
    session = new_session((server.url,))
    session.verify = str(trusted.path)
    reads = RepeatedReads(session)
    for accepts in (1, 1, 2):
        read = reads.prepared(f"{server.url}/sessions", {}, {}, KeyAuth(KEY), public=False)
        response = reads.send(read, 5.0)
        assert (response.status_code, response.raw.read()) == (200, b"[]")
        assert server.accepts == accepts
        if len(server.received) == 2:
            reads.close()


def test_no_more_reads_are_remembered_than_a_process_polls() -> None:
    reads = RepeatedReads(new_session(()))

    def prepared(number: int) -> requests.PreparedRequest:
        return reads.prepared(f"https://api.octa.computer/{number}", {}, {}, KeyAuth(KEY), public=False)

    first = prepared(0)
    assert prepared(0) is first
    for number in range(1, MOST_REMEMBERED + 1):
        prepared(number)
    assert prepared(0) is not first


def test_reads_with_and_without_the_key_are_kept_apart() -> None:
    reads = RepeatedReads(new_session(()))
    url = "https://api.octa.computer/network"
    with_key = reads.prepared(url, {}, {}, KeyAuth(KEY), public=False)
    without = reads.prepared(url, {}, {}, lambda request: request, public=True)
    assert with_key.headers["Authorization"] == KEY
    assert "Authorization" not in without.headers
