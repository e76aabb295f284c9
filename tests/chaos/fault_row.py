"""One row of the fault table: what was seen, what was done, and what it cost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from octa_provider.batch.events import BatchEvent
from octa_provider.batch.result import BatchOutcome, BatchResult
from octa_provider.pictures import check_frames
from octa_provider.render.frames import parse
from tests.core.batch.run.studio import Studio

__all__ = ["Row", "begun_twice", "row_of", "stolen_from"]

#: Of a machine that was let go, not given up.
_ORDINARY = (
    "nothing is left for it",
    "it is not needed any more",
    "no frame is left",
    "more frames were given up",
    "the budget is spent",
    "the batch has ended",
    "ahead of the plan",
)
#: What a batch leaves in its folder, beside frames.
_OURS = {".octa", "manifest.json", "frames.jsonl", "cost.csv"}
_BEGUN = re.compile(r"(?:^|\| )Fra: ?(\d+) ", re.MULTILINE)
_SKIPPED = re.compile(r'skipping existing frame "[^"]*?(\d+)\.\w+"')


@dataclass
class Row:
    """A fault, and what became of the batch.

    Attributes:
        name: of the fault.
        seen: how it was seen: an event's, a result's or a log's words.
        done: what was done about it.
        lost: frames that are not there and whole.
        twice: frames that machines began more than once.
        cost_wei: what the platform charged.
        outcome: how the batch ended.
        left: sessions that run at the end.
        seconds: real ones that it took.
        wrong: what did not hold, each as one sentence.
        notes: numbers of this row alone.
    """

    name: str
    seen: str = ""
    done: str = ""
    lost: int = 0
    twice: int = 0
    cost_wei: int = 0
    outcome: str = ""
    left: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def row_of(
    studio: Studio,
    name: str,
    result: BatchResult,
    *,
    frames: str,
    outcomes: Iterable[BatchOutcome],
    told: str,
    words: Sequence[str],
    events: Sequence[BatchEvent] | None = None,
) -> Row:
    """What became of a batch, and what did not hold.

    Args:
        studio: where it was rendered.
        name: of the fault.
        result: how it ended.
        frames: those that were asked for.
        outcomes: how it may end.
        told: what is to be told about the fault, as a regular expression; empty for nothing.
        words: what was told beside events, such as log lines.
        events: those of all runs; None for the last run's.
    """
    events = studio.events if events is None else events
    ledger = studio.emulator.ledger(requests=False)
    numbers = list(parse(frames))
    check = check_frames(studio.output, frames)
    row = Row(
        name,
        outcome=result.outcome.value,
        done=_done(events),
        lost=len(check.broken_frames),
        twice=begun_twice(studio),
        cost_wei=int(ledger["billed_wei"]),
        left=int(ledger["running"]),
    )
    reasons = [f"{event.kind}: {event.reason}" for event in events if event.reason]
    row.seen = next(
        (text for text in (*reasons, result.message, *words) if told and re.search(told, text)), "" if told else "-"
    )
    wrong = row.wrong
    if result.outcome not in tuple(outcomes):
        wrong.append(f"it ended as {result.outcome.value}: {result.message}")
    if not row.seen:
        wrong.append(f"nobody told of {told!r}: {reasons}")
    if row.lost and (result.is_whole or len(numbers) - result.done != row.lost):
        wrong.append(f"{row.lost} frames are missing, and the result says {result.done} are there")
    if row.left:
        wrong.append(f"{row.left} sessions run")
    if result.cost_wei != row.cost_wei:
        wrong.append(f"the batch says {result.cost_wei} wei, the ledger {row.cost_wei}")
    doubled = [key for key, most in ledger["max_running_by_key"].items() if most["max_running"] > 1]
    if doubled:
        wrong.append(f"{', '.join(doubled)} had several sessions at once")
    strange = [path.name for path in studio.output.iterdir() if not _is_ours(path)]
    if strange:
        wrong.append(f"the folder has what no batch puts there: {strange}")
    return row


def begun_twice(studio: Studio) -> int:
    """How often machines began a frame that another process had begun.

    Args:
        studio: whose emulator ran them.
    """
    begun = [(log, frame) for log, text in _logs(studio) for frame in set(_BEGUN.findall(text))]
    return len(begun) - len({int(frame) for _, frame in begun})


def stolen_from(studio: Studio, node_id: int) -> int:
    """How many frames a node's processes skipped since another machine had taken them over.

    Args:
        studio: whose emulator ran it.
        node_id: the node.
    """
    sessions = {s["uuid"] for s in studio.emulator.ledger(requests=False)["sessions"] if s["node_id"] == node_id}
    skipped = {
        frame for log, text in _logs(studio) if sessions & set(log.parts) for frame in set(_SKIPPED.findall(text))
    }
    return len(skipped)


def _logs(studio: Studio) -> list[tuple[Path, str]]:
    logs = studio.emulator.state.glob("sessions/*/octa-batch/p/*/log")
    return [(log, log.read_text(errors="replace")) for log in sorted(logs)]


def _is_ours(path: Path) -> bool:
    return path.name in _OURS or (path.is_file() and not path.is_symlink() and path.match("frame_*.???"))


def _done(events: Sequence[BatchEvent]) -> str:
    rented = sum(event.kind == "machine rented" for event in events)
    refused = sum(event.kind == "frame refused" for event in events)
    given_up = sum(event.kind == "frame given up" for event in events)
    not_had = sum(event.kind == "machine refused" for event in events)
    lost = sum(event.kind == "machine ended" and not event.reason.startswith(_ORDINARY) for event in events)
    parts = [f"{rented} rented"]
    parts += [f"{lost} given up"] if lost else []
    parts += [f"{not_had} not to be had"] if not_had else []
    parts += [f"{refused} frames refused"] if refused else []
    parts += [f"{given_up} frames given up"] if given_up else []
    return ", ".join(parts)
