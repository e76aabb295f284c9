"""How a run is said to have ended: by what lies in the folder then, not by what the coordinator saw last."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from folder_bench import batch_of, opened, take

from octa_provider.batch.result import BatchOutcome
from octa_provider.batch.run.ending import end_of
from octa_provider.batch.run.parts import BatchParts, Pacing


@pytest.mark.parametrize("outcome", [BatchOutcome.OVER_BUDGET, BatchOutcome.INCOMPLETE])
@pytest.mark.parametrize("came", [2, 3])
def test_a_batch_whose_last_frames_came_while_machines_were_stopped_is_whole(
    tmp_path: Path, outcome: BatchOutcome, came: int
) -> None:
    batch = batch_of(tmp_path, "1-3")
    with opened(batch) as folder:
        take(folder, *range(1, came + 1))
        nobody = cast(Any, None)
        parts = BatchParts(nobody, nobody, batch, folder, nobody, "", "key", "", None, Pacing())
        result = end_of(parts, outcome, "the budget is reached", line=None, done_before=0, seconds=1.0, machines=1)
    assert result.outcome is (BatchOutcome.WHOLE if came == 3 else outcome)
    assert bool(result.message) == (came < 3)
