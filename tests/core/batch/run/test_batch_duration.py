"""`max_duration_s` of a batch: its machines are stopped in time, whatever they are at, and plans keep to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from studio import Studio
from test_batch_pause import PAUSE_S, batch_of, pause

from octa_provider.batch.estimate import SceneEstimate
from octa_provider.batch.result import BatchOutcome
from octa_provider.errors import OctaBudgetError, OctaConfigError, OctaPlanError

#: Seconds that one machine is to run; its frames would take far longer.
LONGEST_S = 400.0


def test_its_machines_are_stopped_in_time_and_what_has_come_is_kept(studio: Studio) -> None:
    # Said to be quick, so that the plan keeps to it, and slow.
    slow = studio.batch(
        "1-20", frame_s=4.0, seconds_per_frame=0.2, max_machines=1, max_cost_usd=50.0, max_duration_s=LONGEST_S
    )
    result = studio.run(slow)
    assert result.outcome is BatchOutcome.OVER_BUDGET, result
    assert result.message == (
        "the machines have run for the 6m 40s that they may (max_duration_s=400): what has come is kept; "
        "run it again to go on"
    )
    assert 0 < result.done < 20
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()

    again = studio.run(slow)
    assert again.done > result.done, "another run has the whole time again"
    assert studio.nothing_runs()


def test_the_time_counts_while_the_first_machine_measures(studio: Studio) -> None:
    batch = studio.batch("1-4", frame_s=20.0, max_duration_s=60.0)
    result = studio.run(batch)
    assert result.outcome is BatchOutcome.OVER_BUDGET
    assert "max_duration_s=60" in result.message
    # Who ran it again as it is would pay for the same again.
    assert ("run it again" in result.message) == bool(result.done)
    assert studio.nothing_runs()
    with pytest.raises(OctaBudgetError, match="max_duration_s=60"):
        studio.octa.batches.measure(batch, "test/batch", private_key=studio.emulator.ssh_private_key)
    assert studio.nothing_runs()


def test_a_plan_that_would_take_longer_is_refused_before_anything_is_rented(studio: Studio) -> None:
    batch = studio.batch("1-240", seconds_per_frame=600.0, max_machines=1, max_duration_s=600.0)
    with pytest.raises(OctaPlanError, match="10m"):
        studio.run(batch)
    assert studio.posts() == 0


def test_a_plan_is_the_same_where_it_ends_in_time_and_a_quicker_one_where_it_does_not(studio: Studio) -> None:
    scene = SceneEstimate(240, 60.0)
    plan = studio.octa.batches.plan
    free = plan(studio.batch("1-240"), scene).chosen
    assert free is not None
    ample = plan(studio.batch("1-240", max_duration_s=free.finish_s.p90 + 1), scene).chosen
    assert ample == free
    scarce = plan(studio.batch("1-240", max_duration_s=free.finish_s.p90 / 2), scene).chosen
    assert scarce is not None
    assert scarce.finish_s.p90 <= free.finish_s.p90 / 2
    sooner = plan(studio.batch("1-240", finish_within_s=7200.0, max_duration_s=3600.0), scene).chosen
    assert sooner is not None
    assert sooner.finish_s.p90 <= 3600


def test_a_time_in_which_nothing_can_come_says_to_allow_more(studio: Studio) -> None:
    # With a budget, as a batch that is over its time is not run again by the studio then.
    result = studio.run(studio.batch("1-4", max_duration_s=1.0, max_cost_usd=50.0))
    assert (result.outcome, result.done) == (BatchOutcome.OVER_BUDGET, 0)
    assert result.message.endswith("no frame has come in that time; allow them more (max_duration_s, --max-duration)")
    assert studio.nothing_runs()
    assert result.cost_wei == studio.charged_wei()


@pytest.mark.parametrize("note", [True, False], ids=["paused", "killed"])
def test_machines_that_are_gone_on_with_have_run_since_they_were_rented(studio: Studio, note: bool) -> None:
    batch = batch_of(studio, "1-200", max_cost_usd=50.0)
    pause(studio, batch)
    if not note:
        (studio.output / ".octa" / "pause.json").unlink()
    starts = studio.starts()
    result = studio.run(replace(batch, max_duration_s=1.0), pause_s=PAUSE_S)
    assert result.outcome is BatchOutcome.OVER_BUDGET
    assert "max_duration_s=1)" in result.message
    assert studio.starts() == starts
    assert studio.nothing_runs()


def test_a_clock_that_is_hours_ahead_of_the_api_makes_no_machine_older_nor_dearer(studio: Studio) -> None:
    ahead_s = 36_000.0
    studio.clock.is_ahead(ahead_s)
    batch = batch_of(studio, "1-60", max_cost_usd=50.0, max_duration_s=ahead_s)
    pause(studio, batch)
    starts = studio.starts()
    again = studio.run(batch, pause_s=PAUSE_S)
    assert again.outcome in {BatchOutcome.PAUSED, BatchOutcome.WHOLE}, again
    assert studio.starts() == starts, "its machines are gone on with"


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "2h", True])
def test_a_time_that_is_none_is_refused(studio: Studio, value: Any) -> None:
    with pytest.raises(OctaConfigError, match="max_duration_s must be a number above 0, or left out"):
        studio.batch("1-4", max_duration_s=value)
