"""A job's own return value: what its command has written into a JSON file there, read as a stranger's text.

This file imports no HTTP library.
"""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Iterable
from typing import Any, NoReturn

from octa_provider.errors import OctaConfigError
from octa_provider.text.carried import LEAST_INTEGER, MOST_INTEGER, carried

__all__ = ["MOST_VALUE_BYTES", "checked_result_file", "read_value"]

#: It travels whole through XCom, Prefect's results and our states, which are databases: what is larger is an output.
MOST_VALUE_BYTES = 256_000
#: What carries it nests it a few levels deeper, and has a limit of its own: see `octa_provider.text.carried`.
MOST_LEVELS = 32
_TOO_DEEP = f"is nested deeper than {MOST_LEVELS} levels"


def checked_result_file(value: object, inputs: Iterable[str]) -> str | None:
    """The path of a job's result file, relative to the command's folder; None for none.

    Args:
        value: what was given.
        inputs: remote paths of what is sent, which the command has not written.

    Raises:
        OctaConfigError: it can't be one.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not value or "\0" in value:
        raise OctaConfigError(
            f"result_file must be a path in the command's folder, such as 'result.json', not {value!r}"
        )
    if (
        value.startswith(("/", "~"))
        or value.endswith("/")
        or ".." in value.split("/")
        or posixpath.normpath(value) == "."
    ):
        raise OctaConfigError(
            f"result_file={value!r} must be a file in the command's folder: give a plain relative path, such as "
            "'result.json'"
        )
    if posixpath.normpath(value) in map(posixpath.normpath, inputs):
        raise OctaConfigError(f"result_file={value!r} is one of the inputs: have the command write another file")
    return value


def read_value(data: bytes) -> Any:
    """The value that a command has written.

    Args:
        data: the file, of no more than `MOST_VALUE_BYTES`.

    Returns:
        dict, list, str, int of 64 bits, finite float, bool or None; halves of surrogate pairs and NUL in texts, which a
        database can't hold, are U+FFFD.

    Raises:
        ValueError: it is no such value; says why, as `is empty`.
    """
    if len(data) > MOST_VALUE_BYTES:
        from octa_provider.files.limits import shown_size

        raise ValueError(f"is {shown_size(len(data))}, and a return value at most {shown_size(MOST_VALUE_BYTES)}")
    if not data.strip():
        raise ValueError("is empty")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is no UTF-8 text") from None
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_int=_whole, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _refuse_deeper(value)
    return carried(value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"holds {name}, which is no JSON: write null, or text")


def _whole(digits: str) -> int:
    # Digits without end take their square to read.
    value = int(digits) if len(digits) <= len(str(LEAST_INTEGER)) else MOST_INTEGER + 1
    if not LEAST_INTEGER <= value <= MOST_INTEGER:
        raise ValueError(f"holds a whole number of more than 64 bits ({digits[:12]}...): write it as text")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"holds a number that is too large ({text[:12]}): write it as text")
    return value


def _refuse_deeper(value: object) -> None:
    """Without recursion, since that is what it is for."""
    layer: list[dict[str, object] | list[object]] = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MOST_LEVELS):
        layer = [part for one in layer for part in _parts(one) if isinstance(part, (dict, list))]
        if not layer:
            return
    raise ValueError(_TOO_DEEP)


def _parts(value: dict[str, object] | list[object]) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value
