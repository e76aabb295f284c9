"""A JSON value that Airflow would not carry as it is: a machine has made it, and nobody checks what it makes.

Airflow marks its own objects by some keys of a dict. Where a stranger's dict has one, its event can't be stored, which
keeps a triggerer busy for ever, or another value comes out of XCom than went in.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from octa_provider.text.carried import MOST_LEVELS

__all__ = ["read_json", "why_not_carried"]

# No name for these is the same in all versions.
_ALONE = ("__classname__", "__id__")
_TOGETHER = ("__type", "__var")


def read_json(text: str) -> Any:
    """The value of a JSON text that Airflow can carry.

    Args:
        text: a stranger's.

    Raises:
        ValueError: it is none; says why.
        RecursionError: it is nested too deep to be read.
    """
    value = json.loads(text, parse_constant=_refuse_constant)
    if (why := why_not_carried(value)) is not None:
        raise ValueError(why)
    return value


def why_not_carried(value: object) -> str | None:
    """What keeps Airflow from carrying a JSON value, as half a sentence; None when nothing does.

    Args:
        value: of dict, list, str, int, float, bool and None alone.
    """
    layer, levels = [value], 0
    while layer:
        for one in layer:
            if isinstance(one, float) and not math.isfinite(one):
                return "it holds a number that is too large, or none: write it as text"
            if isinstance(one, dict) and (key := _marks_an_object(one)) is not None:
                return f"it has a key {key}, by which Airflow knows objects of its own: give it another name"
        parts = [list(one.values()) if isinstance(one, dict) else one for one in layer if isinstance(one, dict | list)]
        layer, levels = [part for some in parts for part in some], levels + bool(parts)
        if levels > MOST_LEVELS:
            return f"it is nested deeper than {MOST_LEVELS} levels"
    return None


def _marks_an_object(one: dict[str, Any]) -> str | None:
    alone = next((key for key in _ALONE if key in one), None)
    return alone or (_TOGETHER[0] if all(key in one for key in _TOGETHER) else None)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no JSON: write None, or text")
