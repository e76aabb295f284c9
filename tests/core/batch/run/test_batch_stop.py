"""Stopping a batch from outside: by its folder alone, whoever renders, or has left machines running."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from studio import Studio

from octa_provider.batch.folder.batch_folder import BatchFolder
from octa_provider.batch.folder.fingerprint import fingerprint_of
from octa_provider.batch.machine.scripts import stay_command
from octa_provider.batch.result import BatchOutcome
from octa_provider.errors import OctaConfigError
from octa_provider.market.request import MachineRequest

if TYPE_CHECKING:
    from octa_provider.rental.rental import Rental


def left_running(studio: Studio, number: int, key: str | None = None) -> Rental:
    batch = studio.batch("1-6")
    fingerprint = fingerprint_of(batch.scene_path, batch.main_file, batch.renderer)
    key = key or f"test/batch/batch/{fingerprint[:8]}/m{number}"
    return studio.octa.rentals.start(MachineRequest(image="python:3.12", start_command=stay_command()), key=key)


def test_a_batch_is_stopped_by_its_folder_with_the_bills_of_its_machines_and_of_no_other(studio: Studio) -> None:
    assert studio.run(studio.batch("1-6", max_machines=1)).outcome is BatchOutcome.WHOLE
    ours = {left_running(studio, number).uuid for number in (7, 8)}
    theirs = left_running(studio, 1, key="test/batch/batch/00000000/m1").uuid

    bills = studio.octa.batches.stop(studio.output)

    assert ours <= bills.keys()
    assert theirs not in bills
    assert all(bill.charge_wei for bill in bills.values())
    assert studio.emulator.ledger(requests=False)["running_uuids"] == [theirs]


def test_a_batch_is_stopped_while_somebody_holds_its_folder(studio: Studio) -> None:
    batch = studio.batch("1-6")
    fingerprint = fingerprint_of(batch.scene_path, batch.main_file, batch.renderer)
    with BatchFolder.open(batch, fingerprint, "test/batch") as folder:
        rental = left_running(studio, 3)
        folder.renting(3, rental.node_id or 0, rental.key or "")
        folder.rented(3, rental.uuid, rental.node_id or 0, rental.price_wei, rental.price_usd)

        bills = studio.octa.batches.stop(studio.output)

    assert bills.keys() == {rental.uuid}
    assert studio.nothing_runs()


def test_a_folder_of_no_batch_is_refused_before_anything_is_asked(studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(OctaConfigError, match="no batch was begun there"):
        studio.octa.batches.stop(tmp_path)
    assert studio.posts() == 0
