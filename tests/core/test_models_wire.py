"""From bytes to plain objects: exact integers, no NaN, one bad value never costs the document."""

from __future__ import annotations

import inspect
import json
import sys
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octa_provider.errors import MAX_BODY_CHARS, OctaDecodeError
from octa_provider.models import decode_json
from octa_provider.wire.exact_json import require_object, shown


@pytest.mark.parametrize("number", [31428028938060847852, 2**64, 2**64 - 1, -(2**70), 10**60, 10**250])
def test_integers_beyond_64_bits_stay_exact(number: int) -> None:
    decoded = decode_json(f'{{"balance": {number}}}'.encode())
    assert decoded == {"balance": number}
    assert isinstance(decoded, dict)
    assert type(decoded["balance"]) is int


def test_text_is_decoded_like_bytes() -> None:
    assert decode_json('{"a": [1.5, null, true, "ü"]}') == {"a": [1.5, None, True, "ü"]}


def test_one_number_out_of_range_costs_itself_alone() -> None:
    assert decode_json(b'[{"a": 1e400, "b": 2}]') == [{"a": "1e400", "b": 2}]
    assert decode_json(b'{"a": ' + b"1" * 5000 + b', "b": 2}') == {"a": "1" * 4000, "b": 2}


def test_half_an_emoji_in_a_log_costs_itself_alone() -> None:
    assert decode_json(rb'{"container": "frame 1 \ud83d", "x": "\ud83d\ude00"}') == {
        "container": "frame 1 \ufffd",
        "x": "\N{GRINNING FACE}",
    }
    assert decode_json('{"container": "\\ud800 end"}') == {"container": "\ufffd end"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"<html>",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b'"\xff"',
        b'{"a": \xc3}',
        b"[1,]",
        b"[1] [2]",
        b"[" * 200000,
        b'{"a":' * 200000,
    ],
)
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kind is the promise, the words are the parser's
        decode_json(data)


def test_nesting_beyond_reading_is_a_value_error() -> None:
    for data in (b"[" * 200_000 + b"]" * 200_000, b"[1e400," + b"[" * 200_000 + b"]" * 200_000 + b"]"):
        with pytest.raises(ValueError, match="cannot be read: maximum recursion"):
            decode_json(data)


@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode()))
def test_any_bytes_decode_or_raise_a_value_error(data: bytes) -> None:
    try:
        decode_json(data)
    except ValueError:
        return


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_json_comes_back_as_it_was(value: Any) -> None:
    assert decode_json(json.dumps(value).encode()) == json.loads(json.dumps(value))


def test_a_shown_payload_is_short_and_keeps_secrets_to_itself() -> None:
    text = shown({"uuid": "u", "user_envs": {"TOKEN": "s3cret"}, "envs": {"A": "s3cret"}, "log": "x" * 10**6})
    assert "s3cret" not in text
    assert "'uuid': 'u'" in text
    assert len(text) <= MAX_BODY_CHARS
    assert len(shown(["x" * 300] * 500)) <= MAX_BODY_CHARS


def test_a_payload_that_cannot_be_printed_is_named() -> None:
    assert shown(10**5000).startswith(("(int that", "<int instance"))


@pytest.mark.parametrize("payload", [None, [], "text", 5, True])
def test_an_answer_that_is_no_object_says_what_it_is(payload: object) -> None:
    with pytest.raises(OctaDecodeError, match=f"session: the API answered {type(payload).__name__}") as caught:
        require_object(payload, "session")
    assert caught.value.what == "session"
    assert caught.value.body == shown(payload)


@pytest.mark.parametrize("levels", [99, 100, 101, 150, 400])
@pytest.mark.parametrize(
    ("opened", "closed"),
    [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]"), ('["[",', ',"}"]')],
    ids=["[", "{", "[{", "text"],
)
def test_what_is_nested_beyond_any_answer_is_empty_so_that_it_can_be_written_and_shown_again(
    opened: str, closed: str, levels: int
) -> None:
    body = f'[{{"uuid": "u"}}, {opened * levels}1{closed * levels}, {{"uuid": "v"}}]'
    for data in (body, body.encode()):
        found = decode_json(data)
        assert isinstance(found, list)
        assert [found[0], found[2]] == [{"uuid": "u"}, {"uuid": "v"}]
        text = json.dumps(found)
        bare = text.replace('"["', "").replace('"}"', "")
        assert max(accumulate((c in "[{") - (c in "]}") for c in bare)) <= 100
        assert (found == json.loads(body)) is (levels * (1 + (opened == '[{"a":')) < 99)


def test_what_can_be_read_can_be_written_from_deeper_inside() -> None:
    def write(calls: int, value: object) -> None:
        if calls:
            write(calls - 1, value)
        else:
            json.dumps(value)
            repr(value)

    free = sys.getrecursionlimit() - len(inspect.stack())
    readable = next(n for n in range(free + 200, 100, -10) if _reads(b"[" * n + b"]" * n))
    write(300, decode_json(b"[" * readable + b"]" * readable))


def _reads(data: bytes) -> bool:
    try:
        decode_json(data)
    except ValueError:
        return False
    return True
