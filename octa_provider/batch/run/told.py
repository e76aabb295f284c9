"""What a machine's thread is ordered to do, and what it tells. Values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from octa_provider.batch.folder.pause_note import KeptOrder
    from octa_provider.batch.renderers.log_rule import Failure
    from octa_provider.batch.renderers.preflight import Preflight
    from octa_provider.errors import OctaError
    from octa_provider.rental.rental import Rental
    from octa_provider.rental.terms import Bill

__all__ = [
    "Bad",
    "Began",
    "Begin",
    "Broke",
    "Came",
    "Crashed",
    "Done",
    "Drop",
    "Lost",
    "Order",
    "Pause",
    "Paused",
    "PreflightWanted",
    "Preflighted",
    "Ready",
    "Refused",
    "Rented",
    "Skip",
    "Skipped",
    "Stopped",
    "Told",
    "as_clause",
]

#: Of a reason.
_MOST_CHARS = 500


@dataclass(frozen=True)
class PreflightWanted:
    """Order: ask what the scene says of itself; then `Preflighted`."""


@dataclass(frozen=True)
class Begin:
    """Order: render these frames, in this order; then `Came` or `Bad` for each, and `Done` or `Broke`.

    Attributes:
        frames: their numbers.
        processes: how many processes share them: one a GPU.
        number: names the order in what is told of its end.
    """

    frames: tuple[int, ...]
    processes: int = 1
    number: int = 0


@dataclass(frozen=True)
class Skip:
    """Order: do not begin these frames any more; then `Skipped` with those that had not begun.

    Attributes:
        frames: their numbers, ascending.
        number: names the order in the answer.
    """

    frames: tuple[int, ...]
    number: int


@dataclass(frozen=True)
class Drop:
    """Order: another machine has rendered this frame: go on without it.

    Attributes:
        frame: its number.
    """

    frame: int


@dataclass(frozen=True)
class Pause:
    """Order: fetch what there is, then `Paused`. It goes on as before.

    Attributes:
        number: names the order in the answer.
    """

    number: int


Order: TypeAlias = PreflightWanted | Begin | Skip | Drop | Pause


@dataclass(frozen=True)
class Rented:
    """A session runs, and bills.

    Attributes:
        rental: its handle.
    """

    rental: Rental


@dataclass(frozen=True)
class Refused:
    """No session was started.

    Attributes:
        reason: why, as one clause.
        is_gone: whether the machine is not to be had; else nobody could be asked, or nothing is left to pay with.
        error: what was raised.
    """

    reason: str
    is_gone: bool
    error: Exception


@dataclass(frozen=True)
class Ready:
    """The machine is up and has the scene.

    Attributes:
        uplink_mbps: how quick the scene went there, in Mbit/s; None where it is too small to tell.
    """

    uplink_mbps: float | None


@dataclass(frozen=True)
class Preflighted:
    """What the scene says of itself.

    Attributes:
        preflight: that.
        was_told: whether the renderer ran to its end; else it may be the machine that can't run it.
    """

    preflight: Preflight
    was_told: bool


@dataclass(frozen=True)
class Began:
    """The machine is at a frame now.

    Attributes:
        frame: its number.
        load_s: how long its process took until then, in seconds, if it is the first one of it.
    """

    frame: int
    load_s: float | None = None


@dataclass(frozen=True)
class Came:
    """A whole frame is here, and accepted unless another copy was first.

    Attributes:
        frame: its number.
        seconds: what it took, in seconds; None when that tells nothing of the next ones.
        first_s: for a process's first frame, what it took since it began, in seconds.
        is_accepted: False when another copy was first.
        size: bytes of its files.
    """

    frame: int
    seconds: float | None
    first_s: float | None
    is_accepted: bool
    size: int


@dataclass(frozen=True)
class Bad:
    """A frame is here that is not whole.

    Attributes:
        frame: its number.
        flaw: what is wrong with it, as one clause.
        is_full: whether the machine's disk is full.
    """

    frame: int
    flaw: str
    is_full: bool = False


@dataclass(frozen=True)
class Done:
    """All frames of the order have come; the machine is idle.

    Attributes:
        number: of the order.
    """

    number: int = 0


@dataclass(frozen=True)
class Broke:
    """The order's processes have ended, and frames are missing; the machine is idle.

    Attributes:
        frames: those that are missing, in their order.
        failure: how it failed; None where it says that all is well.
        made: how many frames came of the order.
        is_full: whether the machine's disk is full.
        number: of the order.
        claimed: those of them that the renderer says it has rendered.
    """

    frames: tuple[int, ...]
    failure: Failure | None
    made: int
    is_full: bool = False
    number: int = 0
    claimed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """Frames that the machine will not begin.

    Attributes:
        frames: their numbers.
        number: of the order.
    """

    frames: tuple[int, ...]
    number: int


@dataclass(frozen=True)
class Paused:
    """All that it had rendered is here, and it could be left to itself.

    Attributes:
        order: what it renders; None where it is at nothing, or at something that can't be gone on with later.
        number: of the `Pause`.
    """

    order: KeptOrder | None
    number: int


@dataclass(frozen=True)
class Lost:
    """The machine can't be used any more; it is being stopped.

    Attributes:
        reason: why, as one clause.
    """

    reason: str


@dataclass(frozen=True)
class Crashed:
    """The thread met something that is not the machine's fault; the machine is being stopped.

    Attributes:
        error: what.
    """

    error: Exception


@dataclass(frozen=True)
class Stopped:
    """The session was seen gone, or never was; the last word of a thread.

    Attributes:
        bill: what it came to; None when none was started, as far as is known.
        error: why it may still run.
    """

    bill: Bill | None
    error: Exception | None = None


Told: TypeAlias = (
    Rented
    | Refused
    | Ready
    | Preflighted
    | Began
    | Came
    | Bad
    | Done
    | Broke
    | Skipped
    | Paused
    | Lost
    | Crashed
    | Stopped
)


def as_clause(error: OctaError) -> str:
    """An error as one clause of a longer sentence, on one line.

    Args:
        error: what was raised; strangers may have written parts of it.
    """
    lines = (line.strip() for line in str(error).splitlines())
    return "; ".join(line for line in lines if line).replace(":; ", ": ")[:_MOST_CHARS]
