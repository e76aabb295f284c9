"""Going on with a paused batch: under the plan, the deadline and the cap that it was paused with, and no new ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.folder.pause_note import PauseNote
from octa_provider.batch.plan import Plan, PlanLine, Spread
from octa_provider.batch.run.pausing import Pausing
from octa_provider.batch.state import BatchState
from octa_provider.timing.clock import Clock

__all__ = ["kept_plan", "note_of", "note_of_killed", "waited_s"]


def note_of(
    pausing: Pausing,
    state: BatchState,
    clock: Clock,
    *,
    fingerprint: str,
    began_at: float,
    cap_wei: int | None,
    failed: Mapping[int, str],
    rented_at: float | None,
    waited_s: float,
    useless: Collection[int],
) -> PauseNote:
    """What a run that is paused now leaves for the one that goes on.

    Args:
        pausing: what its machines are left with.
        state: of the batch.
        clock: where times are from.
        fingerprint: of the batch.
        began_at: when its first run began, on that clock.
        cap_wei: what all of it may cost, in wei; None for no cap.
        failed: frames that were given up, and why.
        rented_at: when its first machine was rented, on that clock; None where none was yet.
        waited_s: seconds that it has waited for machines.
        useless: nodes that were given up.
    """
    now = clock.time()
    since, machines = now - clock.monotonic(), pausing.machines()
    return PauseNote(
        fingerprint=fingerprint,
        began_at=since + began_at,
        finish_at=since + state.terms.finish_at,
        wake_at=now + pausing.wake_after_s,
        cap_wei=None if cap_wei is None else str(cap_wei),
        failed=dict(failed),
        machines=machines,
        paid_until=None if pausing.paid_for_s is None else now + pausing.paid_for_s,
        rented_at=None if rented_at is None else since + rented_at,
        waited_s=waited_s,
        waits_since=None if machines else now,
        useless=tuple(sorted(useless)),
    )


def note_of_killed(
    planned: Mapping[str, Any],
    clock: Clock,
    *,
    fingerprint: str,
    left_s: float | None,
    before_wei: int,
    waited_s: float,
) -> PauseNote:
    """What a run would have left that was killed while its machines rendered.

    Args:
        planned: the plan that it followed, as the journal has it.
        clock: where times are from.
        fingerprint: of the batch.
        left_s: seconds until the deadline; None for none.
        before_wei: what machines have cost that have ended.
        waited_s: seconds that were waited for machines since.
    """
    now = clock.time()
    ends_s = (planned.get("finish_s") or {}).get("p90", 0.0) if left_s is None else left_s
    return PauseNote(
        fingerprint=fingerprint,
        began_at=now,
        finish_at=now + ends_s,
        wake_at=now,
        cap_wei=str(before_wei + int(planned.get("cost_most_wei", 0))),
        failed={},
        machines=(),
        waited_s=waited_s,
    )


def kept_plan(
    note: PauseNote, planned: Mapping[str, Any] | None, candidates: Sequence[MachineEstimate], frames: int, now: float
) -> Plan:
    """The plan that a paused batch was begun with, for what is left of it.

    Args:
        note: what it was left with.
        planned: the plan as the journal has it.
        candidates: the machines on offer now: rented where others fail or are slow.
        frames: how many are left.
        now: seconds since 1970.
    """
    told = dict(planned or {})
    usd = told.get("cost_usd") or {}
    left_s = max(1.0, note.finish_at - now)
    line = PlanLine(
        name=str(told.get("name", "")),
        machines=(),
        cost_p50_wei=int(told.get("cost_p50_wei", 0)),
        cost_p90_wei=int(told.get("cost_p90_wei", 0)),
        cost_most_wei=int(told.get("cost_most_wei", 0)),
        cost_usd=Spread(usd.get("p50", 0.0), usd.get("p90", 0.0)),
        cost_most_usd=told.get("cost_most_usd", 0.0),
        finish_s=Spread(left_s, left_s),
        startup_share=told.get("startup_share", 0.0),
        transfer_share=told.get("transfer_share", 0.0),
    )
    by_worth = sorted(candidates, key=lambda one: one.price_wei / one.speed)
    return Plan(frames, None, None, None, line, tuple(by_worth), ())


def waited_s(note: PauseNote, clock: Clock) -> float:
    """Seconds that a paused batch has waited for machines until now.

    Args:
        note: what it was left with.
        clock: where times are from.
    """
    if note.waits_since is None:
        return note.waited_s
    # It was left to wait until the note's time; what it may wait in all can be another now.
    return note.waited_s + max(0.0, min(clock.time(), note.wake_at) - note.waits_since)
