"""A share of `make chaos-batch`: a batch whose coordinator is killed at any moment goes on, and loses nothing."""

from __future__ import annotations

import pytest

from tests.chaos.batch_kills import campaign

RUNS = 6


@pytest.mark.chaos
def test_a_batch_whose_coordinator_is_killed_loses_no_frame_and_leaves_no_machine() -> None:
    outcomes = list(campaign(RUNS, seed=1, workers=2))
    assert [outcome for outcome in outcomes if outcome.wrong] == []
    assert sum(outcome.kills for outcome in outcomes) >= RUNS
