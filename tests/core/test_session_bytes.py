"""A list of sessions read straight from its bytes is the one that `decode_list` gives, whatever is in it."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_server import OddServer, answer
from test_models_properties import ANY_JSON, SESSION, mutations

from octa_provider import OctaClient, OctaDecodeError
from octa_provider.models import Records, Session, decode_json, decode_list
from octa_provider.models.session_bytes import read_sessions

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]

#: No field needs a second look.
PLAIN: dict[str, Any] = {
    **SESSION,
    "config": None,
    "finished_at": None,
    "ports_matrix": {"22": 10022},
    "user_envs": {"OCTA_RENTAL_KEY": "r/1", "N": ""},
}


def check_same(body: bytes) -> None:
    found = read_sessions(body, "GET /same")
    if found is None:
        return
    expected = decode_list(Session, decode_json(body), "GET /same")
    assert repr(found.odd) == repr(expected.odd)
    for one, other in zip(found, expected, strict=True):
        # The repr leaves out what may hold secrets.
        for name in Session.__struct_fields__:
            assert repr(getattr(one, name)) == repr(getattr(other, name)), name
        for ours, theirs in ((one.hardware, other.hardware), (one.prices, other.prices)):
            assert repr(getattr(ours, "raw", None)) == repr(getattr(theirs, "raw", None))
        assert (one.phase, one.rental_key) == (other.phase, other.rental_key)
    assert found == expected


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data(), is_ascii=st.booleans())
def test_whatever_becomes_of_a_record(data: st.DataObject, is_ascii: bool) -> None:
    listed = [data.draw(mutations(data.draw(st.sampled_from([SESSION, PLAIN])))), PLAIN, data.draw(ANY_JSON)]
    check_same(json.dumps(listed, ensure_ascii=is_ascii).encode())


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(name=st.sampled_from([*PLAIN, "invented"]), value=ANY_JSON)
def test_whatever_a_single_field_holds(name: str, value: Any) -> None:
    check_same(json.dumps([{**PLAIN, name: value}]).encode())


@pytest.mark.parametrize(
    "written",
    [
        '"uuid": "u\\u002d8"',
        '"uuid": " \\u3000"',
        '"uuid": 8',
        '"node_id": 9223372036854775808',
        '"node_id": 7.0',
        '"service": " "',
        '"kind": 5',
        '"progress": null',
        '"progress": null, "is_ready": null, "status": "ready"',
        '"progress": "", "is_ready": false, "status": "ready"',
        '"progress": " Service Configured ", "is_ready": false',
        '"progress": "stop requested"',
        '"progress": "starting ' + "x" * 400 + '", "is_ready": false',
        '"progress": 3, "status": " "',
        '"is_ready": "true"',
        '"duration": 61',
        '"duration": "61.9"',
        '"duration": 6.1e1',
        '"duration": 9223372036854775808',
        '"started_at": "2024-05-01T12:00:00+02:00"',
        '"started_at": 1714564800',
        '"started_at": 1714564800000.5',
        '"started_at": 0',
        '"finished_at": 1714564800001',
        '"finished_at": ""',
        '"termination_reason": "1"',
        '"termination_reason": 3.0',
        '"tx": "", "rx": "1e3"',
        '"charge_amount": 31428028938060847852',
        '"charge_amount": 31428028938060847852.0',
        '"charge_amount": 1e400',
        '"charge_amount": ' + "9" * 78,
        '"charge_amount": ' + "9" * 5000,
        '"ports_matrix": "{}"',
        '"ports_matrix": []',
        '"urls": "{\\"jupyter\\": \\"https://a.example\\"}"',
        '"urls": null',
        '"ssh_direct": "{\\"host\\": \\"h\\", \\"port\\": 22}"',
        '"ssh_proxy": null',
        '"config": "[Interface]"',
        '"config": {"ip": "192.0.2.1"}',
        '"user_envs": null',
        '"user_envs": {}',
        '"user_envs": "{}"',
        '"user_envs": {"A": 5, "B": null, "C": [1]}',
        '"user_envs": []',
        '"container_id": "c-1"',
        '"container_id": "[\\"c-1\\", \\"c-2\\"]"',
        '"container_id": ["c-1", "", 5]',
        '"container_id": []',
        '"node_hw": "{\\"cpu\\": \\"EPYC\\"}"',
        '"node_hw": {}',
        '"prices": null',
        '"prices": {}',
        '"invented": 1e400',
        '"city": "Köln"',
    ],
)
def test_a_field_written_so(written: str) -> None:
    plain = json.dumps(PLAIN)
    for record in (plain[:-1] + ", " + written + "}", '{"uuid": "u-7", ' + written + "}"):
        body = f"[{record}, {plain}]".encode()
        assert read_sessions(body, "GET /same") is not None
        check_same(body)


def test_a_record_as_the_api_sends_it_needs_no_dict() -> None:
    told = [PLAIN, {**PLAIN, "user_envs": {}, "charge_amount": 5, "container_id": "c-1", "ports_matrix": "{}"}]
    with mock.patch.object(Session, "from_payload", side_effect=AssertionError("read field by field")):
        found = read_sessions(json.dumps(told).encode(), "GET /same")
    assert found is not None
    assert len(found) == 2


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"[", b'[{"uuid": "u"}] x', b'[{"uuid": "u", "x": "\xff"}]', b'[{"x": "\\ud800"}]']
)
def test_what_has_to_be_read_as_a_whole(body: bytes) -> None:
    assert read_sessions(body, "GET /same") is None


def test_the_payload_is_there_for_whoever_looks_copies_or_stores() -> None:
    def fresh() -> Session:
        found = read_sessions(json.dumps([{**PLAIN, "invented": {"tomorrow": 1}}]).encode(), "GET /same")
        assert found is not None
        return found[0]

    expected = Session.from_payload({**PLAIN, "invented": {"tomorrow": 1}})
    assert fresh().raw["invented"] == {"tomorrow": 1}
    assert fresh() == expected
    assert fresh() != Session.from_payload(PLAIN)
    assert pickle.loads(pickle.dumps(fresh())) == expected
    assert copy.copy(fresh()) == copy.deepcopy(fresh()) == expected
    assert msgspec.structs.replace(fresh(), city="Bonn").raw == expected.raw
    assert json.loads(msgspec.json.encode(fresh())) == json.loads(msgspec.json.encode(expected))


def test_the_lists_of_the_client_are_read_so(serve: Serve, connect: Connect) -> None:
    client = connect(serve(answer(200, [PLAIN, {"uuid": "u-8", "node_id": "8"}, {}])))
    expected = Records([Session.from_payload(PLAIN), Session.from_payload({"uuid": "u-8", "node_id": "8"})], [{}])
    assert client.sessions.list() == expected
    assert client.sessions.list(recent=True) == expected


@pytest.mark.parametrize("body", [b'{"message": "later"}', b"<html>"])
def test_what_is_no_list_is_an_error_as_before(body: bytes, serve: Serve, connect: Connect) -> None:
    with pytest.raises(OctaDecodeError):
        connect(serve(answer(200, body))).sessions.list()
