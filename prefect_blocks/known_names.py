"""Names that nobody knows, refused in one sentence: a misspelt cap is no cap, a misspelt machine is any machine."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from octa_provider.errors import OctaConfigError
from octa_provider.text.plain_text import plain_words

__all__ = ["KnownFields", "refuse_unknown"]

#: Prefect's own, which says of what type a block is.
_OF_PREFECT = frozenset({"block_type_slug"})


class KnownFields(BaseModel):
    """A base of blocks that takes fields and nothing else; Prefect's own blocks keep what they don't know."""

    def __init__(self, **values: Any) -> None:
        known = type(self).model_fields
        refuse_unknown(type(self).__name__, [name for name in values if name not in _OF_PREFECT], known)
        super().__init__(**values)


def refuse_unknown(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names that are none.

    Args:
        what: has them, in words.
        given: the names as given.
        known: those that there are.

    Raises:
        OctaConfigError: one is none; says what may have been meant.
    """
    names = sorted(known)
    unknown = [name for name in given if name not in names]
    if not unknown:
        return
    told = []
    for name in unknown:
        near = get_close_matches(name, names, n=2) or [one for one in names if len(name) > 2 and name in one][:2]
        told.append(f"{plain_words(name)!r}" + (f" (did you mean {' or '.join(near)}?)" if near else ""))
    raise OctaConfigError(f"{what} has no {', '.join(told)}: choose from {', '.join(names)}")
