"""A list whose records are read straight from their bytes, without a dict of each in between.

What is not as the API is known to send it is read as a whole instead, by `octa_provider.wire.records`: the same comes
out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from octa_provider.text.carried import LEAST_INTEGER, MOST_INTEGER
from octa_provider.wire.exact_json import decode_json
from octa_provider.wire.records import Records, read_list

__all__ = ["NULL", "Whole", "payload_of", "read_raw_list"]

#: A whole number that `fields.count` leaves as it is.
Whole = Annotated[int, msgspec.Meta(ge=LEAST_INTEGER, le=MOST_INTEGER)]
#: What a field that is left out holds.
NULL = msgspec.Raw(b"null")

T = TypeVar("T")

_RECORDS = msgspec.json.Decoder(list[msgspec.Raw])


def read_raw_list(body: bytes, read: Callable[[msgspec.Raw], T], what: str) -> Records[T] | None:
    """The records of a list, as `read_list` gives them.

    Args:
        body: the answer.
        read: makes one of a record; raises OctaDecodeError for an odd one.
        what: what is read, for the log, such as `GET /sessions`.

    Returns:
        None for a body that has to be read as a whole: no list, not UTF-8, no JSON, half a surrogate pair.
    """
    try:
        if not body.isascii():
            body.decode()
        return read_list(_RECORDS.decode(body), read, what, received=payload_of)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def payload_of(piece: msgspec.Raw) -> object:
    """The plain value of a piece.

    Args:
        piece: a record, or a field of one.
    """
    return decode_json(bytes(piece))
