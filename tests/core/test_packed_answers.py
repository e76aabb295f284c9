"""A few KB that were made to unpack to much, or to many small values: refused before they cost memory and time."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from collections.abc import Callable

import pytest
from odd_server import OddServer, answer

from octa_provider import OctaClient, OctaDecodeError
from octa_provider.timing.limits import FREELY_UNPACKED_BYTES

MB = 1024 * 1024
SHAPES = {
    "numbers": lambda n: b"[" + b"1," * (n // 2) + b"1]",
    "objects": lambda n: b"[" + b"{}," * (n // 3) + b"{}]",
    "sessions": lambda n: b"[" + b'{"uuid":"a"},' * (n // 13) + b'{"uuid":"a"}]',
    "spaces": lambda n: b"[" + b" " * n + b"]",
    "brackets": lambda n: b"[" * n,
    "halves": lambda n: b'["' + rb"\ud800" * (n // 6) + b'"]',
}


def packed(body: bytes) -> object:
    return answer(200, gzip.compress(body, 6), Content_Encoding="gzip")


@pytest.mark.parametrize("shape", SHAPES)
def test_what_unpacks_to_a_thousand_times_its_length_is_no_answer(
    shape: str, serve: Callable[..., OddServer], connect: Callable[..., OctaClient]
) -> None:
    octa = connect(serve(packed(SHAPES[shape](24 * MB))), retries=0)
    tracemalloc.start()
    begun = time.thread_time()
    with pytest.raises(OctaDecodeError, match="unpacks to more than 100 times its length"):
        octa.sessions.list()
    took_s, peak = time.thread_time() - begun, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * MB
    assert took_s < 5


def test_more_values_than_any_answer_holds_are_not_decoded(
    serve: Callable[..., OddServer], connect: Callable[..., OctaClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("octa_provider.http.answers.MAX_ANSWER_VALUES", 1000)
    octa = connect(serve(answer(200, b"[" + b"{}," * 1001 + b"{}]")), retries=0)
    with pytest.raises(OctaDecodeError, match="more than 1000 values"):
        octa.sessions.list()


def test_a_list_of_real_sessions_is_read_however_well_it_packs(
    serve: Callable[..., OddServer], connect: Callable[..., OctaClient]
) -> None:
    sessions = [
        {"uuid": f"0f1f7f4e-6b0c-4d35-9a49-{n:012d}", "node_id": n, "progress": "service configured", "urls": {}}
        for n in range(20_000)
    ]
    body = json.dumps(sessions).encode()
    assert len(body) > 2 * FREELY_UNPACKED_BYTES
    octa = connect(serve(packed(body)), retries=0)
    assert len(octa.sessions.list()) == 20_000
