"""Reading the logs endpoint to disk."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.errors import OctaDecodeError
from octa_provider.logs.log_stream import MAX_ENTRY_BYTES, SpooledText, spool_logs

TRICKY = 'a "quoted" \\ back\\\\slash \\" é 漢 😀 \u0000 \x1b[31m tab\t end\\'


def chunked(body: bytes, size: int) -> Iterator[bytes]:
    return (body[i : i + size] for i in range(0, len(body), size))


def text_of(body: bytes | str, size: int = 1000) -> str:
    data = body.encode() if isinstance(body, str) else body
    with spool_logs(chunked(data, size)) as logs:
        return logs.container.read(0, logs.container.size + 1).decode()


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 64, 5000])
def test_the_text_is_the_same_wherever_the_chunks_end(size: int, ascii_only: bool) -> None:
    text = TRICKY * 30
    assert text_of(json.dumps({"container": text, "system": []}, ensure_ascii=ascii_only), size) == text


@settings(deadline=None)
@given(st.text(max_size=300), st.integers(1, 40), st.booleans())
def test_any_text_comes_out_as_it_was(text: str, size: int, ascii_only: bool) -> None:
    assert text_of(json.dumps({"container": text}, ensure_ascii=ascii_only), size) == text


@settings(deadline=None)
@given(st.binary(max_size=60).filter(lambda raw: b'"' not in raw and b"\\" not in raw), st.integers(1, 9))
def test_broken_utf_8_gives_the_same_text_however_it_is_cut(raw: bytes, size: int) -> None:
    body = b'{"container": "' + raw + b'\\n"}'
    assert text_of(body, size) == text_of(body, 10_000) == raw.decode("utf-8", "replace") + "\n"


@settings(deadline=None)
@given(st.text(st.characters(categories=["Cs", "Lu"]), max_size=20), st.integers(1, 9))
def test_half_a_surrogate_pair_becomes_a_replacement_character(text: str, size: int) -> None:
    body = json.dumps({"container": text})
    expected = "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in json.loads(body)["container"])
    assert text_of(body, size) == expected


@pytest.mark.parametrize(
    "body",
    [
        '{"container": "x", "system": [{"ts": 1000, "msg": "m"}]}',
        '{"system": [{"ts": 1000, "msg": "m"}], "container": "x"}',
        ' {"new": {"a": ["}", {"b": "]"}], "c": -1.5e3}, "t":true,"system":[{"ts":1000,"msg":"m"}],"container":"x"}\n ',
        '{"container": "old", "system": [], "container": "x", "system": [{"ts": 1000, "msg": "m"}]}',
        '{"container": ["x"], "system": "[{\\"ts\\": 1000, \\"msg\\": \\"m\\"}]"}',
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_both_parts_are_found_in_any_order_and_among_new_fields(body: str, size: int) -> None:
    with spool_logs(chunked(body.encode(), size)) as logs:
        assert logs.container.read(0, 100) == b"x"
        assert [entry.message for entry in logs.system] == ["m"]
        assert logs.system[0].at is not None


@pytest.mark.parametrize("body", ["{}", '{"container": null, "system": null}', '{"system": {}}', '{"container": ""}'])
def test_what_is_missing_is_empty(body: str) -> None:
    with spool_logs([body.encode()]) as logs:
        assert (logs.container.size, logs.system) == (0, ())


def test_a_list_of_lines_is_a_text_of_lines() -> None:
    assert text_of('{"container": ["one", 2, "three"]}') == "one\nthree"
    assert text_of('{"container": [ ]}') == ""


def test_of_the_system_log_the_last_entries_are_kept() -> None:
    body = json.dumps({"system": [{"ts": 1, "msg": str(i)} for i in range(50)]})
    with spool_logs(chunked(body.encode(), 7), system_entries=3) as logs:
        assert [entry.message for entry in logs.system] == ["47", "48", "49"]


def test_an_entry_that_is_too_long_is_left_out_and_said_so() -> None:
    body = json.dumps({"system": [{"msg": "x" * MAX_ENTRY_BYTES}, {"msg": "next"}], "container": "c"})
    with spool_logs(chunked(body.encode(), 4096)) as logs:
        assert [entry.message for entry in logs.system] == ["(an entry of more than 65536 bytes was left out)", "next"]
        assert logs.container.read(0, 9) == b"c"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "null",
        "<html>busy</html>",
        '{"container": "cut of',
        '{"container": "x"',
        '{"container": "x", ',
        '{"container": "x"} more',
        '{"container": "x" "system": []}',
        '{"container": "bad \\q escape"}',
        '{"container": {"a": 1}}',
        '{"container": 12}',
        '{"container": [1',
        '{"container": }',
        '{"a": tru}',
        '{"a": 1 2}',
        '{"a": 12',
        '{"a": [1, }',
        '{"a": [1 2]}',
        "{1: 2}",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_an_answer_that_is_something_else_is_a_decode_error(body: str, size: int) -> None:
    with pytest.raises(OctaDecodeError, match=r"logs"):
        spool_logs(chunked(body.encode(), size))


def test_text_in_memory_is_read_like_a_file() -> None:
    with SpooledText.of("héllo") as text:
        assert (text.size, text.read(1, 2).decode()) == (6, "é")


def test_it_reads_at_least_50_mb_a_second() -> None:
    line = 'Fra:12 Mem:12.3M "quoted" C:\\path é and so on, as renderers print\n'
    body = json.dumps({"container": line * 300_000}, ensure_ascii=False).encode()
    best = 0.0
    for _ in range(3):
        start = time.thread_time()
        spool_logs(chunked(body, 65536)).container.close()
        best = max(best, len(body) / 1e6 / (time.thread_time() - start))
    assert best > 50


@settings(deadline=None)
@given(st.text(st.sampled_from("abS3CR\n"), max_size=40), st.integers(1, 9))
def test_a_secret_stands_nowhere_in_what_is_kept_however_the_answer_is_cut(text: str, size: int) -> None:
    secret = "S3CR3T"
    printed = f"{text}{secret}{text}S3{secret}{secret}{text}"
    body = json.dumps({"container": printed}).encode()
    with spool_logs(chunked(body, size), secret=secret) as logs:
        kept = logs.container.read(0, 10_000).decode()
    assert kept == printed.replace(secret, "******")
