"""A batch whose API is away when the last frame has come."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from octa_provider.batch.result import BatchOutcome

try:
    from studio import SPEED, Studio
except ImportError:
    from tests.core.batch.run.studio import SPEED, Studio

if TYPE_CHECKING:
    from octa_provider.batch.events import BatchEvent


def test_an_api_that_is_away_for_minutes_at_the_very_end_leaves_nothing_running(studio: Studio) -> None:
    """The last frame is accepted, and from then on nothing answers: the stop is asked for until it is back."""
    accepted: list[int] = []

    def break_down(event: BatchEvent) -> None:
        if event.kind == "frame accepted":
            accepted.append(event.frame or 0)
            if len(accepted) == 8:
                studio.emulator.faults({"kind": "status", "status": 503, "path": "*", "times": None})
                threading.Timer(180.0 / SPEED, studio.emulator.clear_faults).start()

    result = studio.run(studio.batch("1-8", seconds_per_frame=60.0, max_machines=2), on_event=break_down)
    assert result.outcome is BatchOutcome.WHOLE
    assert studio.emulator.ledger()["running"] == 0
    assert result.cost_wei == sum(int(one["charge_wei"]) for one in studio.emulator.ledger()["sessions"])
