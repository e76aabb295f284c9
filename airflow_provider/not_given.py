"""An argument that was left out: the DAG's `default_args`, and then the operator's own default, count for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

__all__ = ["NOT_GIVEN", "given_of"]


class _NotGiven:
    """What a parameter holds that nobody gave anything for."""

    def __repr__(self) -> str:
        return "NOT_GIVEN"


#: The default of what is handed on to an operator only where it was given.
NOT_GIVEN: Any = _NotGiven()


def given_of(arguments: Mapping[str, Any], *, but: Collection[str]) -> dict[str, Any]:
    """Those arguments that were given, to be handed on.

    Args:
        arguments: by name, such as `locals()` as the first thing that a function does.
        but: those that are not handed on.
    """
    return {name: value for name, value in arguments.items() if value is not NOT_GIVEN and name not in but}
