"""A catalogue read straight from its bytes is the one that `decode_list` gives, whatever is in it."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_server import OddServer, answer
from test_models_properties import ANY_JSON, MACHINE, mutations

from octa_provider import OctaClient, OctaDecodeError
from octa_provider.models import Machine, Records, decode_json, decode_list
from octa_provider.models.machine_bytes import read_machines

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]

#: As the API documents it: no field needs a second look.
PLAIN = {**MACHINE, "storage": 40000000000000000, "net_down_mbits": 940}


def check_same(body: bytes) -> None:
    found = read_machines(body, "GET /same")
    if found is None:
        return
    expected = decode_list(Machine, decode_json(body), "GET /same")
    assert repr(list(found)) == repr(list(expected))
    assert repr(found.odd) == repr(expected.odd)
    for one, other in zip(found, expected, strict=True):
        assert repr(one.raw) == repr(other.raw)
        parts = zip((*one.gpus, one.reliability), (*other.gpus, other.reliability), strict=True)
        assert all(repr(getattr(ours, "raw", None)) == repr(getattr(theirs, "raw", None)) for ours, theirs in parts)
    assert found == expected


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data(), is_ascii=st.booleans())
def test_whatever_becomes_of_a_record(data: st.DataObject, is_ascii: bool) -> None:
    listed = [data.draw(mutations(data.draw(st.sampled_from([MACHINE, PLAIN])))), PLAIN, data.draw(ANY_JSON)]
    check_same(json.dumps(listed, ensure_ascii=is_ascii).encode())


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(name=st.sampled_from([*PLAIN, "base_wei", "invented"]), value=ANY_JSON)
def test_whatever_a_single_field_holds(name: str, value: Any) -> None:
    check_same(json.dumps([{**PLAIN, name: value}]).encode())


@pytest.mark.parametrize(
    "written",
    [
        '"node_id": 8',
        '"node\\u005fid": 8',
        '"cpu_cores": 48.0',
        '"cpu_cores": 4.8e1',
        '"cpu_cores": 1e3',
        '"cpu_cores": true',
        '"cpu_cores": 9223372036854775808',
        '"total_price_wei": ' + "9" * 78,
        '"total_price_wei": ' + "9" * 5000,
        '"total_price_wei": null',
        '"total_price_wei": null, "total_price_ether": 0.1',
        '"base": null, "base_ether": "1e-18"',
        '"base": -1, "base_wei": 5',
        '"total_price_usd": ' + "9" * 90,
        '"total_price_usd": -0',
        '"total_price_usd": -0.5',
        '"ai_score": 1e400',
        '"ai_score": -9e99',
        '"invented": 1e400',
        '"invented": "\\u0000"',
        '"city": ""',
        '"city": " \\u3000\\n"',
        '"city": "\u2003"',
        '"city": "Köln"',
        '"gpus": []',
        '"gpus": [], "gpu": {"amd": ["RX 7900"]}',
        '"gpus": "RTX 4090", "gpu": null',
        '"gpus": null',
        '"gpus": "[{}]"',
        '"features": "[\\"ssh\\"]"',
        '"features": ["ssh", "", 5]',
        '"reliability": 99.5',
        '"reliability": {}',
        '"reliability": {"rating": 4.5}',
        '"reliability": {"rating": null, "s_normal": "7", "more": [1]}',
        '"available_ports": [1, 2]',
        '"cuda_version": 12.4',
        '"is_wsl": 1',
        '"currency_usd": "yes"',
        '"net_up_mbits": 100001',
        '"net_up_mbits": 117500000',
        '"base_usd": 9007199254740993',
    ],
)
def test_a_field_written_so(written: str) -> None:
    plain = json.dumps(PLAIN)
    for record in (plain[:-1] + ", " + written + "}", '{"node_id": 7, ' + written + "}"):
        body = f"[{record}, {plain}]".encode()
        assert read_machines(body, "GET /same") is not None
        check_same(body)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"[", b'[{"node_id": 7}] x', b'[{"node_id": 7, "x": "\xff"}]', b'[{"x": "\\ud800"}]']
)
def test_what_has_to_be_read_as_a_whole(body: bytes) -> None:
    assert read_machines(body, "GET /same") is None


def test_what_is_nested_deep_is_left_to_the_slow_way_or_read_alike() -> None:
    for levels in (90, 2000, 200_000):
        found = read_machines(b'[{"node_id": 7, "invented": ' + b"[" * levels + b"]" * levels + b"}]", "GET /deep")
        if found is not None:
            repr(found[0].raw)
            pickle.dumps(found[0])


def test_an_odd_record_is_kept_as_received_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "octa_provider"):
        found = read_machines(json.dumps([PLAIN, {"gpus": "none"}, 5]).encode(), "GET /odd/bytes")
    assert found is not None
    assert (len(found), found.odd) == (1, ({"gpus": "none"}, 5))
    assert [record.getMessage() for record in caplog.records] == [
        "GET /odd/bytes: 2 of 3 records could not be read and are kept as received in .odd (said once). "
        "The first: machine: no node_id, so it cannot be rented. Look at .body."
    ]


def test_the_payload_is_there_for_whoever_looks_copies_or_stores() -> None:
    def fresh() -> Machine:
        found = read_machines(json.dumps([{**PLAIN, "invented": {"tomorrow": 1}}]).encode(), "GET /same")
        assert found is not None
        return found[0]

    expected = Machine.from_payload({**PLAIN, "invented": {"tomorrow": 1}})
    assert fresh().raw["invented"] == {"tomorrow": 1}
    assert fresh().raw is not fresh().raw
    one = fresh()
    assert one.raw is one.raw
    assert fresh() == expected
    assert fresh() != Machine.from_payload(PLAIN)
    assert pickle.loads(pickle.dumps(fresh())) == expected
    assert copy.copy(fresh()) == copy.deepcopy(fresh()) == expected
    assert msgspec.structs.replace(fresh(), price_usd=1.0).raw == expected.raw
    assert json.loads(msgspec.json.encode(fresh())) == json.loads(msgspec.json.encode(expected))
    with pytest.raises(AttributeError):
        one.raw = {}
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_the_catalogues_of_the_client_are_read_so(serve: Serve, connect: Connect) -> None:
    client = connect(serve(answer(200, [PLAIN, {"node_id": "8"}, {}])))
    expected = Records([Machine.from_payload(PLAIN), Machine.from_payload({"node_id": "8"})], [{}])
    assert client.services.mr.available() == expected
    assert client.services.render.available() == expected


@pytest.mark.parametrize("body", [b'{"message": "later"}', b"<html>"])
def test_what_is_no_catalogue_is_an_error_as_before(body: bytes, serve: Serve, connect: Connect) -> None:
    with pytest.raises(OctaDecodeError):
        connect(serve(answer(200, body))).services.mr.available()
