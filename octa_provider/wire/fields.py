"""Decoders of single fields: any JSON value in, one clean type or None out. None of them ever raises."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import Any

from octa_provider.text.carried import LEAST_INTEGER, MOST_INTEGER
from octa_provider.wire.exact_json import decode_json
from octa_provider.wire.money import WEI_PER_OCTA

__all__ = [
    "amount",
    "bandwidth_mbps",
    "count",
    "ether_as_wei",
    "flag",
    "integer",
    "items",
    "label",
    "mapping",
    "moment",
    "number",
    "port_map",
    "port_number",
    "ports",
    "string_map",
    "strings",
    "text",
    "url_map",
    "usd_from_ten_thousandths",
    "wei",
]

# The chain's own numbers end at 256 bits; a longer one is no number of ours.
_INTEGER_LIMIT = 2**256
_EXACT_FLOATS = 9007199254740992  # 2^53, written out so that its negative is a constant too
_INTEGER = re.compile(r"[+-]?[0-9]{1,80}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,80}\.?[0-9]{0,80}|\.[0-9]{1,80})([eE][+-]?[0-9]{1,3})?")
_ISO = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<clock>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:[.,](?P<fraction>[0-9]{1,12}))?)?"
    r" ?(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_BYTES_PER_MBIT = 125_000
_LARGEST_MBPS = 100_000
_MILLISECONDS_FROM = 10_000_000_000
_WEI_PER_ETHER = Decimal(WEI_PER_OCTA)
# The default context rounds to 28 digits: less than a large balance has.
_EXACTLY = Context(prec=400)


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, str):
        written = value.strip()
        return Decimal(written) if _NUMBER.fullmatch(written) else None
    if type(value) is int and _bounded(value) is not None:
        return Decimal(value)
    if type(value) is float and math.isfinite(value):
        # The shortest text that gives this float is more likely what was sent than the float's own digits.
        return Decimal(repr(value))
    return None


def _bounded(value: int) -> int | None:
    return value if -_INTEGER_LIMIT < value < _INTEGER_LIMIT else None


def integer(value: object) -> int | None:
    """An exact int, also for wei: from a number, digits, or a form such as `1e18` (evidence B).

    A fraction is cut off.
    """
    if type(value) is int:
        return value if -_EXACT_FLOATS < value < _EXACT_FLOATS else _bounded(value)
    if isinstance(value, float):
        # NaN and the infinities fail this comparison too.
        if -_EXACT_FLOATS < value < _EXACT_FLOATS:
            return int(value)
    elif isinstance(value, str) and _INTEGER.fullmatch(value):
        return _bounded(int(value))
    exact = _decimal(value)
    # Looked at before `int` writes the number out: `1e999` is a thousand digits.
    return None if exact is None or exact.adjusted() > 80 else _bounded(int(exact))


def count(value: object) -> int | None:
    """An int of no more than 64 bits: ids, seconds, bytes. What is longer is no such thing, and few can carry it."""
    exact = integer(value)
    return exact if exact is not None and LEAST_INTEGER <= exact <= MOST_INTEGER else None


def number(value: object) -> float | None:
    """A finite float from a number or numeric text."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if type(value) is int:
        return float(value) if _bounded(value) is not None else None
    if isinstance(value, str):
        written = value.strip()
        if _NUMBER.fullmatch(written):
            converted = float(written)
            return converted if math.isfinite(converted) else None
    return None


def amount(value: object) -> float | None:
    """A float that is not negative: a price below zero would rank first."""
    if type(value) is float:
        return value if 0 <= value < math.inf else None
    converted = number(value)
    return converted if converted is not None and converted >= 0 else None


def flag(value: object) -> bool | None:
    """A bool, also from `"true"`, `"0"` and the like, any case."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return value == 1
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return None


def text(value: object) -> str | None:
    """Text as it is; blank text counts as missing."""
    return value if isinstance(value, str) and value and not value.isspace() else None


def label(value: object) -> str | None:
    """Text, or a number as text: `termination_reason` is an int or a string (evidence C)."""
    if isinstance(value, str):
        return text(value)
    converted = number(value)
    if converted is None:
        return None
    # 3.0 is the 3 that another JSON writer sent.
    return str(integer(value)) if converted.is_integer() else str(converted)


def _opened(value: object) -> object:
    """The value inside a JSON string; anything else as it is."""
    if isinstance(value, str):
        try:
            return decode_json(value)
        except ValueError:
            return None
    return value


def items(value: object) -> list[Any]:
    """A list, also when it arrives as a JSON string (`"[5000,6000]"`, `"[]"`, `""`: evidence B)."""
    opened = _opened(value)
    return opened if isinstance(opened, list) else []


def mapping(value: object) -> dict[str, Any]:
    """An object, also when it arrives as a JSON string (`ports_matrix`, `urls`: evidence B)."""
    if isinstance(value, dict):
        return value
    opened = _opened(value)
    return opened if isinstance(opened, dict) else {}


def strings(value: object) -> tuple[str, ...]:
    """The texts of a list, or of a JSON string with a list; a single text alone is a list of one."""
    if isinstance(value, list):
        return tuple([entry for entry in value if isinstance(entry, str) and entry and not entry.isspace()])
    if isinstance(value, str) and not value.lstrip().startswith("["):
        value = [value]
    return tuple(entry for entry in items(value) if text(entry))


def port_number(value: object) -> int | None:
    """A TCP or UDP port, 1 to 65535."""
    converted = integer(value)
    return converted if converted is not None and 1 <= converted <= 65535 else None


def ports(value: object) -> list[int]:
    """Ports from a list or a JSON string; what is no port is left out."""
    return [port for port in map(port_number, items(value)) if port is not None]


def port_map(value: object) -> dict[int, int]:
    """Container port to public port, as in `{"22": 10022}`."""
    pairs = ((port_number(inner), port_number(outer)) for inner, outer in _pairs(value))
    return {inner: outer for inner, outer in pairs if inner is not None and outer is not None}


def url_map(value: object) -> dict[int | str, str]:
    """Container port or name of a service to URL: `{"8080": "https://..."}` or `{"jupyter": "https://..."}` (C)."""
    pairs = ((port_number(inner) or text(inner), text(url)) for inner, url in _pairs(value))
    return {inner: url for inner, url in pairs if inner is not None and url is not None}


def _pairs(value: object) -> Iterator[tuple[str, object]]:
    yield from mapping(value).items()


def string_map(value: object) -> dict[str, str]:
    """An environment: null becomes empty text, numbers and bools become text (evidence B), nested values their JSON."""
    return {name: _environment_text(entry) for name, entry in _pairs(value) if isinstance(name, str)}


def _environment_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        return json.dumps(value, default=str)
    except (ValueError, RecursionError):
        return ""


def bandwidth_mbps(value: object) -> float | None:
    """Mbit/s. A value above 100,000 came in bytes per second (evidence B)."""
    if (type(value) is float or type(value) is int) and 0 <= value <= _LARGEST_MBPS:
        return float(value)
    converted = amount(value)
    return converted if converted is None or converted <= _LARGEST_MBPS else converted / _BYTES_PER_MBIT


def ether_as_wei(value: object) -> int | None:
    """Wei from an amount in ether (whole OCTA)."""
    exact = _decimal(value)
    return None if exact is None or exact.adjusted() > 60 else _bounded(int(_EXACTLY.multiply(exact, _WEI_PER_ETHER)))


def wei(*values: object, ether: object = None) -> int | None:
    """A price in wei: the first of the values that tells one of 0 or more, else the amount in ether."""
    for value in values:
        price = integer(value)
        if price is not None and price >= 0:
            return price
    price = None if ether is None else ether_as_wei(ether)
    return price if price is not None and price >= 0 else None


def usd_from_ten_thousandths(value: object) -> float | None:
    """USD from `base_usd`, `storage_usd` or `traffic_usd`, which count 1/10,000 USD."""
    if type(value) is int and 0 <= value < _EXACT_FLOATS:
        return value / 10_000
    converted = amount(value)
    return None if converted is None else converted / 10_000


def moment(value: object) -> datetime | None:
    """An aware UTC datetime from Unix milliseconds, Unix seconds, or ISO 8601 text (evidence B).

    A number below 10,000,000,000 counts seconds, as in the fixtures of both official SDKs, a larger one milliseconds
    (evidence C: the Ruby playground tells them apart so). Digits as text are numbers. Text without a zone is UTC. Zero
    and negative numbers mean "not yet" and give None.
    """
    if isinstance(value, str):
        written = _ISO.fullmatch(value.strip())
        if written:
            return _from_iso(written)
    elapsed = number(value)
    if elapsed is None or elapsed <= 0:
        return None
    try:
        return _EPOCH + (
            timedelta(seconds=elapsed) if elapsed < _MILLISECONDS_FROM else timedelta(milliseconds=elapsed)
        )
    except OverflowError:
        return None


def _from_iso(written: re.Match[str]) -> datetime | None:
    # Put into the one form that `fromisoformat` of Python 3.10 reads: it knows no Z and no fraction of 1 or 9 digits.
    zone = (written["zone"] or "Z").upper()
    hours, minutes = ("+00", "00") if zone == "Z" else (zone[:3], zone[3:].lstrip(":") or "00")
    clock = written["clock"] or "00:00"
    seconds = clock if len(clock) == 8 else f"{clock}:00"
    fraction = (written["fraction"] or "0")[:6].ljust(6, "0")
    try:
        return datetime.fromisoformat(f"{written['date']}T{seconds}.{fraction}{hours}:{minutes}").astimezone(
            timezone.utc
        )
    except (ValueError, OverflowError):
        return None
