"""A coordinator whose own disk is full: no machine is to blame, none is rented for it, and no frame is lost."""

from __future__ import annotations

import logging
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from test_batch_pause import FRAME_S, PAUSE_S, batch_of, pause

from octa_provider.batch.result import BatchOutcome
from octa_provider.errors import OctaLocalFileError
from octa_provider.pictures import check_frames

if TYPE_CHECKING:
    from studio import Studio


@contextmanager
def room_for_files_again() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def no_file_may_grow_beyond(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def test_a_full_disk_here_ends_the_batch_at_once_and_the_next_run_goes_on(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="octa_provider.batch")
    batch = studio.batch("1-24", frame_s=0.2, seconds_per_frame=30.0)

    def fill(event: object) -> None:
        if len(studio.told("frame accepted")) == 4:
            no_file_may_grow_beyond((studio.output / ".octa/journal.jsonl").stat().st_size)

    with room_for_files_again(), pytest.raises(OctaLocalFileError, match="make room and run it again"):
        studio.run(batch, on_event=fill)
    assert studio.nothing_runs()
    # It is not taken for a machine that does not answer, which the next one would be rented for.
    assert "does not answer" not in caplog.text
    done = studio.octa.batches.status(studio.output).done
    assert 4 <= done < 24
    again = studio.run(batch)
    assert again.outcome is BatchOutcome.WHOLE
    assert again.rendered == 24 - done
    assert again.cost_wei == studio.charged_wei()
    assert check_frames(studio.output, "1-24").whole


def test_machines_that_were_left_do_not_bill_on_where_nobody_can_go_on_with_them(studio: Studio) -> None:
    batch = batch_of(studio, "1-200")
    paused = pause(studio, batch)
    with room_for_files_again():
        no_file_may_grow_beyond((studio.output / ".octa/journal.jsonl").stat().st_size)
        with pytest.raises(OctaLocalFileError, match="make room") as full:
            studio.run(batch, pause_s=PAUSE_S)
    assert studio.nothing_runs()
    assert re.search(r"So the machines? that a paused run has left (was|were) stopped\.", str(full.value))
    again = studio.run(studio.batch(f"1-{paused.done + 1}", renderer=batch.renderer, seconds_per_frame=FRAME_S))
    assert again.outcome is BatchOutcome.WHOLE
    assert studio.nothing_runs()
