"""A batch that is left to its machines: it returns while they render on, and the same call goes on with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.batch.result import BatchOutcome, BatchResult
from octa_provider.pictures import check_frames

if TYPE_CHECKING:
    from studio import Studio

    from octa_provider.batch.batch import Batch

COMMAND = "octa-fake-renderer --frames {frames} --output {output} --seconds 0.5"
#: Seconds that a frame takes on the studio's clock.
FRAME_S = 10.0
PAUSE_S = 30.0


def batch_of(studio: Studio, frames: str, **options: Any) -> Batch:
    renderer = Renderer("frames", COMMAND, can_skip=True)
    return studio.batch(frames, **{"renderer": renderer, "seconds_per_frame": FRAME_S, "max_machines": 2, **options})


def run_until_over(studio: Studio, batch: Batch, most: int = 20, **options: Any) -> list[BatchResult]:
    """Come back whenever it says so, until it is no longer paused."""
    results: list[BatchResult] = []
    while len(results) < most:
        results.append(studio.run(batch, **{"pause_s": PAUSE_S, **options}))
        if results[-1].outcome is not BatchOutcome.PAUSED:
            break
        studio.octa.clock.sleep(results[-1].wake_after_s)
    return results


@pytest.mark.timeout(600)
def test_a_batch_pauses_and_goes_on_until_it_is_whole_with_each_frame_rendered_once(studio: Studio) -> None:
    batch = batch_of(studio, "1-60")
    results = run_until_over(studio, batch)
    assert [result.outcome for result in results[:-1]] == [BatchOutcome.PAUSED] * (len(results) - 1)
    assert len(results) > 1
    assert results[-1].outcome is BatchOutcome.WHOLE
    assert check_frames(studio.output, "1-60").whole
    assert sum(result.rendered for result in results) == 60
    assert studio.nothing_runs()
    assert results[-1].cost_wei == studio.charged_wei()
    assert studio.starts() <= 2
