"""A batch that is left to its machines: it returns while they render on, and the same call goes on with it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from studio import Studio, open_studio

from octa_provider.batch.batch import Batch
from octa_provider.batch.events import BatchEvent
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.batch.result import BatchOutcome, BatchResult
from octa_provider.errors import OctaConfigError, OctaLocalFileError, OctaServerError
from octa_provider.pictures import check_frames
from octa_provider.render.frames import parse

COMMAND = "octa-fake-renderer --frames {frames} --output {output} --seconds 0.5"
#: Seconds that a frame takes on the studio's clock.
FRAME_S = 10.0
PAUSE_S = 30.0
#: To pause, and then to be over. A busy computer is the only reason for more than a few.
MOST_TRIES = 20
MOST_PAUSES = 200


def batch_of(studio: Studio, frames: str, **options: Any) -> Batch:
    renderer = Renderer("frames", COMMAND, can_skip=True)
    return studio.batch(frames, **{"renderer": renderer, "seconds_per_frame": FRAME_S, "max_machines": 2, **options})


def pause(studio: Studio, batch: Batch) -> BatchResult:
    """Render until it pauses.

    Machines whose frames take very different times, as those of a busy computer do, are watched to the end: then it is
    tried anew.
    """
    for _ in range(MOST_TRIES):
        paused = studio.run(batch, pause_s=PAUSE_S)
        if paused.outcome is BatchOutcome.PAUSED:
            break
        studio.begin_anew()
    assert paused.outcome is BatchOutcome.PAUSED, paused
    return paused


def run_until_over(studio: Studio, batch: Batch) -> list[BatchResult]:
    """Come back whenever it says so, until it is no longer paused.

    On a busy machine, whose seconds the studio's clock multiplies, the most that the plan said can be spent before the
    frames are there: then it is run again, as its message says.
    """
    goes_on = {BatchOutcome.PAUSED} if batch.max_cost_usd else {BatchOutcome.PAUSED, BatchOutcome.OVER_BUDGET}
    results: list[BatchResult] = []
    while len(results) < MOST_PAUSES:
        results.append(studio.run(batch, pause_s=PAUSE_S))
        if results[-1].outcome not in goes_on:
            break
        studio.sleep(results[-1].wake_after_s)
    return results


def pause_and_go_on(studio: Studio, batch: Batch) -> list[BatchResult]:
    """What each run came to, of which the first is paused."""
    return [pause(studio, batch), *run_until_over(studio, batch)]


def processes(studio: Studio, uuid: str) -> list[str]:
    """The numbers of the processes that a machine was told to begin."""
    return sorted(path.name for path in (studio.emulator.state / "sessions" / uuid / "octa-batch/p").glob("[0-9]*"))


def test_a_batch_pauses_and_goes_on_until_it_is_whole_with_each_frame_rendered_once(studio: Studio) -> None:
    results = pause_and_go_on(studio, batch_of(studio, "1-60"))
    paused = [result for result in results if result.outcome is BatchOutcome.PAUSED]
    assert all(PAUSE_S <= result.wake_after_s <= 3600 for result in paused)
    assert results[-1].outcome is BatchOutcome.WHOLE
    assert check_frames(studio.output, "1-60").whole
    assert sum(result.rendered for result in results) == 60
    assert studio.nothing_runs()
    assert results[-1].cost_wei == studio.charged_wei()
    assert (results[-1].wake_after_s, results[-1].sessions) == (0.0, ())


def test_a_paused_batch_tells_what_it_left_and_its_machines_render_on_without_it(studio: Studio) -> None:
    paused = pause(studio, batch_of(studio, "1-60"))
    assert set(paused.sessions) == set(studio.emulator.ledger(requests=False)["running_uuids"])
    assert paused.cost_wei
    assert [event.kind for event in studio.events][-2:] == ["paused", "ended"]
    assert not studio.octa.batches.status(studio.output).running, "nobody holds the folder"
    begun = {uuid: processes(studio, uuid) for uuid in paused.sessions}
    studio.octa.clock.sleep(paused.wake_after_s)

    more = studio.run(batch_of(studio, "1-60"))

    assert more.outcome is BatchOutcome.WHOLE
    assert more.rendered == 60 - paused.done
    # What was at work was let work: no machine was told to begin its frames anew.
    assert all(processes(studio, uuid)[: len(numbers)] == numbers for uuid, numbers in begun.items())
    came = {event.node_id for event in studio.told("frame accepted")}
    assert came
    lines = [json.loads(line) for line in (studio.output / "frames.jsonl").read_text().splitlines()]
    assert all(0 < line["seconds"] < 10 * FRAME_S for line in lines if line["seconds"] is not None)
    assert studio.nothing_runs()


def test_whoever_can_not_go_on_is_told_of_the_machines_that_bill_and_nothing_is_forgotten(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("octa_provider.batch.run.left_machines.AWAY_S", 20.0)
    batch = batch_of(studio, "1-200")
    paused = pause(studio, batch)
    note = studio.output / ".octa" / "pause.json"
    begun = {uuid: processes(studio, uuid) for uuid in paused.sessions}
    stops = f"octa-provider stop {' '.join(paused.sessions)}"
    scene = (studio.scene / "shot.py").read_text()
    (studio.scene / "shot.py").write_text("# another scene")
    # Perhaps somebody else's call: the machines are not to blame.
    with pytest.raises(OctaConfigError, match="another scene") as other:
        studio.run(batch, pause_s=PAUSE_S)
    assert stops in str(other.value)
    (studio.scene / "shot.py").write_text(scene)
    # So it is of a release that is older than the one that goes on with them.
    record = studio.output / ".octa" / "batch.json"
    written = record.read_text()
    record.write_text(json.dumps(json.loads(written) | {"version": 1_000}))
    with pytest.raises(OctaLocalFileError, match="another release") as older:
        studio.run(batch, pause_s=PAUSE_S)
    assert stops in str(older.value)
    record.write_text(written)
    # And where this user, or this computer, can't read what another one can.
    journal = studio.output / ".octa" / "journal.jsonl"
    kept = journal.rename(journal.with_suffix(".kept"))
    journal.mkdir()
    with pytest.raises(OctaLocalFileError, match="Is a directory") as unread:
        studio.run(batch, pause_s=PAUSE_S)
    assert stops in str(unread.value)
    journal.rmdir()
    kept.rename(journal)
    assert {*studio.emulator.ledger(requests=False)["running_uuids"]} == {*paused.sessions}

    studio.emulator.faults({"kind": "status", "status": 503, "method": "*", "path": "*", "times": None})
    with pytest.raises(OctaServerError, match="may still run and bill") as away:
        studio.run(batch, pause_s=PAUSE_S)
    assert stops in str(away.value)
    assert note.exists(), "whoever comes next goes on with it"
    studio.emulator.clear_faults()
    assert {*studio.emulator.ledger(requests=False)["running_uuids"]} == {*paused.sessions}
    studio.run(batch, pause_s=PAUSE_S)
    # What was at work was let work: no machine was told to begin its frames anew.
    assert all(processes(studio, uuid)[: len(numbers)] == numbers for uuid, numbers in begun.items())
    studio.octa.batches.stop(studio.output)
    assert studio.nothing_runs()


def test_a_frame_that_comes_while_the_machines_are_being_left_is_counted_once(studio: Studio) -> None:
    def pictures() -> int:
        journal = (studio.output / ".octa" / "journal.jsonl").read_text()
        return sum(json.loads(line)["t"] == "frame" for line in journal.splitlines(keepends=True) if line[-1] == "\n")

    def wait_for_one_more(event: BatchEvent) -> None:
        if event.kind == "paused":
            before = pictures()
            while pictures() == before:
                time.sleep(0.02)

    batch = batch_of(studio, "1-60")
    for _ in range(MOST_TRIES):
        paused = studio.run(batch, pause_s=PAUSE_S, on_event=wait_for_one_more)
        if paused.outcome is BatchOutcome.PAUSED:
            break
        studio.begin_anew()
    assert paused.rendered == paused.done == pictures()
    assert paused.done + len(parse(paused.missing)) == 60
    assert sum(result.rendered for result in [paused, *run_until_over(studio, batch)]) == 60


def test_a_machine_that_ends_while_nobody_watches_costs_no_frame(studio: Studio) -> None:
    batch = batch_of(studio, "1-60")
    paused = pause(studio, batch)
    studio.emulator.end_session(paused.sessions[0], "Node is offline")
    results = run_until_over(studio, batch)
    assert results[-1].outcome is BatchOutcome.WHOLE
    assert check_frames(studio.output, "1-60").whole
    assert studio.nothing_runs()
    assert results[-1].cost_wei == studio.charged_wei()


def test_machines_that_nobody_comes_back_for_are_stopped_by_their_folder(studio: Studio) -> None:
    batch = batch_of(studio, "1-60")
    paused = pause(studio, batch)
    studio.octa.clock.sleep(paused.wake_after_s)
    bills = studio.octa.batches.stop(studio.output)
    assert bills.keys() == set(paused.sessions)
    assert studio.nothing_runs()
    assert not (studio.output / ".octa" / "pause.json").exists(), "what is run next has a deadline of its own"
    again = run_until_over(studio, batch)[-1]
    assert again.outcome is BatchOutcome.WHOLE
    assert again.cost_wei == studio.charged_wei()


def test_whoever_is_interrupted_at_the_pause_leaves_nothing_running(studio: Studio) -> None:
    def interrupt(event: BatchEvent) -> None:
        if event.kind == "paused":
            raise KeyboardInterrupt

    def is_interrupted() -> bool:
        try:
            studio.run(batch_of(studio, "1-60"), pause_s=PAUSE_S, on_event=interrupt)
        except KeyboardInterrupt:
            return True
        # A busy computer kept it from pausing.
        studio.begin_anew()
        return False

    assert any(is_interrupted() for _ in range(MOST_TRIES))
    assert studio.nothing_runs()


@pytest.mark.parametrize("left", ["", "{", '{"fingerprint": 3}'], ids=["no note", "a torn note", "a strange note"])
def test_whoever_finds_no_note_of_the_pause_goes_on_all_the_same(studio: Studio, left: str) -> None:
    batch = batch_of(studio, "1-60")
    paused = pause(studio, batch)
    note = studio.output / ".octa" / "pause.json"
    if left:
        note.write_text(left)
    else:
        note.unlink()
    results = run_until_over(studio, batch)
    assert results[-1].outcome is BatchOutcome.WHOLE
    assert {event.uuid for event in studio.told("machine ended")} >= set(paused.sessions) & {
        uuid for result in results for uuid in result.sessions
    }
    assert studio.nothing_runs()


WAKE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from studio import PACING
from fast_clock import FastClock
from octa_provider import OctaClient
clock = FastClock(20.0, sys.argv[3])
with OctaClient(sys.argv[2], base_url=sys.argv[3], clock=clock) as octa:
    while True:
        result = octa.batches.resume(sys.argv[4], private_key=sys.argv[5], pacing=PACING, pause_s=30.0)
        if result.outcome.value != "paused":
            break
        clock.sleep(result.wake_after_s)
print(result.outcome.value, result.done)
"""


def test_another_process_goes_on_with_it(studio: Studio) -> None:
    pause(studio, batch_of(studio, "1-60"))
    emulator = studio.emulator
    words = [str(Path(__file__).parent), emulator.api_key, emulator.base_url, str(studio.output)]
    command = [sys.executable, "-c", WAKE, *words, str(emulator.ssh_private_key)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=850, check=False)
    assert done.stdout.split() == ["whole", "60"], done.stderr
    assert studio.nothing_runs()
    assert check_frames(studio.output, "1-60").whole


def test_the_deadline_counts_through_a_pause(studio: Studio) -> None:
    batch = batch_of(studio, "1-90", finish_within_s=900.0)
    for _ in range(MOST_TRIES):
        paused = pause(studio, batch)
        assert paused.wake_after_s < 900.0 / 4
        studio.octa.clock.sleep(900.0)
        results = run_until_over(studio, batch)
        if all(result.outcome is not BatchOutcome.OVER_BUDGET for result in results):
            break
        # A busy computer has spent the plan's most before: what is run after that has a deadline of its own.
        studio.begin_anew()
    assert results[-1].outcome is BatchOutcome.LATE
    assert results[-1].seconds > 900.0
    assert studio.nothing_runs()


def test_a_batch_that_is_soon_done_is_not_paused(studio: Studio) -> None:
    result = studio.run(batch_of(studio, "1-12", max_machines=3), pause_s=600.0)
    assert result.outcome is BatchOutcome.WHOLE
    assert studio.nothing_runs()


def test_a_pause_that_can_not_be_is_refused_before_anything_is_rented(studio: Studio) -> None:
    for seconds in (0.0, 9.0, 4000.0, float("nan")):
        with pytest.raises(OctaConfigError, match="pause_s"):
            studio.run(batch_of(studio, "1-12"), pause_s=seconds)
    assert studio.posts() == 0


def test_a_batch_with_pauses_never_costs_more_than_its_cap(tmp_path: Path) -> None:
    with open_studio(tmp_path) as studio:
        batch = batch_of(studio, "1-400", max_cost_usd=0.06, confidence=0.5, seconds_per_frame=1.0)
        results = pause_and_go_on(studio, batch)
        paused = [result for result in results if result.outcome is BatchOutcome.PAUSED]
        # Whoever comes back in time can still stop them.
        assert all(one.paid_for_s is not None and one.paid_for_s > one.wake_after_s for one in paused)
        assert results[-1].outcome is BatchOutcome.OVER_BUDGET, results
        assert results[-1].cost_usd is not None
        assert results[-1].cost_wei is not None
        look_usd = studio.one_look_wei() * results[-1].cost_usd / results[-1].cost_wei
        assert results[-1].cost_usd <= 0.06 + look_usd
        assert studio.nothing_runs()
        assert results[-1].cost_wei == studio.charged_wei()


def test_a_frame_that_was_given_up_before_a_pause_is_not_tried_again_after_it(studio: Studio) -> None:
    studio.emulator.faults({"kind": "render", "form": "cut", "frame": 2, "times": None})
    batch = batch_of(studio, "1-80", max_failed_frames=5, tries_per_frame=1)
    results = pause_and_go_on(studio, batch)
    assert results[-1].outcome is BatchOutcome.INCOMPLETE
    assert list(results[-1].failed or {}) == [2]
    journal = (studio.output / ".octa" / "journal.jsonl").read_text().splitlines()
    refused = [line for line in map(json.loads, journal) if line.get("t") == "refused"]
    assert [line["frame"] for line in refused] == [2]
    assert studio.nothing_runs()


@pytest.mark.parametrize(
    "faults",
    [
        [{"kind": "render", "form": "node_dies", "after": 12, "times": 1}],
        [{"kind": "render", "form": "cut", "after": 9, "times": 2}],
        [{"kind": "status", "status": 503, "after": 60, "times": 8}],
        [{"kind": "render", "form": "slow", "factor": 2, "after": 10, "times": None}],
    ],
    ids=["node dies", "frames cut", "API down", "slow"],
)
def test_whatever_happens_while_it_is_paused_it_becomes_whole(studio: Studio, faults: list[dict[str, Any]]) -> None:
    studio.emulator.faults(*faults)
    results = run_until_over(studio, batch_of(studio, "1-60"))
    assert results[-1].outcome is BatchOutcome.WHOLE, results
    assert check_frames(studio.output, "1-60").whole
    assert sum(result.rendered for result in results) == 60
    assert studio.nothing_runs()
    assert results[-1].cost_wei == studio.charged_wei()
