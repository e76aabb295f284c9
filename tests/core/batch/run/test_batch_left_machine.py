"""What an earlier run has left running, when the API's list does not show it at once."""

from __future__ import annotations

from typing import Any

import pytest
from studio import Studio

from octa_provider.batch.folder.batch_folder import BatchFolder
from octa_provider.batch.folder.fingerprint import fingerprint_of
from octa_provider.batch.result import BatchOutcome
from octa_provider.batch.run import left_machines
from octa_provider.market.request import MachineRequest


def test_a_session_that_a_list_has_missed_is_stopped_and_its_charge_counts(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = studio.batch("1-3", seconds_per_frame=30.0, max_machines=1)
    assert studio.run(batch).outcome is BatchOutcome.WHOLE
    fingerprint = fingerprint_of(batch.scene_path, batch.main_file, batch.renderer)
    with BatchFolder.open(batch, fingerprint, "test/batch") as folder:
        number = folder.next_slot
        key = f"{folder.key}/batch/{fingerprint[:8]}/m{number}"
        rental = studio.octa.rentals.start(MachineRequest(image="python:3.12"), key=key)
        assert rental.node_id is not None
        folder.renting(number, rental.node_id, studio.octa.rentals.full_key(key))
        folder.rented(number, rental.uuid, rental.node_id, rental.price_wei, rental.price_usd)
    nothing: dict[int, Any] = {}
    monkeypatch.setattr(left_machines, "sessions_of_batch", lambda api, parts: nothing)

    result = studio.run(batch)

    assert result.outcome is BatchOutcome.WHOLE
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()
