"""Values that travel between processes, read by their types from what an event, an XCom or a file has kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from octa_provider.errors import OctaConfigError

__all__ = ["read_state"]

S = TypeVar("S", bound=msgspec.Struct)


def read_state(kind: type[S], state: Mapping[str, Any], what: str) -> S:
    """The value that `to_dict` told; names that are not known are left out.

    Args:
        kind: the type of the value.
        state: as `to_dict` gave it; integers may have become text on the way.
        what: what it should be, for the error: `the state of a job`.

    Raises:
        OctaConfigError: it is something else.
    """
    try:
        return msgspec.convert(dict(state), kind, strict=False)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise OctaConfigError(f"this is not {what}: {error}") from None
