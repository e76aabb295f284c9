"""A list of records, of which a bad one never costs the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, overload

from octa_provider.errors import OctaDecodeError
from octa_provider.text.loggers import plain_logger
from octa_provider.wire.exact_json import shown

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Records", "decode_list", "read_list"]

_log = plain_logger(__name__)

# What has been warned about already: a poll every five seconds must not fill the log with the same line.
_warned: set[str] = set()
_MAX_WARNED = 1000

T_co = TypeVar("T_co", covariant=True)


class _Decodable(Protocol):
    @classmethod
    def from_payload(cls, payload: object) -> Self: ...


D = TypeVar("D", bound=_Decodable)
R = TypeVar("R")
T = TypeVar("T")


class Records(Sequence[T_co], Generic[T_co]):
    """The good records of a list, in its order: index, iterate, `len`. A slice is a plain tuple.

    Attributes:
        odd: the records that could not be read, as received.
    """

    __slots__ = ("_good", "odd")

    def __init__(self, good: Iterable[T_co] = (), odd: Iterable[object] = ()) -> None:
        self._good: tuple[T_co, ...] = tuple(good)
        self.odd: tuple[object, ...] = tuple(odd)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, index: int | slice) -> T_co | tuple[T_co, ...]:
        """One record, or a tuple of several."""
        return self._good[index]

    def __len__(self) -> int:
        """How many records could be read."""
        return len(self._good)

    def __iter__(self) -> Iterator[T_co]:
        """The records in the order of the answer."""
        return iter(self._good)

    def __eq__(self, other: object) -> bool:
        """Equal when both the good and the odd records are."""
        if not isinstance(other, Records):
            return NotImplemented
        return self._good == other._good and self.odd == other.odd

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """The good records, and how many odd ones there are: those may hold anything."""
        return f"Records({list(self._good)!r}, odd={len(self.odd)})"


def decode_list(model: type[D], payload: object, what: str) -> Records[D]:
    """Decode a list, record by record. An odd one is kept raw in `.odd` and logged once per `what`, never raised.

    Args:
        model: the model of one record.
        payload: the decoded JSON.
        what: what is read, for the error and the log, such as `GET /sessions`. A fixed text, no ids in it.

    Raises:
        OctaDecodeError: the payload is not a list.
    """
    if not isinstance(payload, list):
        raise OctaDecodeError(
            f"{what}: the API answered {type(payload).__name__} where a list belongs. "
            "Look at .body; a newer octa-provider may know this form.",
            what=what,
            body=shown(payload),
        )
    return read_list(payload, model.from_payload, what)


def read_list(
    records: Sequence[R], read: Callable[[R], T], what: str, received: Callable[[R], object] = lambda record: record
) -> Records[T]:
    """Read records one by one; an odd one is kept in `.odd` and logged once per `what`.

    Args:
        records: in the order of the answer.
        read: makes one of a record; raises OctaDecodeError for an odd one.
        what: what is read, for the log.
        received: an odd record as the API sent it.
    """
    good: list[T] = []
    odd: list[object] = []
    first: OctaDecodeError | None = None
    for record in records:
        try:
            good.append(read(record))
        except OctaDecodeError as error:
            odd.append(received(record))
            first = first or error
    if first is not None and what not in _warned and len(_warned) < _MAX_WARNED:
        _warned.add(what)
        _log.warning(
            "%s: %d of %d records could not be read and are kept as received in .odd (said once). The first: %s",
            what,
            len(odd),
            len(records),
            first,
        )
    return Records(good, odd)
