"""What happens to machines that render a batch: each fault, how it is made, and how the batch is to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from octa_provider.batch.check import Check
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
        told: what is to be told about it, as a regular expression: in an event's reason, the result's message, or the
            log.
        options: of the batch, other than usual.
        ending: of the frames' files.
    """

    name: str
    faults: tuple[dict[str, Any], ...] = ()
    act: Act = _nothing
    outcome: BatchOutcome = BatchOutcome.WHOLE
    told: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    ending: str = "png"

    @property
    def is_done_meanwhile(self) -> bool:
        """Whether it is made while the machines render, which they may have done by then."""
        return self.act is not _nothing


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


def _site_vanishes(studio: Studio, event: BatchEvent) -> None:
    country = next(m.country for m in studio.octa.services.mr.available() if m.node_id == event.node_id)
    studio.emulator.faults({"kind": "site_vanishes", "country": country, "seconds": 0})


#: Of the machine that is taken first.
_FIRST: dict[str, Any] = {"node_id": 1001, "times": None}

FAULTS = (
    Fault("nothing"),
    Fault("node dies in a frame", (_render("node_dies", after=5),), told="its session has ended"),
    Fault("session ended by the platform", act=_after(4, _end_session), told="its session has ended"),
    Fault("site vanishes", act=_after(4, _site_vanishes), told="its session has ended"),
    Fault("one frame cut", (_render("cut", after=4),), told="cut off"),
    Fault("all frames of a machine cut", (_render("cut", **_FIRST),), told="cut off"),
    Fault("disk full, exit 0: cut, then empty", (_render("disk_full", after=4, **_FIRST),), told="cut off"),
    Fault("PNG named EXR", (_render("wrong_format", after=4),), told="EXR", ending="exr"),
    Fault("EXR named PNG", (_render("wrong_format", after=4),), told="PNG"),
    Fault("wrong frame number", (_render("wrong_number", after=4),), told="frame"),
    Fault("wrong scene", (_render("wrong_scene", after=4),), told="Another scene"),
    Fault("all black and fast", (_render("black", **_FIRST),), told="one colour"),
    Fault(
        "GPU out of memory, once",
        (_render("out_of_memory", after=4),),
        told="memory",
        # One process a machine: nobody else renders what it leaves.
        options={"seconds_per_frame": 64.0, "finish_within_s": 500.0},
    ),
    Fault("GPU out of memory, a machine", (_render("out_of_memory", **_FIRST),), told="memory"),
    Fault("process killed in a frame", (_render("killed", after=4),), told="memory"),
    Fault("no GPU device", (_render("no_device", **_FIRST),), told="device"),
    Fault("hangs with all files there", (_render("hangs", times=None),)),
    Fault("never ready", ({"kind": "never_ready", "node_id": 1001},), told="not ready"),
    Fault("machine is gone", ({"kind": "refuse", "node_id": 1001, "reason": "Node not found"},), told="not found"),
    Fault("one machine slow from the middle on", act=_after(5, _slow_node)),
    Fault("API down for a while", act=_after(4, _api_away)),
    Fault("hostile names", (_render("hostile_names", **_FIRST),)),
    Fault("hostile links", (_render("hostile_links", after=2, **_FIRST),), told="is missing"),
    Fault("hostile pipe", (_render("hostile_pipe", after=2, **_FIRST),), told="was not rendered|at one frame for"),
    Fault("hostile size", (_render("hostile_size", after=2, **_FIRST),), told="and the limit"),
    Fault("hostile pixels", (_render("hostile_pixels", after=2, **_FIRST),), told="pixels"),
    Fault(
        "endless file",
        (_render("endless_file", after=2, **_FIRST),),
        # One that grows while it is fetched is not waited for.
        told="and the limit|at one frame for",
        options={"check": Check(max_frame_bytes=10**9)},
    ),
)
