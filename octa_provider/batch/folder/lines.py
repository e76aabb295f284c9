"""The lines of a batch's journal, as values. Amounts of wei are text: JSON's readers lose digits of large numbers."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from octa_provider.batch.folder.work import Measured, Spans

__all__ = [
    "OF_DIGITS",
    "BilledLine",
    "FileLine",
    "FrameLine",
    "GivenUpLine",
    "KindLine",
    "Line",
    "MeasuredLine",
    "PlannedLine",
    "RefusedLine",
    "RentedLine",
    "RentingLine",
    "RunLine",
    "SceneLine",
    "SeenLine",
]


class FileLine(msgspec.Struct, frozen=True, gc=False):
    """One file of an accepted frame: bytes, time of its last change in ns, SHA-256 in hexadecimal."""

    bytes: int
    mtime_ns: int
    sha256: str


class KindLine(msgspec.Struct, frozen=True, gc=False):
    """What the first accepted frame's file was like: pixels, and the scene of its stamp."""

    width: int
    height: int
    scene: str | None = None


class FrameLine(msgspec.Struct, frozen=True, tag="frame", tag_field="t", gc=False, omit_defaults=True):
    """A frame is accepted; its files lie in `came` below `incoming`, until they are renamed.

    `of` is the beginning of the batch's fingerprint: each line tells for itself which scene it is about.
    """

    frame: int
    slot: int
    node_id: int
    of: str
    files: tuple[FileLine, ...]
    seconds: float | None = None
    tries: int = 1
    came: str = ""
    kind: tuple[KindLine, ...] = ()


class SeenLine(msgspec.Struct, frozen=True, tag="seen", tag_field="t", gc=False):
    """An accepted frame's files have other times of change than before, and the same contents."""

    frame: int
    mtimes_ns: tuple[int, ...]


class RefusedLine(msgspec.Struct, frozen=True, tag="refused", tag_field="t"):
    """A frame that came is not whole."""

    frame: int
    slot: int
    node_id: int
    why: str
    seconds: float | None = None


class GivenUpLine(msgspec.Struct, frozen=True, tag="given up", tag_field="t"):
    """A frame is not tried any more in this run."""

    frame: int
    why: str


class RentingLine(msgspec.Struct, frozen=True, tag="renting", tag_field="t"):
    """A machine is about to be rented under this key."""

    slot: int
    node_id: int
    key: str


class RentedLine(msgspec.Struct, frozen=True, tag="rented", tag_field="t", omit_defaults=True):
    """A machine is rented."""

    slot: int
    node_id: int
    uuid: str
    price_wei: str | None = None
    price_usd: float | None = None
    score: float | None = None


class BilledLine(msgspec.Struct, frozen=True, tag="ended", tag_field="t", omit_defaults=True):
    """A machine's rental has ended, and what it came to as far as the API tells."""

    slot: int
    why: str
    spans: Spans
    uuid: str | None = None
    charge_wei: str | None = None
    charge_usd: float | None = None
    duration_s: float | None = None


class MeasuredLine(msgspec.Struct, frozen=True, tag="measured", tag_field="t"):
    """What the first machine told."""

    measured: Measured


class PlannedLine(msgspec.Struct, frozen=True, tag="planned", tag_field="t"):
    """The plan that a run follows, as a JSON value."""

    plan: dict[str, Any]


#: So much of a fingerprint tells two scenes in one folder apart.
OF_DIGITS = 8


class SceneLine(msgspec.Struct, frozen=True, tag="scene", tag_field="t"):
    """From here on it is about the batch with this fingerprint."""

    fingerprint: str


class RunLine(msgspec.Struct, frozen=True, tag="run", tag_field="t"):
    """A run begins: when (Unix time), and for how many frames."""

    at: float
    frames: int


Line: TypeAlias = (
    FrameLine
    | SeenLine
    | RefusedLine
    | GivenUpLine
    | RentingLine
    | RentedLine
    | BilledLine
    | MeasuredLine
    | PlannedLine
    | SceneLine
    | RunLine
)
