"""A batch that somebody has approved a quote of: it keeps to it, or rents nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from studio import Studio

from octa_provider import BatchOutcome, BatchQuote, OctaNoMachineError, OctaPlanError, Requirements
from octa_provider.batch.folder.batch_record import recorded


def test_a_quote_spends_nothing_and_the_run_keeps_to_it(studio: Studio) -> None:
    batch = studio.batch("1-8", seconds_per_frame=60.0, max_machines=2)
    quote = BatchQuote.from_dict(json.loads(json.dumps(studio.octa.batches.quote(batch).to_dict())))
    assert studio.posts() == 0
    assert quote.frames == 8
    result = studio.run(batch, quote=quote)
    assert result.outcome is BatchOutcome.WHOLE
    assert result.cost_wei is not None
    assert 0 < result.cost_wei <= quote.chosen.most_wei + studio.one_look_wei()
    assert studio.emulator.ledger()["running"] == 0


def test_a_batch_that_is_there_is_quoted_at_nothing(studio: Studio) -> None:
    batch = studio.batch("1-4", seconds_per_frame=60.0)
    studio.run(batch)
    quote = studio.octa.batches.quote(batch)
    assert (quote.frames, quote.chosen.most_wei, quote.text) == (0, 0, "every frame is there: nothing is rented")
    before = studio.posts()
    assert studio.run(batch, quote=quote).is_whole
    assert studio.posts() == before


def test_a_market_that_became_dearer_is_not_rented_on(studio: Studio) -> None:
    batch = studio.batch("1-8", seconds_per_frame=60.0)
    quote = studio.octa.batches.quote(batch)
    cheap = replace(quote, chosen=replace(quote.chosen, cost_most_wei=str(quote.chosen.most_wei // 2)))
    with pytest.raises(OctaPlanError, match="quote it again"):
        studio.run(batch, quote=cheap)
    assert studio.starts() == 0


def test_another_scene_or_more_frames_than_were_quoted_rent_nothing(studio: Studio) -> None:
    quote = studio.octa.batches.quote(studio.batch("1-4", seconds_per_frame=60.0))
    with pytest.raises(OctaPlanError, match="4 frames were quoted, 8 are to be rendered"):
        studio.run(studio.batch("1-8", seconds_per_frame=60.0), quote=quote)
    (studio.scene / "shot.py").write_text((studio.scene / "shot.py").read_text() + "\n# edited\n")
    with pytest.raises(OctaPlanError, match="changed since it was quoted"):
        studio.run(studio.batch("1-4", seconds_per_frame=60.0, on_changed="replace"), quote=quote)
    assert studio.starts() == 0


def test_a_batch_stops_at_what_was_quoted(studio: Studio) -> None:
    """The machines are 20 times slower than was said: nobody pays for that without being asked again."""
    batch = studio.batch("1-24", frame_s=12.0, seconds_per_frame=3.0, max_machines=2)
    quote = studio.octa.batches.quote(batch)
    result = studio.run(batch, quote=quote)
    assert result.outcome is BatchOutcome.OVER_BUDGET
    assert "that were approved are spent" in result.message
    # What runs while it is being stopped is paid for still: a look, and what a stop takes.
    most_wei = quote.chosen.most_wei + studio.one_look_wei()
    ledger = studio.emulator.ledger()
    assert ledger["running"] == 0
    assert sum(int(one["charge_wei"]) for one in ledger["sessions"]) <= most_wei


def test_a_run_under_another_key_takes_the_folder_over(studio: Studio) -> None:
    """As the next DAG run does: whoever looks for its machines looks under its own key."""
    batch = studio.batch("1-4", seconds_per_frame=60.0)
    studio.octa.batches.run(batch, "night/1", private_key=studio.emulator.ssh_private_key)
    assert recorded(studio.output).key == "night/1"
    more = studio.batch("1-6", seconds_per_frame=60.0)
    result = studio.octa.batches.run(more, "night/2", private_key=studio.emulator.ssh_private_key)
    assert (result.done, result.rendered) == (6, 2)
    assert recorded(studio.output).key == "night/2"
    keys = [session["rental_key"] for session in studio.emulator.ledger()["sessions"]]
    assert [key.partition("/batch/")[0] for key in keys] == ["night/1", "night/2"]


def test_a_market_with_nothing_to_plan_with_is_no_plan_that_fails_for_good(studio: Studio) -> None:
    """Whoever tries again may find machines there."""
    nothing = Requirements(gpu_model="no such card")
    with pytest.raises(OctaNoMachineError):
        studio.octa.batches.quote(studio.batch("1-4", seconds_per_frame=60.0, requirements=nothing))
