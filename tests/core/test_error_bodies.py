"""What an answer echoes of a session's environment stays out of errors and logs, whatever the answer's form."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from odd_server import OddServer, answer

from octa_provider import MachineRequest, OctaClient, OctaDecodeError, OctaError
from octa_provider.http.redaction import error_body, loggable_body

SECRET = "env-secret"
ECHO = {"user_envs": {"TOKEN": SECRET}}


def start(octa: OctaClient) -> object:
    return octa.services.start(MachineRequest("x", envs={"TOKEN": SECRET}), 1)


def info(octa: OctaClient) -> object:
    return octa.services.session("u").info()


@pytest.mark.parametrize(
    ("status", "body", "call"),
    [
        (422, {"message": "bad", "request": [{"envs": {"TOKEN": SECRET}}]}, start),
        (422, {"message": f"env TOKEN={SECRET} is too long"}, start),
        (500, f"<html>{SECRET}</html>".encode(), start),
        (422, b'{"message": "cut off", "envs": {"TOKEN": "env-secret"', start),
        (200, [ECHO], start),
        (200, [{"reason": "full", "envs": {"TOKEN": SECRET}}], start),
        (200, {"session": ECHO}, start),
        (200, ECHO, info),
        (200, [ECHO], info),
        (200, [ECHO], lambda octa: octa.sessions.list()),
        (200, {"a": {"b": [{"c": ECHO}]}}, info),
        (200, {"user_envs": json.dumps({"TOKEN": SECRET})}, info),
        (200, b'{"user_envs": {"TOKEN": "env-secret"} broken', info),
        (404, {"session": {"Envs": {"TOKEN": SECRET}}}, info),
    ],
)
def test_no_error_and_no_log_holds_a_value_of_an_environment(
    status: int,
    body: Any,
    call: Callable[[OctaClient], object],
    serve: Callable[..., OddServer],
    connect: Callable[..., OctaClient],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="octa_provider")
    octa = connect(serve(answer(status, body)), retries=0)
    told: list[OctaError] = []
    try:
        call(octa)
    except OctaError as error:
        told.append(error)
    assert SECRET not in repr([(str(error), vars(error)) for error in told])
    assert SECRET not in caplog.text


def test_the_body_of_an_error_stays_as_it_came_where_it_holds_no_secret() -> None:
    body = b'{"message":  "Node not found", "code": 7}'
    assert error_body(body, {"envs": {"A": "1", "OCTA_RENTAL_KEY": "Node"}}) == body.decode()


def test_a_deep_answer_is_logged_and_fails_nothing(
    serve: Callable[..., OddServer], connect: Callable[..., OctaClient], caplog: pytest.LogCaptureFixture
) -> None:
    """Such an answer to a start came with a machine that bills."""
    caplog.set_level(logging.DEBUG, logger="octa_provider")
    for deep in (40, 600, 5000, 200_000):
        body = b'{"uuid": "u1", "note": ' + b"[" * deep + b"]" * deep + b"}"
        octa = connect(serve(answer(200, body)), retries=0)
        # Too deep for any reader of JSON means that it may have started, and is looked for.
        with suppress(OctaDecodeError):
            assert start(octa)


@pytest.mark.parametrize("body", [b"", b"\xff" * 100, b"[" * 10**6, b'{"a":' * 10**5, b"1" * 5000, b"x" * (2 << 20)])
def test_any_body_can_be_logged(body: bytes) -> None:
    assert len(loggable_body(body)) <= 2100
