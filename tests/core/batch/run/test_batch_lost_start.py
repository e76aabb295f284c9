"""A start whose session nobody was told of: it does not bill until the end of the batch."""

from __future__ import annotations

from typing import Any

import pytest
from studio import Studio

from octa_provider.batch.events import BatchEvent
from octa_provider.batch.result import BatchOutcome
from octa_provider.errors import OctaNetworkError
from octa_provider.rental.rentals import Rentals


def test_what_a_failed_start_has_left_is_stopped_before_another_machine_renders(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Rentals.start
    lost: list[str] = []
    running: list[int] = []

    def start_and_lose(self: Rentals, request: Any, **options: Any) -> Any:
        if not lost:
            lost.append(options.pop("key"))
            options.pop("on_started")
            start(self, request, key=lost[0], **options)
            raise OctaNetworkError("the API went away when it had started the session")
        return start(self, request, **options)

    def count(event: BatchEvent) -> None:
        if event.kind == "frame accepted":
            running.append(studio.emulator.ledger(requests=False)["running"])

    monkeypatch.setattr(Rentals, "start", start_and_lose)

    result = studio.run(studio.batch("1-8", seconds_per_frame=30.0, max_machines=1), on_event=count)

    assert result.outcome is BatchOutcome.WHOLE
    assert lost
    assert set(running) == {1}
    assert studio.nothing_runs()
