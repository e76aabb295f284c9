"""Operator arguments that are known only when the task runs: templates, and results of other tasks."""

from __future__ import annotations

import ast
import math
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

__all__ = [
    "as_codes",
    "as_flag",
    "as_float",
    "as_int",
    "as_ints",
    "as_names",
    "as_text",
    "as_texts",
    "as_word",
    "check_known",
    "checked_cap",
    "checked_deadline",
    "checked_wait",
    "is_known",
    "known_texts",
    "refuse_empty_cap",
    "refuse_text_flags",
]

#: What an empty value becomes when a template renders it: `{{ params.country }}` of None is the text `None`.
_NOTHING = frozenset({"", "None"})
_PLAIN = (int, float, type(None))


def is_known(value: object) -> bool:
    """Whether a value is final when the DAG file is parsed, and can be checked there.

    Args:
        value: what an operator was given.
    """
    if isinstance(value, str):
        return not any(mark in value for mark in ("{{", "{%", "{#"))
    # Most arguments, and quicker than to ask `Mapping` of a class that it has not seen.
    if isinstance(value, _PLAIN):
        return True
    if isinstance(value, Mapping):
        return all(is_known(part) for part in (*value.keys(), *value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(is_known(part) for part in value)
    # XComArg, MappedArgument and their like, without importing where each Airflow keeps them.
    return not (hasattr(value, "iter_references") and hasattr(value, "resolve"))


def check_known(operator: object, **checks: Callable[[Any], object]) -> None:
    """Check those arguments of an operator that are final when the DAG file is parsed; the others wait for `execute`.

    Args:
        operator: whose attributes they are.
        checks: by the attribute's name, what raises for a value that can never work.

    Raises:
        ValueError: naming the argument and what to do.
    """
    for name, check in checks.items():
        if is_known(value := getattr(operator, name)):
            check(value)


def as_text(name: str, value: Any) -> str | None:
    """A rendered argument as text; None for one that rendered to nothing.

    Args:
        name: the argument's name, for the error.
        value: the rendered value.

    Raises:
        ValueError: it is a collection, which no text is.
    """
    if value is None:
        return None
    _refuse_collection(name, value)
    return None if str(value).strip() in _NOTHING else str(value)


def as_int(name: str, value: Any) -> int | None:
    """A rendered argument as a whole number; None for one that rendered to nothing.

    Args:
        name: the argument's name, for the error.
        value: the rendered value.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, bool):
        raise ValueError(f"{name}={value!r} is not a whole number; give one, such as {name}=1.")
    if value is None or isinstance(value, int):
        return value
    _refuse_collection(name, value, "a whole number")
    text = as_text(name, value)
    try:
        return None if text is None else int(text)
    except ValueError:
        raise ValueError(f"{name}={value!r} is not a whole number; give one, such as {name}=1.") from None


def as_float(name: str, value: Any) -> float | None:
    """A rendered argument as a number; None for one that rendered to nothing.

    Args:
        name: the argument's name, for the error.
        value: the rendered value.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, bool):
        raise ValueError(f"{name}={value!r} is not a number; give one, such as {name}=0.5.")
    _refuse_collection(name, value, "a number")
    text = value if isinstance(value, int | float) else as_text(name, value)
    try:
        known = None if text is None else text if isinstance(text, int) else float(text)
    except ValueError:
        known = math.nan
    if known is not None and not abs(known) <= sys.float_info.max:
        raise ValueError(f"{name}={value!r} is not a number; give one, such as {name}=0.5.")
    return known


def as_flag(name: str, value: Any) -> bool | None:
    """A rendered argument as true or false; None for one that rendered to nothing.

    Args:
        name: the argument's name, for the error.
        value: the rendered value.

    Raises:
        ValueError: it is something else.
    """
    text = as_text(name, value)
    if text is None:
        return None
    if text.lower() not in {"true", "false"}:
        raise ValueError(
            f"{name}={value!r} is neither true nor false; give {name}=True, {name}=False, or leave it out."
        )
    return text.lower() == "true"


def as_texts(name: str, values: Mapping[Any, Any] | None) -> dict[str, str]:
    """A rendered mapping of texts to texts, such as environment variables; empty for none.

    Args:
        name: the argument's name, for the error.
        values: the rendered mapping.

    Raises:
        ValueError: it is something else.
    """
    if values is not None and not isinstance(values, Mapping):
        raise ValueError(f"{name} is a {type(values).__name__}; give a mapping of names to texts.")
    return {
        os.fspath(key) if isinstance(key, os.PathLike) else str(key): as_word(f"{name}[{key!r}]", value)
        for key, value in (values or {}).items()
    }


def known_texts(name: str, values: Any) -> dict[str, str]:
    """What is known of a mapping when the DAG file is parsed: a value that is known later is left empty.

    Args:
        name: the argument's name, for the error.
        values: what was given.

    Raises:
        ValueError: it is no mapping of names to texts, and will be none.
    """
    if not isinstance(values, Mapping):
        return as_texts(name, values) if is_known(values) else {}
    return as_texts(name, {key: value if is_known(value) else "" for key, value in values.items()})


def as_word(name: str, value: Any) -> str:
    """A rendered value that becomes one text, such as an environment variable or an argument of a command.

    Args:
        name: the argument's name, for the error.
        value: the rendered value.

    Raises:
        ValueError: it is a collection.
    """
    _refuse_collection(name, value)
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _refuse_collection(name: str, value: object, wanted: str = "text") -> None:
    if not isinstance(value, (str, *_PLAIN)) and isinstance(value, Mapping | list | tuple | set | frozenset):
        raise ValueError(f"{name}={value!r} is a {type(value).__name__}, and {wanted} was wanted: give {wanted}.")


def refuse_text_flags(**flags: object) -> None:
    """Refuse text where a flag is wanted that is no template: `False` as text would be taken for true.

    Args:
        flags: by their names, what was given.

    Raises:
        ValueError: one is text, or another task's output.
    """
    for name, value in flags.items():
        if isinstance(value, str) or not is_known(value):
            raise ValueError(f"{name}={value!r} is neither True nor False, and no template is rendered here: give one.")


def as_codes(name: str, codes: int | Collection[int] | None) -> frozenset[int]:
    """Exit codes: one, several, or none.

    Args:
        name: the argument's name, for the error.
        codes: what was given.

    Raises:
        ValueError: one of them cannot be an exit code.
    """
    given = () if codes is None else (codes,) if isinstance(codes, int) else tuple(codes)
    if any(isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 255 for code in given):
        raise ValueError(f"{name}={codes!r}: exit codes are whole numbers from 0 to 255.")
    return frozenset(given)


def as_ints(name: str, ports: Sequence[int | str] | int | str | None) -> tuple[int, ...]:
    """Rendered whole numbers, such as ports: a sequence, one number, or text with commas.

    Args:
        name: the argument's name, for the error.
        ports: the rendered value.

    Raises:
        ValueError: one of them is no whole number.
    """
    if isinstance(ports, str):
        ports = [part for part in ports.strip("[]() ").split(",") if part.strip()]
    parts = [ports] if isinstance(ports, int) else ports or ()
    return tuple(port for port in (as_int(name, part) for part in parts) if port is not None)


def as_names(name: str, value: Any) -> str | tuple[str, ...] | None:
    """A rendered name, or several: a sequence, or the text that a template makes of one; None for none.

    Args:
        name: the argument's name, for the error.
        value: the rendered value.

    Raises:
        ValueError: one of them is no text.
    """
    if isinstance(value, str) and value.strip().startswith(("[", "(")):
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise ValueError(f"{name}={value!r} is no list: give one, or one text.") from None
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(as_word(name, part) for part in value)
    return as_text(name, value)


def checked_deadline(deadline_s: Any, name: str = "deadline_s", example: float = 300) -> float:
    """A rendered number of seconds that something may take.

    Args:
        deadline_s: the value.
        name: the argument's name, for the error.
        example: seconds that would do, for the error.

    Raises:
        ValueError: it leaves no time, or is no number of seconds that could ever pass.
    """
    known = as_float(name, deadline_s)
    if known is None or not known > 0 or not math.isfinite(known):
        raise ValueError(f"{name}={deadline_s!r} leaves no time: give seconds above 0, such as {example}.")
    return known


def checked_wait(wait_for_machine_s: Any) -> float:
    """A rendered `wait_for_machine_s`; 0 for none.

    Args:
        wait_for_machine_s: the value.

    Raises:
        ValueError: it is no number of seconds.
    """
    from octa_provider.timing.limits import checked_seconds

    return checked_seconds("wait_for_machine_s", as_float("wait_for_machine_s", wait_for_machine_s) or 0.0)


def checked_cap(name: str, value: Any) -> float | None:
    """A rendered cap, such as `max_cost_usd` or `max_duration_s`; None for none.

    Args:
        name: the argument's name, for the error.
        value: the rendered value.

    Raises:
        ValueError: it caps nothing, or everything, or its template came to nothing at all.
    """
    refuse_empty_cap(name, value)
    known = as_float(name, value)
    if known is not None and not (math.isfinite(known) and known > 0):
        raise ValueError(f"{name}={value!r} is no cap: give a number above 0, or leave it out.")
    return known


def refuse_empty_cap(name: str, value: Any) -> None:
    """Refuse a cap whose template came to nothing, such as that of a field that somebody left empty: money needs a yes.

    Args:
        name: the argument's name, for the error.
        value: the rendered value.

    Raises:
        ValueError: it is text without anything in it.
    """
    if isinstance(value, str) and not value.strip():
        raise ValueError(f"{name} is empty, which caps nothing: give a number above 0, or None where no cap is meant.")
