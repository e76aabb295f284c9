"""Going on with a paused batch: under the plan, the deadline and the cap that it was paused with, and no new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.folder.pause_note import PauseNote
from octa_provider.batch.plan import Plan, PlanLine, Spread
from octa_provider.batch.run.pausing import Pausing
from octa_provider.batch.state import BatchState
from octa_provider.timing.clock import Clock

__all__ = ["kept_plan", "note_of"]


def note_of(
    pausing: Pausing,
    state: BatchState,
    clock: Clock,
    *,
    fingerprint: str,
    began_at: float,
    cap_wei: int | None,
    failed: Mapping[int, str],
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
    """
    since = clock.time() - clock.monotonic()
    return PauseNote(
        fingerprint=fingerprint,
        began_at=since + began_at,
        finish_at=since + state.terms.finish_at,
        wake_at=clock.time() + pausing.wake_after_s,
        cap_wei=None if cap_wei is None else str(cap_wei),
        failed=dict(failed),
        machines=pausing.machines(),
        paid_until=None if pausing.paid_for_s is None else clock.time() + pausing.paid_for_s,
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
