"""The error tree: what it is, what it carries, that it survives a trip between processes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from octa_provider import errors
from octa_provider.errors import (
    MAX_BODY_CHARS,
    OctaApiError,
    OctaAuthenticationError,
    OctaBudgetError,
    OctaConfigError,
    OctaDecodeError,
    OctaError,
    OctaForbiddenError,
    OctaNetworkError,
    OctaNoMachineError,
    OctaNotFoundError,
    OctaRateLimitError,
    OctaRejectedError,
    OctaServerError,
    OctaSessionFailedError,
    OctaStopError,
    OctaTimeoutError,
    OctaValidationError,
    OctaWaitTimeoutError,
    Refusal,
    clip_body,
)
from octa_provider.http.api_error import api_error

ANSWER: dict[str, Any] = {
    "code": "X1",
    "request_id": "req-7",
    "body": '{"message": "no"}',
    "method": "POST",
    "url": "https://api.octa.computer/services/mr",
}
SENT: dict[str, Any] = {"maybe_sent": False, "method": "GET", "url": "https://api.octa.computer/apps"}

WITH_ATTRIBUTES: list[OctaError] = [
    OctaError("broken"),
    OctaConfigError("disk_gb must be positive"),
    OctaNetworkError("no route", **SENT),
    OctaTimeoutError("too slow", **SENT),
    OctaApiError("teapot", status=418, **ANSWER),
    OctaAuthenticationError("who", status=401, **ANSWER),
    OctaForbiddenError("no", status=403, **ANSWER),
    OctaNotFoundError("gone", status=404, **ANSWER),
    OctaValidationError("wrong", status=422, **ANSWER),
    OctaRateLimitError("slow down", status=429, retry_after=2.5, **ANSWER),
    OctaServerError("down", status=502, **ANSWER),
    OctaRejectedError("refused", reason="Node not found", node_id=7, body="[]"),
    OctaDecodeError("odd", what="session", body="<html>"),
    OctaNoMachineError("none", refusals=[Refusal(7, "Node not found"), Refusal(None, "none fits")]),
    OctaSessionFailedError("ended", uuid="u-1", system_log_tail="pull failed"),
    OctaWaitTimeoutError("late", uuid="u-1"),
    OctaStopError("still there", uuids=["u-1", "u-2"]),
    OctaBudgetError("too dear"),
]
PUBLIC: list[type[OctaError]] = [getattr(errors, name) for name in errors.__all__ if name.startswith("Octa")]
# An error added later is tried too, with its message alone.
EVERY_ERROR = WITH_ATTRIBUTES + [kind("said") for kind in PUBLIC if kind not in map(type, WITH_ATTRIBUTES)]


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling_with_its_attributes(error: OctaError, protocol: int) -> None:
    back = pickle.loads(pickle.dumps(error, protocol))
    assert type(back) is type(error)
    assert str(back) == str(error) == error.message
    assert vars(back) == vars(error)


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_an_error_survives_copying(error: OctaError) -> None:
    assert vars(copy.copy(error)) == vars(error)


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_except_octa_error_catches_everything(error: OctaError) -> None:
    assert isinstance(error, OctaError)


def test_the_tree_is_the_one_that_is_drawn() -> None:
    assert issubclass(OctaConfigError, ValueError)
    assert issubclass(OctaTimeoutError, OctaNetworkError)
    for child in (
        OctaAuthenticationError,
        OctaForbiddenError,
        OctaNotFoundError,
        OctaValidationError,
        OctaRateLimitError,
        OctaServerError,
    ):
        assert issubclass(child, OctaApiError)
        assert child.__name__ in (errors.__doc__ or "")


def test_a_network_error_assumes_the_request_was_sent() -> None:
    assert OctaNetworkError("reset").maybe_sent is True


def test_user_info_never_stays_in_a_url() -> None:
    error = OctaNetworkError("reset", url="https://me:hunter2@example.org:8443/apps?x=1")
    assert error.url == "https://example.org:8443/apps?x=1"
    assert "hunter2" not in repr(vars(error))


def test_an_unreadable_url_is_not_shown() -> None:
    assert OctaNetworkError("bad", url="http://[me:hunter2@").url == "(unreadable URL)"


def test_a_long_body_is_clipped_and_says_how_long_it_was() -> None:
    clipped = clip_body("x" * 1_000_000)
    assert len(clipped) == MAX_BODY_CHARS
    assert clipped.endswith("(1000000 characters in all)")
    assert clip_body(clipped) == clipped
    for error in (OctaApiError(body="x" * 9999), OctaRejectedError(body="x" * 9999), OctaDecodeError(body="x" * 9999)):
        assert len(error.body) == MAX_BODY_CHARS


def test_a_long_system_log_keeps_its_end() -> None:
    error = OctaSessionFailedError("ended", system_log_tail="a" * 9999 + "out of memory")
    assert len(error.system_log_tail) == MAX_BODY_CHARS
    assert error.system_log_tail.endswith("out of memory")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, OctaApiError),
        (401, OctaAuthenticationError),
        (402, OctaApiError),
        (403, OctaForbiddenError),
        (404, OctaNotFoundError),
        (422, OctaValidationError),
        (429, OctaRateLimitError),
        (500, OctaServerError),
        (503, OctaServerError),
        (599, OctaServerError),
        (600, OctaApiError),
    ],
)
def test_each_status_has_its_error(status: int, kind: type[OctaApiError]) -> None:
    error = api_error(status, method="GET", url="https://api.octa.computer/apps")
    assert type(error) is kind
    assert error.status == status
    assert str(error).startswith(f"GET https://api.octa.computer/apps answered {status}")
    assert str(error).endswith(kind.advice)


def test_the_message_says_what_happened_to_what_and_what_to_do() -> None:
    error = api_error(
        401, method="GET", url="https://api.octa.computer/accounts", body='{"message": "bad key."}', request_id="req-7"
    )
    assert str(error) == (
        "GET https://api.octa.computer/accounts answered 401 Unauthorized: bad key (request id req-7). "
        "Check the API key: OCTA_API_KEY, the connection's password, or api_key=."
    )


def test_a_rate_limit_says_how_long_to_wait() -> None:
    error = api_error(429, method="GET", url="https://api.octa.computer/apps", retry_after=12.0)
    assert isinstance(error, OctaRateLimitError)
    assert error.retry_after == 12.0
    assert str(error).endswith("Try again in 12 s.")


@pytest.mark.parametrize(
    ("body", "reason", "code"),
    [
        ('{"message": "m", "error": "e"}', ": m.", None),
        ('{"error": "e", "code": 17}', ": e.", "17"),
        ('{"detail": "d", "code": "NO_FUNDS"}', ": d.", "NO_FUNDS"),
        ('{"message": "  ", "detail": ["x"], "code": true}', "Not Acceptable.", None),
        ("[1]", "Not Acceptable.", None),
        ("", "Not Acceptable.", None),
        ("Bad gateway\nnginx", ": Bad gateway.", None),
        ("[" * 100_000, ": [[", None),
    ],
)
def test_the_reason_and_the_code_are_read_from_any_body(body: str, reason: str, code: str | None) -> None:
    error = api_error(406, method="GET", url="https://api.octa.computer/apps", body=body)
    assert reason in str(error)
    assert error.code == code
    assert len(str(error)) < 1000
