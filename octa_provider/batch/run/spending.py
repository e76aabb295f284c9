"""What a run may cost, and how long its machines may run, held by who looks at them now and then: they bill until the
next look, and its stops."""

from __future__ import annotations

from octa_provider.batch.run.crew import Crew
from octa_provider.batch.run.parts import BatchParts
from octa_provider.errors import OctaBudgetError
from octa_provider.text.quantities import shown_duration

__all__ = ["Spending"]

#: What a stop takes, for the money that it costs.
_STOPPING_S = 10.0
#: Of the seconds between two looks so many are forgotten of how late one was: a busy computer stays busy for a while.
_FORGOTTEN = 0.1
#: Later than this is no busy computer, but one that slept or was held: no reason to end a batch that much earlier.
_LATEST_S = 30.0


class Spending:
    """Tells, at each look at the machines, whether they have to be stopped now to cost no more than they may.

    The next look is expected to come as late as the latest of the last ones did.

    Args:
        parts: of the batch.
        crew: the machines.
        max_cost_wei: no more than this in this run, in wei; None for no cap.
    """

    def __init__(self, parts: BatchParts, crew: Crew, max_cost_wei: int | None) -> None:
        self._parts = parts
        self._crew = crew
        self._max_cost_wei = max_cost_wei
        self._looked_at = parts.clock.monotonic()
        self._next_look_s = 0.0

    def is_at_its_end(self) -> bool:
        """Whether the cap is reached, or will be before another look could end it. Call it once a look."""
        if self._max_cost_wei is None:
            return False
        now = self._parts.clock.monotonic()
        since_s = now - self._looked_at
        self._looked_at = now
        forgotten_s = self._next_look_s - _FORGOTTEN * since_s
        self._next_look_s = max(self._parts.pacing.poll_s, min(since_s, _LATEST_S), forgotten_s)
        until_ended_s = self._next_look_s + _STOPPING_S
        return self._crew.spent_wei() + int(self._crew.wei_per_s() * until_ended_s) >= self._max_cost_wei

    def refuse_too_long(self) -> None:
        """See that the machines have not run for as long as they may.

        Raises:
            OctaBudgetError: they have.
        """
        most_s, left_s = self._parts.batch.max_duration_s, self._crew.left_s
        if most_s is not None and left_s is not None and left_s <= 0:
            came = "what has come is kept; run it again to go on"
            if not self._parts.folder.accepted:
                came = "no frame has come in that time; allow them more (max_duration_s, --max-duration)"
            long = f"{shown_duration(most_s)} that they may (max_duration_s={most_s:g})"
            raise OctaBudgetError(f"the machines have run for the {long}: {came}")
