"""Answers: every status its error, every body read whole, within a size, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from odd_server import OddServer, answer, chunked, raw, truncated, zipped

import octa_provider
from octa_provider import OctaClient, OctaDecodeError, OctaNetworkError, OctaRejectedError

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "OctaApiError"),
        (401, "OctaAuthenticationError"),
        (402, "OctaApiError"),
        (403, "OctaForbiddenError"),
        (404, "OctaNotFoundError"),
        (422, "OctaValidationError"),
        (429, "OctaRateLimitError"),
        (500, "OctaServerError"),
        (503, "OctaServerError"),
        (599, "OctaServerError"),
        (304, "OctaApiError"),
        (799, "OctaApiError"),
    ],
)
def test_every_error_status_has_its_error_with_its_attributes(
    status: int, kind: str, serve: Serve, connect: Connect
) -> None:
    body = {"message": "so it is", "code": "E42"}
    server = serve(answer(status, b"" if status == 304 else body, x_request_id="req-9"))
    with pytest.raises(octa_provider.OctaApiError) as caught:
        connect(server, retries=0).sessions.list()
    error = caught.value
    assert type(error).__name__ == kind
    assert (error.status, error.request_id, error.method) == (status, "req-9", "GET")
    assert error.url == f"{server.url}/sessions"
    if status != 304:
        assert (error.code, "E42" in error.body) == ("E42", True)
        assert "so it is" in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>\nnope", b"[1]", b'{"error": "why"}', b'{"detail": null}', b"\xff\xfe"])
def test_an_error_body_may_be_anything(body: bytes, serve: Serve, connect: Connect) -> None:
    with pytest.raises(octa_provider.OctaNotFoundError) as caught:
        connect(serve(answer(404, body))).services.session("u").info()
    assert "404 Not Found" in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"HTTP/1.1 422 X\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 422 X\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000,
    ],
)
def test_an_error_body_that_breaks_off_or_has_no_end_does_not_hide_the_status(
    body: bytes, serve: Serve, connect: Connect
) -> None:
    with pytest.raises(octa_provider.OctaValidationError) as caught:
        connect(serve(raw(body, stay=False))).services.render.start(node_id=1)
    assert caught.value.body == ""


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_2xx_is_success(status: int, serve: Serve, connect: Connect) -> None:
    assert connect(serve(answer(status, [{"uuid": "u-1"}]))).services.render.start(node_id=1).uuid == "u-1"


@pytest.mark.parametrize("status", [200, 204])
def test_calls_without_a_result_take_an_empty_answer(status: int, serve: Serve, connect: Connect) -> None:
    client = connect(serve(answer(status, b"")))
    client.services.session("u").stop()
    client.nodes.reboot(1)
    client.nodes.update_prices(1, base_wei=1, storage_wei=2, traffic_wei=3)


def test_a_2xx_that_starts_nothing_is_a_rejection(serve: Serve, connect: Connect) -> None:
    server = serve(answer(200, [{"id": 0, "status": 1, "reason": "Node not found"}]))
    with pytest.raises(OctaRejectedError) as caught:
        connect(server).services.mr.start(node_id=7, image="blender:4.5")
    assert caught.value.reason == "Node not found"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"sessions": []}', b"null", b'"text"'])
def test_an_answer_that_is_not_what_it_must_be_is_a_decode_error(body: bytes, serve: Serve, connect: Connect) -> None:
    with pytest.raises(OctaDecodeError) as caught:
        connect(serve(answer(200, body))).sessions.list()
    assert "GET" in caught.value.what
    assert len(caught.value.body) <= len(body) + 1


def test_chunked_and_zipped_answers_are_read_whole(serve: Serve, connect: Connect) -> None:
    text = b'[{"uuid": "' + b"u" * 100_000 + b'"}]'
    server = serve(
        chunked(text[:7], text[7:50_000], text[50_000:]), zipped(text), chunked(*[bytes([b]) for b in b"[]"])
    )
    client = connect(server)
    for _ in range(2):
        (session,) = client.sessions.list()
        assert len(session.uuid) == 100_000
    assert list(client.sessions.list()) == []
    assert server.accepts == 1


def test_chunks_that_end_early_are_a_network_error(serve: Serve, connect: Connect) -> None:
    with pytest.raises(OctaNetworkError, match="broke off"):
        connect(serve(chunked(b"[", end=False)), retries=0).sessions.list()


def test_a_truncated_answer_is_never_taken_for_a_whole_one(serve: Serve, connect: Connect) -> None:
    with pytest.raises(OctaNetworkError, match="broke off"):
        connect(serve(truncated(100, b"[]")), retries=0).sessions.list()


@pytest.mark.parametrize("pack", [answer, zipped])
def test_a_body_beyond_the_limit_is_refused_before_it_fills_the_memory(
    pack: Any, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("octa_provider.http.transport.MAX_ANSWER_BYTES", 100_000)
    body = b"[" + b" " * 10_000_000 + b"]"
    server = serve(pack(200, body) if pack is answer else pack(body))
    with pytest.raises(OctaDecodeError, match="more than 100000 bytes"):
        connect(server).sessions.list()
    assert len(server.received) == 1


def test_cookies_are_not_kept(serve: Serve, connect: Connect) -> None:
    server = serve(answer(200, [], Set_Cookie="session=1; Path=/"))
    client = connect(server)
    client.sessions.list()
    client.sessions.list()
    assert "cookie" not in server.received[1].headers


def test_a_stream_is_handed_over_piece_by_piece_and_its_start_is_retried(serve: Serve, connect: Connect) -> None:
    server = serve(answer(503), chunked(b"one", b"two", b"three"))
    with connect(server).transport.stream("/services/u/logs", params={"recent": "true"}) as pieces:
        assert b"".join(pieces) == b"onetwothree"
    assert server.received[1].path == "/services/u/logs?recent=true"


def test_a_stream_that_breaks_off_raises(serve: Serve, connect: Connect) -> None:
    with (
        pytest.raises(OctaNetworkError, match="broke off"),
        connect(serve(truncated(10, b"half"))).transport.stream("/x") as pieces,
    ):
        list(pieces)


def test_what_is_sent_is_json_of_the_documented_shape(serve: Serve, connect: Connect) -> None:
    server = serve(answer(200, {"uuid": "u-1"}))
    client = connect(server)
    client.services.mr.start(
        node_id=7,
        image="blender:4.5",
        disk_gb=20,
        envs={"A": "1"},
        ports=[5000],
        http_ports=[8080],
        start_command="run",
        entrypoint="/bin/sh",
        organization_id=3,
        project_id="p",
    )
    client.services.render.start(node_id=8, envs={"B": "2"}, multi_gpu_worker=True)
    client.services.vpn.start(node_id=9, subkind="v2ray", protocol="vmess")
    client.services.session("u").stop(score=5)
    client.services.session("u").stop()
    client.nodes.update_prices(4, base_wei=10**19, storage_wei=0, traffic_wei=31428028938060847852)
    assert [(request.method, request.path) for request in server.received] == [
        ("POST", "/services/mr"),
        ("POST", "/services/render"),
        ("POST", "/services/vpn"),
        ("POST", "/services/u/stop"),
        ("POST", "/services/u/stop"),
        ("PATCH", "/nodes/4/prices"),
    ]
    assert server.received[0].json == [
        {
            "id": 0,
            "node_id": 7,
            "disk_size": 20,
            "image": "blender:4.5",
            "app": "",
            "envs": {"A": "1"},
            "ports": [5000],
            "http_ports": [8080],
            "start_command": "run",
            "entrypoint": "/bin/sh",
            "organization_id": 3,
            "project_id": "p",
        }
    ]
    assert server.received[1].json == {"node_id": 8, "disk_size": 10, "envs": {"B": "2"}, "multi-gpu-worker": True}
    assert server.received[2].json == {"node_id": 9, "subkind": "v2ray", "protocol": "vmess"}
    assert server.received[3].json == {"score": 5}
    assert server.received[4].body == b""
    assert server.received[5].json == {"base": 10**19, "storage": 0, "traffic": 31428028938060847852}
    assert all(r.headers["content-type"] == "application/json" for r in server.received if r.body)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.services.session("u").stop(score=0),
        lambda c: c.services.session("u").stop(score=6),
        lambda c: c.services.session("u").stop(score=True),
        lambda c: c.services.session("u").stop(score=2.0),
        lambda c: c.nodes.update_prices(1, base_wei=-1, storage_wei=0, traffic_wei=0),
        lambda c: c.nodes.update_prices(1, base_wei=0, storage_wei=1.5, traffic_wei=0),
        lambda c: c.nodes.update_prices(1, base_wei=0, storage_wei=0, traffic_wei=True),
        lambda c: c.services.render.start(node_id="7"),
        lambda c: c.services.render.start(node_id=-7),
        lambda c: c.services.render.start(node_id=True),
        lambda c: c.services.mr.start(node_id=1, image="two words"),
        lambda c: c.services.vpn.start(node_id=1, subkind="pptp"),
    ],
)
def test_arguments_that_the_api_could_only_refuse_are_refused_before_any_request(
    call: Callable[[OctaClient], object], serve: Serve, connect: Connect
) -> None:
    server = serve()
    with pytest.raises(octa_provider.OctaConfigError):
        call(connect(server))
    assert server.accepts == 0


def test_filters_and_recent_travel_in_the_query(serve: Serve, connect: Connect) -> None:
    server = serve(answer(200, []), answer(200, []), answer(200, []), answer(200, {"container": "", "system": []}))
    client = connect(server)
    client.nodes.list(country="DE & AT", app="x")
    client.nodes.list()
    client.sessions.list(recent=True)
    client.services.session("u").logs(recent=True)
    assert [request.path for request in server.received] == [
        "/nodes?country=DE+%26+AT&app=x",
        "/nodes",
        "/sessions?recent=true",
        "/services/u/logs?recent=true",
    ]
