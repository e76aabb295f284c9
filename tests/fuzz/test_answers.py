"""Whatever the API, a proxy or a gateway answers: a value that can be carried, or an error of ours."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import requests
from fuzzing import ANYTHING, ODD_TEXT, SCALARS, fuzzed
from hypothesis import strategies as st

from octa_provider.errors import OctaConfigError, OctaDecodeError, OctaError
from octa_provider.http.api_error import api_error
from octa_provider.http.redaction import error_body, loggable_body
from octa_provider.http.redirects import redirect_target
from octa_provider.http.retry import FullJitterRetry
from octa_provider.http.web_address import web_address
from octa_provider.job.state import JobState
from octa_provider.logs.cursor import LogCursor
from octa_provider.models import (
    App,
    Balance,
    IdleJob,
    IdleJobLogs,
    Logs,
    Machine,
    Network,
    Node,
    Session,
    StartedSession,
    VpnMachine,
    decode_json,
)
from octa_provider.rental.intents import Intent
from octa_provider.rental.refusal import deserves_a_look, may_have_started
from octa_provider.rental.rental import Rental
from octa_provider.rental.terms import Terms
from octa_provider.text.carried import carried, carried_dict
from octa_provider.wire.records import decode_list

MODELS: tuple[Any, ...] = (
    *(App, Balance, IdleJob, IdleJobLogs, Logs, Machine, Network, Node, Session, StartedSession, VpnMachine),
)
NAMES = sorted(
    {name for model in MODELS for name in model.__struct_fields__}
    | {
        "duration",
        "id",
        "tx",
        "rx",
        "charge_amount",
        "ports_matrix",
        "node_hw",
        "msg",
        "ts",
        "message",
        "reason",
        "data",
    }
)
RECORDS = st.dictionaries(st.sampled_from(NAMES) | ODD_TEXT, ANYTHING, max_size=8)
DOCUMENTS = (
    ANYTHING.map(lambda value: json.dumps(value, default=str).encode("utf-8", "surrogatepass"))
    | st.binary(max_size=80)
    | st.text('{}[]",:\\u0dD89aAtrue nul1.-', max_size=80).map(str.encode)
    | st.integers(0, 3000).map(lambda deep: b"[" * deep + b"]" * deep)
)


def carries(value: object) -> None:
    """msgpack, JSON and UTF-8 can."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value)) == value
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def unless(*kinds: type[Exception]) -> Callable[[Callable[[], Any]], Any]:
    """Call; None for the errors that are documented."""

    def run(call: Callable[[], Any]) -> Any:
        with suppress(*kinds):
            return call()
        return None

    return run


@fuzzed(RECORDS | ANYTHING)
def test_every_model_reads_anything_or_says_why_not(payload: object) -> None:
    for model in MODELS:
        found = unless(OctaError)(lambda model=model: model.from_payload(payload))
        if found is not None:
            repr(found)
            for name, value in ((name, getattr(found, name)) for name in found.__struct_fields__):
                if isinstance(value, float):
                    assert value == value
                if type(value) is int and not name.endswith("_wei") and model is not Network:
                    assert -(2**63) <= value < 2**63, name
            with suppress(OctaError):
                decode_list(model, [payload, payload], "fuzz")


@fuzzed(RECORDS)
def test_a_session_as_it_is_told_on_can_be_carried(payload: dict[str, Any]) -> None:
    session = unless(OctaDecodeError)(lambda: Session.from_payload({"uuid": "u", **payload}))
    if session is not None:
        rental = Rental(session.uuid, node_id=session.node_id, price_wei=session.charge_wei)
        carries(carried_dict(rental.bill(session).to_dict()))
        carries(carried_dict(rental.to_dict()))
        carries(carried({"urls": session.urls, "ssh": session.ssh_web, "raw": session.raw}))


@fuzzed(st.integers(-5, 1200), DOCUMENTS, st.none() | ODD_TEXT, RECORDS)
def test_every_error_of_the_api_can_be_told_and_stored(
    status: int, body: bytes, request_id: str | None, sent: dict[str, Any]
) -> None:
    text = error_body(body, sent)
    error = api_error(status, method="GET", url="http://h/x", body=text, request_id=request_id)
    carries([str(error), error.body, error.code, error.request_id])
    assert len(str(error)) <= 10_000
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert isinstance(may_have_started(error), bool)
    assert isinstance(deserves_a_look(error), bool)
    loggable_body(body, sent)


@fuzzed(DOCUMENTS)
def test_json_is_read_or_is_none(body: bytes) -> None:
    found = unless(ValueError)(lambda: [decode_json(body)])
    if found is not None:
        json.dumps(found, ensure_ascii=False).encode()


@fuzzed(DOCUMENTS.map(lambda body: json.dumps({"data": __import__("base64").b64encode(gzip.compress(body)).decode()})))
def test_a_packed_log_is_read(body: str) -> None:
    IdleJobLogs.from_payload(decode_json(body))


@fuzzed(ODD_TEXT | st.from_regex(r"(https?:)?(//)?([a-z@:\[\]0-9./\\?#%_-]{0,40})", fullmatch=True), st.booleans())
def test_a_redirect_leads_to_a_web_address_or_nowhere(location: str, allow_http: bool) -> None:
    response = requests.Response()
    response.url = "https://api.octa.computer/sessions"
    response.headers["x-octa-held-location"] = location
    found = unless(OctaConfigError)(lambda: redirect_target(response, allow_http=allow_http))
    assert found is None or found.startswith(("http://", "https://"))


@fuzzed(ODD_TEXT | st.from_regex(r"(https?|javascript|data)://?[a-z@:\[\]()<>.`]{0,30}", fullmatch=True))
def test_an_address_for_a_link_ends_no_link(told: str) -> None:
    address = web_address(told)
    if address is not None:
        assert address.startswith(("http://", "https://"))
        assert not set(address) & set(' <>()"`\n|^{}\\')


@fuzzed(ODD_TEXT | SCALARS.map(str))
def test_a_retry_after_is_some_seconds_or_none(value: str) -> None:
    asked = FullJitterRetry.for_reads(0, 60.0).seconds_asked(value)
    assert asked is None or 0 <= asked <= 60


@fuzzed(st.dictionaries(st.sampled_from([*JobState.__struct_fields__, *Terms.__struct_fields__]), ANYTHING))
def test_a_state_of_somewhere_else_is_read_or_refused(state: dict[str, Any]) -> None:
    unless(OctaConfigError)(lambda: JobState.from_dict(state))
    unless(OctaConfigError)(lambda: Rental.from_dict(state))
    unless(OctaConfigError)(lambda: LogCursor.from_dict(state))


CURSOR = LogCursor(seen=6, tail=b"one\ntw", held=2, head=b"one\ntw")
WHOLE: tuple[Any, ...] = (
    CURSOR,
    Intent("a", "f", "mr", 1, ("u",), 5.0),
    JobState("k", Terms("u"), "n", over_ssh=True, timeout_s=1, appear_by=1, ready_by=2, log=CURSOR),
)


@fuzzed(st.sampled_from(WHOLE), st.data())
def test_a_state_with_something_odd_in_it_is_refused_or_is_a_whole_one(whole: Any, data: st.DataObject) -> None:
    names = st.sampled_from(whole.__struct_fields__)
    odd = data.draw(st.dictionaries(names, ANYTHING | st.integers(-9, 9) | st.floats(), min_size=1, max_size=2))
    kind = type(whole)
    assert kind.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole
    found = unless(OctaConfigError)(lambda: kind.from_dict(whole.to_dict() | odd))
    if found is not None:
        assert kind.from_dict(found.to_dict()) == found
        assert not any(value != value for value in msgspec.structs.astuple(found))
        carries(carried_dict(found.to_dict()))


@fuzzed(st.dictionaries(st.sampled_from(["seen", "tail", "held", "head", "stale", "gaps"]), ANYTHING))
def test_a_place_in_a_log_of_somewhere_else_is_read_or_refused(state: dict[str, Any]) -> None:
    unless(OctaConfigError)(lambda: LogCursor.from_dict(state))


@fuzzed(st.dictionaries(st.sampled_from([*Intent.__struct_fields__]), ANYTHING))
def test_an_intent_of_somewhere_else_is_read_or_refused(state: dict[str, Any]) -> None:
    unless(OctaConfigError)(lambda: Intent.from_dict(state))
