"""The machine of a command that failed, kept for a look: it, and no other; told, on the bill, and only for its time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from job_bench import Bench, LeapingClock, ShortClock, emulator

from octa_provider import JobEvent, JobOutcome, JobResult, JobSpec, JobState
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.errors import OctaCancelledError
from octa_provider.job.script import WORK_FOLDER
from octa_provider.models import Session
from octa_provider.rental.intents import FolderIntents
from octa_provider.rental.kept import kept_under, note_kept
from octa_provider.rental.terms import Terms
from octa_provider.watch.watcher import Watcher

__all__ = ["emulator"]


def spec(command: str = "exit 3", **changes: Any) -> JobSpec:
    given: dict[str, Any] = {"image": "ubuntu:24.04", "command": command, "keep_failed_s": 1800}
    return JobSpec(**(given | changes))


@pytest.fixture
def bench(emulator: EmulatorHandle, request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = Bench(emulator, f"kept/{request.node.name}", LeapingClock())
    yield bench
    bench.stop()


def ran(bench: Bench, job: JobSpec, **options: Any) -> JobResult:
    return bench.client.jobs.run(job, bench.key, private_key=bench.ssh_key, poll_s=0.5, **options)


def running(bench: Bench) -> list[str]:
    return [session["uuid"] for session in bench.sessions() if session["stopped_ms"] is None]


@pytest.mark.parametrize("via", ["container", "ssh"])
def test_the_machine_of_a_command_that_failed_is_kept_and_told_with_its_price_and_its_stop(
    bench: Bench, via: str, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[JobEvent] = []
    with caplog.at_level(logging.WARNING):
        result = ran(bench, spec(via=via), on_event=events.append)
    assert (result.outcome, result.exit_code) == (JobOutcome.FAILED, 3)
    assert running(bench) == [result.uuid]
    assert result.kept_until is not None
    assert 0 < result.kept_until - bench.clock.time() <= 1800
    assert result.to_dict()["kept_until"] == result.kept_until
    assert result.cost_wei is not None
    (told,) = [line.getMessage() for line in caplog.records if "IS KEPT" in line.getMessage()]
    assert "exit code 3" in told
    assert " USD/h" in told
    assert f"octa-provider stop {result.uuid}" in told
    assert [event.kind for event in events][-1] == "ended"


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"command": "true"}, JobOutcome.SUCCEEDED),
        ({"max_duration_s": 1e-9, "command": "sleep 600"}, JobOutcome.OVER_BUDGET),
        ({"keep_failed_s": None}, JobOutcome.FAILED),
    ],
)
def test_no_other_machine_is_kept(bench: Bench, changes: dict[str, Any], outcome: JobOutcome) -> None:
    result = ran(bench, spec(**changes))
    assert (result.outcome, result.kept_until, running(bench)) == (outcome, None, [])


def test_one_that_never_came_up_is_not_kept(bench: Bench) -> None:
    bench.emulator.faults({"kind": "never_ready", "times": 1})
    result = ran(bench, spec(ready_timeout_s=20))
    assert (result.outcome, result.kept_until, running(bench)) == (JobOutcome.NOT_READY, None, [])


def test_one_that_could_not_begin_the_command_is_not_kept(bench: Bench) -> None:
    job = spec("true", via="ssh")
    state = bench.begun_in_vain(job)
    assert state.outcome is JobOutcome.FAILED
    assert (bench.client.jobs.finish(state).kept_until, running(bench)) == (None, [])


def test_an_end_that_is_seen_again_keeps_it_no_longer(bench: Bench) -> None:
    """As by a trigger that is made anew: its machine would bill for as long as somebody sees its end."""
    state = bench.polled(bench.running_state(spec()))
    first = bench.client.jobs.finish(state).kept_until
    bench.clock.shift_s += 900
    assert first is not None
    assert bench.client.jobs.finish(state).kept_until == pytest.approx(first, abs=60)
    bench.clock.shift_s += 901
    assert (bench.client.jobs.finish(state).kept_until, running(bench)) == (None, [])


class SetBack(LeapingClock):
    """Its wall clock is set back by `back_s`."""

    back_s = 0.0

    def time(self) -> float:
        return super().time() - self.back_s


@pytest.mark.parametrize("boot", ["", "one"], ids=["seen from elsewhere", "seen from here"])
def test_a_wall_clock_that_is_set_back_keeps_it_no_longer(
    emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch, boot: str
) -> None:
    monkeypatch.setattr(SetBack, "boot", boot)
    clock = SetBack()
    bench = Bench(emulator, f"kept/set-back{boot}", clock)
    uuid = ran(bench, spec()).uuid
    clock.back_s = 30 * 86_400
    clock.shift_s += 1801
    reaped = bench.client.rentals.reap(bench.key, is_alive=lambda key: True, dry_run=False)
    assert (reaped.stopped, running(bench)) == ((uuid,), [])


def test_a_job_that_is_cancelled_keeps_nothing(bench: Bench) -> None:
    states: list[JobState] = []
    with pytest.raises(OctaCancelledError):
        ran(bench, spec("sleep 600"), on_state=states.append, is_cancelled=lambda: bool(states))
    assert running(bench) == []
    # Cancelled when its end has been seen already.
    result = ran(bench, spec(), on_state=states.append, is_cancelled=lambda: states[-1].ended)
    assert (result.kept_until, running(bench)) == (None, [])


def test_the_next_try_runs_beside_the_kept_machine_and_neither_takes_nor_stops_it(bench: Bench) -> None:
    first = ran(bench, spec("test -e again && exit 0; exit 3"))
    second = ran(bench, spec("test -e again && exit 0; exit 3"))
    assert first.uuid != second.uuid
    assert running(bench) == [first.uuid, second.uuid]
    third = ran(bench, spec("true"))
    assert third.outcome is JobOutcome.SUCCEEDED
    assert running(bench) == [first.uuid, second.uuid]
    assert bench.client.rentals.find(bench.key) is None
    # A task that fails stops its key, and leaves what is kept; whoever says the key means all of it.
    assert bench.client.rentals.stop(bench.key, leaves_kept=True) == ()
    assert len(bench.client.rentals.stop(bench.key)) == 2
    assert (running(bench), kept_under(bench.client, bench.key)) == ([], {})


def test_whoever_watches_the_kept_machine_leaves_that_of_the_next_try(emulator: EmulatorHandle) -> None:
    """As a triggerer that has handed the job's end on, and has not heard yet that a worker took it."""
    bench = Bench(emulator, "kept/watched", ShortClock())
    kept, looks, is_over = ran(bench, spec(via="ssh")).uuid, 0, threading.Event()

    def until(session: Session) -> bool:
        nonlocal looks
        others = [uuid for uuid in running(bench) if uuid != kept]
        looks += len(others)
        if looks > 3 and others and (work := bench.folder(others[0]) / WORK_FOLDER).is_dir():
            (work / "go").touch()
        return is_over.is_set()

    with ThreadPoolExecutor(1) as threads:
        watching = threads.submit(Watcher(bench.client, 0.05).wait, kept, until, 600)
        again = ran(bench, spec("while ! test -e go; do sleep 0.05; done", via="ssh", timeout_s=300))
        is_over.set()
        assert watching.result().uuid == kept
    assert again.succeeded, again.message
    assert running(bench) == [kept]
    bench.client.rentals.stop(bench.key)


def test_the_reaper_leaves_it_for_its_time_and_stops_it_then_whoever_lives(bench: Bench) -> None:
    result = ran(bench, spec())
    assert bench.client.rentals.reap(bench.key, dry_run=False).stopped == ()
    bench.clock.shift_s += 1801
    reaped = bench.client.rentals.reap(bench.key, is_alive=lambda key: True, dry_run=False)
    assert (reaped.stopped, running(bench)) == ((result.uuid,), [])


def test_the_next_try_stops_what_was_kept_long_enough(bench: Bench) -> None:
    first = ran(bench, spec())
    bench.clock.shift_s += 1801
    second = ran(bench, spec())
    assert (running(bench), second.uuid != first.uuid) == ([second.uuid], True)


def test_a_cap_ends_the_time_that_it_is_kept(bench: Bench) -> None:
    result = ran(bench, spec(max_duration_s=900))
    assert result.kept_until is not None
    assert result.kept_until - bench.clock.time() <= 900


def test_where_it_can_not_be_written_down_it_is_stopped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next try, and the reaper, would not know of it."""
    monkeypatch.setattr(FolderIntents, "put", lambda *arguments: None)
    result = ran(bench, spec())
    assert (result.outcome, result.kept_until, running(bench)) == (JobOutcome.FAILED, None, [])


def test_what_the_command_left_is_there_for_the_look(bench: Bench, tmp_path: Path) -> None:
    result = ran(bench, spec("echo half > half.txt; exit 3", via="ssh", outputs={"half.txt": tmp_path / "half.txt"}))
    assert result.kept_until is not None
    assert (tmp_path / "half.txt").read_text() == "half\n"
    assert list(bench.folder(result.uuid).rglob("half.txt"))


@pytest.mark.parametrize("by", ["reaper", "next try"])
def test_what_has_ended_is_noted_no_longer(bench: Bench, by: str) -> None:
    uuid, api = ran(bench, spec()).uuid, bench.client
    bench.client.rentals.reap(bench.key, is_alive=lambda key: True, dry_run=False)
    assert uuid in kept_under(api, bench.key)
    # By whoever does not see the note, as a person at the account's page.
    bench.client.rentals.open(uuid).stop()
    assert [one.uuid for _, one in api.intents.kept()] == [uuid]
    if by == "reaper":
        bench.client.rentals.reap("another/work", is_alive=lambda key: True, dry_run=True)
        assert uuid in kept_under(api, bench.key)
        bench.client.rentals.reap("another/work", is_alive=lambda key: True, dry_run=False)
    else:
        ran(bench, spec("true"))
    assert api.intents.kept() == ()


def test_a_note_of_another_accounts_session_stays(bench: Bench) -> None:
    """One store may serve several accounts: what this one tells nothing of may run on another."""
    api = bench.client
    until = bench.clock.time() + 7200
    note_kept(api, Terms("0" * 8 + "-0000-4000-8000-" + "0" * 12, key=bench.key), until)
    ((_, note),) = api.intents.kept()
    bench.client.rentals.reap("", is_alive=lambda key: True, dry_run=False)
    ran(bench, spec("true"))
    assert [one for _, one in api.intents.kept()] == [note]
    assert not note.may_be_forgotten(until, ())
    assert note.may_be_forgotten(until + 3601, ())
    api.intents.remove(f"kept/{bench.key}", note.attempt)
