"""Idle jobs of the account's own nodes, and their packed logs."""

from __future__ import annotations

import binascii
import zlib
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from octa_provider.wire.exact_json import require_object
from octa_provider.wire.fields import count, flag, label, moment, text
from octa_provider.wire.model import Model

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MAX_LOG_BYTES", "IdleJob", "IdleJobLogs"]

#: Logs are unpacked to at most this many bytes: a few KB of gzip can hold gigabytes.
MAX_LOG_BYTES = 64 * 1024 * 1024

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_IN_BASE64 = "H4sI"
_GZIP_WINDOW = 31
_CHUNK = 256


class IdleJob(Model, frozen=True, kw_only=True):
    """`GET /idle_jobs/{node_id}/{job_id}` (evidence S; C for what is told of a job that is over).

    Attributes:
        job_id: the job; None when the answer does not repeat it.
        node_id: its node.
        status: the API's word, such as `running` or `completed`.
        command: what it runs.
        is_up: whether it runs; None when the answer does not say.
        uptime_s: seconds it has run.
        error: what went wrong.
        created_at, finished_at: aware, UTC.
    """

    job_id: str | None = None
    node_id: int | None = None
    status: str | None = None
    command: str | None = None
    is_up: bool | None = None
    uptime_s: int | None = None
    error: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object."""
        raw = require_object(payload, "idle job")
        return cls(
            raw=raw,
            job_id=label(raw.get("id")),
            node_id=count(raw.get("node_id")),
            status=label(raw.get("status")),
            command=text(raw.get("command")),
            is_up=flag(raw.get("is_up")),
            uptime_s=count(raw.get("uptime")),
            error=label(raw.get("error")),
            created_at=moment(raw.get("created_at")),
            finished_at=moment(raw.get("finished_at")),
        )


class IdleJobLogs(Model, frozen=True, kw_only=True):
    """`GET /idle_jobs/{node_id}/{job_id}/logs`: gzip in base64, or a list of `{line, text}` (evidence S, C).

    Attributes:
        text: the log; empty when there is none or it cannot be unpacked. What was readable of a damaged one is kept.
        truncated: True when it was longer than `MAX_LOG_BYTES`, or damaged, so that its end is missing.
    """

    hidden: ClassVar[tuple[str, ...]] = ("raw", "text")

    text: str = ""
    truncated: bool = False

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is neither an object nor a list."""
        raw = require_object({"data": payload} if isinstance(payload, list) else payload, "idle job logs", ("data",))
        data = raw.get("data")
        if isinstance(data, list):
            return cls(raw=raw, text="\n".join(map(_line, data)))
        packed = _packed(data)
        if packed is None:
            # Not packed at all: take the text as it is.
            return cls(raw=raw, text=data if isinstance(data, str) else "")
        unpacked, whole = _unpack(packed, MAX_LOG_BYTES)
        return cls(raw=raw, text=unpacked.decode("utf-8", "replace"), truncated=not whole)


def _line(entry: object) -> str:
    line = entry.get("text") if isinstance(entry, dict) else entry
    return (text(line) or "").rstrip("\r\n")


def _packed(data: object) -> bytes | None:
    """The gzip bytes, or None when the data is no gzip in base64."""
    if not isinstance(data, str):
        return None
    letters = "".join(data.split())
    if not letters.startswith(_GZIP_IN_BASE64):
        return None
    try:
        # A log that was cut short need not end on a whole group of four.
        return binascii.a2b_base64(letters[: len(letters) // 4 * 4])
    except ValueError:
        return None


def _unpack(packed: bytes, limit: int) -> tuple[bytes, bool]:
    """At most `limit` bytes of gzip, and whether that is all there was. In chunks: damage costs only what follows."""
    unpacked = bytearray()
    at = 0
    while packed.startswith(_GZIP_MAGIC, at):
        member = zlib.decompressobj(_GZIP_WINDOW)
        while at < len(packed) and not member.eof:
            chunk = packed[at : at + _CHUNK]
            at += len(chunk)
            try:
                unpacked += member.decompress(chunk, limit - len(unpacked) + 1)
            except zlib.error:
                return bytes(unpacked), False
            if len(unpacked) > limit:
                return bytes(unpacked[:limit]), False
        if not member.eof:
            return bytes(unpacked), False
        at -= len(member.unused_data)
    return bytes(unpacked), True
