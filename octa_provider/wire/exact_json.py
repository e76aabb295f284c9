"""Bytes to plain Python objects, and plain objects to the short text that an error may show."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Collection
from typing import Any, NoReturn

import msgspec

from octa_provider.errors import MAX_BODY_CHARS, OctaDecodeError
from octa_provider.text.carried import whole_pairs
from octa_provider.wire.secret_fields import without_secrets

__all__ = ["decode_json", "require_object", "shown"]

# Python itself refuses to turn longer digit strings into an int, and back.
_MAX_INT_DIGITS = 4000

#: The API nests six levels. What can just be read can't be written, printed or copied from a few calls further in:
#: Python's limit counts those as well.
MOST_LEVELS = 100
_USUAL_LEVELS = 12
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")

# Of an error's body (evidence C).
_ERROR_FIELDS = ("error", "message", "detail", "code")


def decode_json(data: bytes | str) -> object:
    """Decode JSON to plain objects, keeping every integer exact.

    msgspec keeps integers beyond 2^64 exact by itself (the live API sends 31428028938060847852, evidence B). Where it
    gives up on a whole document because of one value (`1e400`, an integer of thousands of digits, half of a surrogate
    pair such as a log cut inside an emoji leaves), the standard library reads it, and that value alone becomes its text
    or U+FFFD.

    Args:
        data: one JSON document.

    Returns:
        dict, list, str, int, float, bool or None; never NaN or an infinity. What is nested deeper than `MOST_LEVELS` is
        empty.

    Raises:
        ValueError: not JSON, not UTF-8, `NaN` or `Infinity`, or nested too deep to read.
    """
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError:
        value = _decode_leniently(data)
    except RecursionError as error:
        raise ValueError(f"the JSON cannot be read: {error}") from None
    if _may_be_deep(data):
        _empty_below(value, MOST_LEVELS)
    return value


def _may_be_deep(data: bytes | str) -> bool:
    """Whether a document is nested deeper than any of the API's: pairs of brackets are taken out from the inside.

    Brackets within its texts may make it seem so.
    """
    brackets = (data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")).translate(
        None, _NO_BRACKETS
    )
    for _ in range(_USUAL_LEVELS):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return bool(brackets)


def _empty_below(value: object, levels: int) -> None:
    """Take out of a decoded value what is nested deeper; without recursion, since that is what it is for."""
    layer = [value] if isinstance(value, (dict, list)) else []
    for _ in range(levels - 1):
        layer = [
            item
            for holder in layer
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, (dict, list))
        ]
        if not layer:
            return
    for holder in layer:
        holder.clear()


def _decode_leniently(data: bytes | str) -> object:
    try:
        value = json.loads(
            data if isinstance(data, str) else data.decode(),
            parse_int=_int_or_text,
            parse_float=_float_or_text,
            parse_constant=_refuse,
        )
        # Half a surrogate pair cannot be encoded, so it would fail later, far from here.
        return msgspec.json.decode(whole_pairs(json.dumps(value, ensure_ascii=False)).encode())
    except (RecursionError, msgspec.DecodeError) as error:
        raise ValueError(f"the JSON cannot be read: {error}") from None


def _int_or_text(digits: str) -> int | str:
    return int(digits) if len(digits) <= 300 else digits[:_MAX_INT_DIGITS]


def _float_or_text(digits: str) -> float | str:
    value = float(digits)
    return value if math.isfinite(value) else digits[:_MAX_INT_DIGITS]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_REPR = reprlib.Repr()
_REPR.maxdict = _REPR.maxlist = 50
_REPR.maxstring = _REPR.maxother = 200


def shown(payload: object) -> str:
    """A payload as short text for an error. The values of environments stay out: users put secrets there."""
    try:
        return _REPR.repr(without_secrets(payload))[:MAX_BODY_CHARS]
    except ValueError:
        # An int too long to print; nothing that `decode_json` returns.
        return f"({type(payload).__name__} that cannot be shown)"


def require_object(payload: object, what: str, own: Collection[str] = ()) -> dict[str, Any]:
    """The payload itself when it is a JSON object.

    Args:
        payload: the decoded JSON.
        what: what is read, for the error.
        own: the fields of which a real one has at least one. An object with none of them, but with an error's, is the
            error of a gateway that says 200 (evidence C: the TypeScript playground's mock answers).

    Raises:
        OctaDecodeError: it is anything else, or an error.
    """
    if isinstance(payload, dict):
        if own and any(payload.get(name) for name in _ERROR_FIELDS) and all(payload.get(name) is None for name in own):
            # Its text is not quoted: it is the server's, and may repeat what was sent.
            raise OctaDecodeError(
                f"{what}: the API answered with an error in its place, though with a status that says success. "
                "Look at .body for the reason; try again later.",
                what=what,
                body=shown(payload),
            )
        return payload
    raise OctaDecodeError(
        f"{what}: the API answered {type(payload).__name__} where an object belongs. "
        "Look at .body; a newer octa-provider may know this form.",
        what=what,
        body=shown(payload),
    )
