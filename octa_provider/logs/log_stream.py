"""A session's logs as they come over the wire: the container's text goes to disk, whatever its size.

`GET /services/{uuid}/logs` answers `{"container": "<the whole text>", "system": [{ts, msg}]}` every time (evidence S),
and a container may print a gigabyte. So the answer is never held: it is read piece by piece, the text is unescaped on
the way and written to a temporary file of bounded size, and of the system log only the last entries are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from octa_provider.errors import OctaDecodeError
from octa_provider.logs.json_stream import JsonPieces
from octa_provider.logs.spool import MOST_BYTES, EndOfText, SpooledText
from octa_provider.models import Logs, SystemEntry

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["SpooledLogs", "SpooledText", "read_system", "spool_logs"]

MAX_SYSTEM_ENTRIES = 1000
MAX_ENTRY_BYTES = 64 * 1024
WHAT = "GET /services/{uuid}/logs"


@dataclass(frozen=True)
class SpooledLogs:
    """One answer of the logs endpoint.

    Attributes:
        container: what the container printed so far; empty when the answer has none.
        system: the last entries of the platform's log.
    """

    container: SpooledText
    system: tuple[SystemEntry, ...]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.container.close()


def spool_logs(
    chunks: Iterable[bytes],
    *,
    folder: Path | None = None,
    system_entries: int = MAX_SYSTEM_ENTRIES,
    most_bytes: int = MOST_BYTES,
    secret: str | None = None,
) -> SpooledLogs:
    """Read an answer of the logs endpoint into a temporary file. Memory and disk stay bounded whatever comes.

    The same log gives the same bytes every time, wherever the chunks end.

    Args:
        chunks: the body, in pieces of any size.
        folder: where the temporary file is made; the system's choice when left out.
        system_entries: how many of the last system entries to keep.
        most_bytes: of the container's text: of a longer one, or where the disk is full, its end is kept.
        secret: stands nowhere in what is kept: as many asterisks stand in its place.

    Raises:
        OctaDecodeError: the answer breaks off, is not JSON, is not an object, or its `container` is no text.
    """
    file = EndOfText(folder, most_bytes)
    try:
        scanner = JsonPieces(chunks, WHAT)
        system: object = None
        for key in scanner.members():
            if key == b"container":
                # A key that comes twice counts as it does everywhere in JSON: the last one.
                file.clear()
                for piece in _masked(_container(scanner), (secret or "").encode()):
                    file.write(piece)
            elif key == b"system":
                system = _system(scanner, system_entries)
            else:
                scanner.value(MAX_ENTRY_BYTES)
    except BaseException:
        file.close()
        raise
    entries = Logs.from_payload({"system": system}).system[-system_entries:]
    return SpooledLogs(file, entries)


def read_system(chunks: Iterable[bytes], *, system_entries: int = MAX_SYSTEM_ENTRIES) -> tuple[SystemEntry, ...]:
    """The platform's last entries out of an answer of the logs endpoint. What the container printed is kept nowhere.

    Args:
        chunks: the answer as it comes.
        system_entries: so many of them, the last ones, are kept.

    Raises:
        OctaDecodeError: the answer breaks off, is not JSON, or is not an object.
    """
    scanner = JsonPieces(chunks, WHAT)
    system: object = None
    for key in scanner.members():
        if key == b"system":
            system = _system(scanner, system_entries)
        else:
            scanner.value(MAX_ENTRY_BYTES)
    return Logs.from_payload({"system": system}).system[-system_entries:]


def _container(scanner: JsonPieces) -> Iterator[bytes]:
    """The text, unescaped; also from a list of lines, as `Logs` takes it."""
    start = scanner.next_byte()
    if start == b'"':
        yield from scanner.string()
    elif start == b"[":
        separator = b""
        for _ in scanner.items():
            if scanner.next_byte() == b'"':
                yield separator
                yield from scanner.string()
                separator = b"\n"
            else:
                scanner.value(MAX_ENTRY_BYTES)
    elif scanner.value(MAX_ENTRY_BYTES) is not None:
        raise OctaDecodeError(f"{WHAT}: `container` is not text", what=WHAT)


def _masked(pieces: Iterable[bytes], secret: bytes) -> Iterator[bytes]:
    """The same pieces, wherever they are cut, without the secret. No byte moves: a follower counts them."""
    kept = b""
    for piece in pieces:
        data = (kept + piece).replace(secret, b"*" * len(secret)) if secret else piece
        at = max(0, len(data) - len(secret) + 1) if secret else len(data)
        kept = data[at:]
        yield data[:at]
    yield kept


def _system(scanner: JsonPieces, entries: int) -> object:
    """The last entries, or whatever else stands there if it is small."""
    if scanner.next_byte() != b"[":
        return scanner.value(MAX_ENTRY_BYTES)
    return list(deque((scanner.value(MAX_ENTRY_BYTES) for _ in scanner.items()), maxlen=entries))
