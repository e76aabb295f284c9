"""The key never shows: not in a log, a repr, an error, a pickle, a URL; and neither do environment values in a log."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from a_key import KEY
from odd_server import OddServer, answer, hang_up, refused_port, truncated

from octa_provider import OctaClient, OctaConfigError, OctaError, OctaNetworkError
from octa_provider.http.session import KeyAuth

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]

ECHOES = [
    answer(401, {"message": f"the key {KEY} is revoked", "code": KEY}, x_request_id=KEY),
    answer(422, f"<html>{KEY}</html>".encode()),
    answer(500, {"detail": {"authorization": KEY}}),
    answer(429, KEY.encode(), Retry_After="1"),
    answer(200, f"not JSON {KEY}".encode()),
    answer(200, {"uuid": None, "reason": f"bad key {KEY}"}),
    hang_up,
    truncated(999, KEY.encode()),
]


def everything_about(error: BaseException) -> str:
    """What a log, a database or a crash report could keep of an error and its causes."""
    shown = [repr(error), str(error), repr(vars(error)), "".join(traceback.format_exception(error))]
    shown.append(repr(pickle.dumps(error)))
    if error.__cause__ is not None:
        shown.append(everything_about(error.__cause__))
    return "\n".join(shown)


@pytest.mark.parametrize("number", range(len(ECHOES)))
def test_no_error_holds_the_key_even_when_the_server_echoes_it(number: int, serve: Serve, connect: Connect) -> None:
    server = serve(ECHOES[number])
    client = connect(server, retries=0)
    with pytest.raises(OctaError) as start:
        client.services.render.start(node_id=1)
    # The rejection passes for an account, whose every field may be missing; it never passes for a list.
    with pytest.raises(OctaError) as read:
        client.sessions.list()
    for caught in (start, read):
        assert KEY not in everything_about(caught.value)
    assert server.received[0].headers["authorization"] == KEY


def test_the_cause_of_a_network_error_does_not_carry_the_request(connect: Connect) -> None:
    with pytest.raises(OctaNetworkError) as caught:
        connect(f"http://127.0.0.1:{refused_port()}", retries=0).sessions.list()
    cause: Any = caught.value.__cause__
    assert cause is not None
    assert cause.request is None
    assert KEY not in everything_about(caught.value)


def test_errors_keep_their_attributes_through_a_pickle(serve: Serve, connect: Connect) -> None:
    server = serve(answer(404, {"message": "no such session", "code": "E7"}, x_request_id="req-1"))
    with pytest.raises(OctaError) as caught:
        connect(server).services.session("u").info()
    back = pickle.loads(pickle.dumps(caught.value))
    assert (back.status, back.code, back.request_id, str(back)) == (404, "E7", "req-1", str(caught.value))


def test_an_answer_that_echoes_the_key_does_not_carry_it_on(serve: Serve, connect: Connect) -> None:
    server = serve(answer(200, [{"uuid": "u", "user_envs": {"OCTA_API_KEY": KEY}, "app_name": f"x{KEY}"}]))
    (session,) = connect(server).sessions.list()
    assert KEY not in repr(session)
    assert KEY not in repr(session.raw)


def test_the_client_shows_its_url_and_not_the_key(connect: Connect) -> None:
    client = connect("https://api.octa.computer")
    assert repr(client) == str(client) == "OctaClient(base_url='https://api.octa.computer')"
    for part in (client.transport, client.sessions, client.services.mr, client.rentals, KeyAuth(KEY)):
        assert KEY not in repr(part)


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_is_neither_pickled_nor_copied(take: Callable[[object], object], connect: Connect) -> None:
    client = connect("https://api.octa.computer")
    for part in (client.transport, client.sessions, client.services.session("u")):
        with pytest.raises(TypeError, match="holds the API key"):
            copy.deepcopy(part) if take is copy.copy and part is not client.transport else take(part)
    with pytest.raises(TypeError, match="holds the API key"):
        pickle.dumps(client)


def test_a_key_that_cannot_be_one_is_refused_without_being_shown() -> None:
    key = KEY.replace("-", " ")
    with pytest.raises(OctaConfigError) as caught:
        OctaClient(key)
    assert key not in everything_about(caught.value)


def test_the_log_at_debug_shows_bodies_but_neither_the_key_nor_environment_values(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = {
        "uuid": "u-1",
        "node_id": 7,
        "user_envs": {"OCTA_RENTAL_KEY": "rental-7", "TOKEN": "hf_secret"},
        "config": "[Interface]\nPrivateKey = wg-secret",
    }
    server = serve(
        answer(503, f"{KEY} busy".encode()),
        answer(200, [session, {**session, "user_envs": '{"TOKEN": "hf_secret"}'}]),
        answer(200, [{"uuid": "u-2", "echo": KEY}]),
    )
    client = connect(server)
    client.sessions.list()
    client.services.mr.start(
        node_id=7, image="blender:4.5", envs={"TOKEN": "hf_secret", "SAME": KEY}, start_command=f"login {KEY}"
    )
    text = caplog.text
    for secret in (KEY, "hf_secret", "wg-secret", "rental-7"):
        assert secret not in text
    for visible in ("blender:4.5", "TOKEN", "u-1", "u-2", "login ***", "busy", "/services/mr"):
        assert visible in text
    assert any(record.name == "octa_provider.http.transport" for record in caplog.records)


def test_above_debug_no_body_is_logged(serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = serve(answer(503, b"go away"), answer(200, [{"uuid": "u-1"}]), answer(200, {"uuid": "u-2"}))
    client = connect(server)
    client.sessions.list()
    client.services.mr.start(node_id=7, image="blender:4.5")
    assert "trying again" in caplog.text
    assert "u-1" not in caplog.text
    assert "blender:4.5" not in caplog.text


def test_a_body_that_is_no_json_is_logged_as_text_and_clipped(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "octa_provider")
    with pytest.raises(OctaError):
        connect(serve(answer(200, b"<html>" + b"x" * 100_000))).sessions.list()
    assert "<html>" in caplog.text
    assert len(caplog.text) < 5_000


def test_no_url_that_is_told_holds_a_query(serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "octa_provider")
    told: list[str] = []
    value = "".join(["query", "-", "value"])
    client = connect(
        serve(answer(404)), on_request=lambda c: told.append(c.url), on_response=lambda c: told.append(c.url)
    )
    with pytest.raises(OctaError) as caught:
        client.nodes.list(country=value)
    assert len(told) == 2
    assert value not in caplog.text + repr(told) + everything_about(caught.value)
