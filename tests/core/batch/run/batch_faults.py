"""What happens to machines that render a batch: each fault, how it is made, and how the batch is to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from octa_provider.batch.result import BatchOutcome

if TYPE_CHECKING:
    from octa_provider.batch.events import BatchEvent

    from .studio import Studio

__all__ = ["FAULTS", "Fault"]

Act = Callable[["Studio", "BatchEvent", dict[str, Any]], None]


def _nothing(studio: Studio, event: BatchEvent, seen: dict[str, Any]) -> None:
    """Nothing is done while it runs."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: as in the table.
        faults: what the emulator is told before the run.
        act: what is done while it runs, at each event; it may keep what it needs.
        outcome: how the batch is to end.
        told: a word of what is to be told about it: in an event's reason, or the result's message.
        options: of the batch, other than usual.
        lost: how many frames may be missing at the end.
    """

    name: str
    faults: tuple[dict[str, Any], ...] = ()
    act: Act = _nothing
    outcome: BatchOutcome = BatchOutcome.WHOLE
    told: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    lost: int = 0


def _render(form: str, **options: Any) -> dict[str, Any]:
    return {"kind": "render", "form": form, **options}


def _after(frames: int, what: Callable[[Studio, BatchEvent], None]) -> Act:
    """Do something once, when so many frames are accepted."""

    def act(studio: Studio, event: BatchEvent, seen: dict[str, Any]) -> None:
        if event.kind == "frame accepted" and event.progress.done >= frames and not seen.get("done"):
            seen["done"] = True
            what(studio, event)

    return act


def _slow_node(studio: Studio, event: BatchEvent) -> None:
    studio.emulator.faults(_render("slow", node_id=event.node_id, factor=6, times=None))


def _end_session(studio: Studio, event: BatchEvent) -> None:
    running = studio.emulator.ledger(requests=False)["running_uuids"]
    studio.emulator.end_session(running[0], "Node is offline")


def _api_away(studio: Studio, event: BatchEvent) -> None:
    studio.emulator.faults({"kind": "status", "status": 503, "times": 40})


FAULTS = (
    Fault("nothing"),
    Fault("node dies in a frame", (_render("node_dies", after=5),), told="ended"),
    Fault("session ended by the platform", act=_after(4, _end_session), told="ended"),
    Fault("frame cut", (_render("cut", after=4),), told="cut off"),
    Fault("frames cut, one machine", (_render("cut", node_id=1001, times=None),), told="cut off"),
    Fault("disk full, exit 0", (_render("disk_full", node_id=1001, after=4, times=None),), told="cut off"),
    Fault("all black and fast", (_render("black", node_id=1001, times=None),), told="one colour"),
    Fault("no GPU device", (_render("no_device", node_id=1001, times=None),), told="device"),
    Fault("never ready", ({"kind": "never_ready", "node_id": 1001},), told="not ready"),
    Fault("machine is gone", ({"kind": "refuse", "node_id": 1001, "reason": "Node not found"},), told="not found"),
    Fault("one machine slow", act=_after(5, _slow_node)),
    Fault("API down for a while", act=_after(4, _api_away)),
)
