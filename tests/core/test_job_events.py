"""`on_event`: what a job tells while it runs, in which order, and what comes of a callback that fails."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from job_bench import Bench, LeapingClock, bench, emulator

from octa_provider import JobEvent, JobOutcome, JobSpec, OctaCancelledError, OctaConfigError, OctaStopError
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.job.events import JOB_EVENT_KINDS
from octa_provider.job.state import JobPhase
from octa_provider.job.teller import JobTeller
from octa_provider.progress import ProgressTracker
from octa_provider.rental.terms import Bill

__all__ = ["bench", "emulator"]

#: Of each kind.
TALKS = "echo 1/4; sleep 0.3; echo 4/4; exit 3"


def spec(command: str = TALKS, **changes: object) -> JobSpec:
    return JobSpec(**({"image": "ubuntu:24.04", "command": command, "timeout_s": 6000} | changes))  # type: ignore[arg-type]


def kinds(events: list[JobEvent]) -> list[str]:
    return [event.kind for event in events]


@pytest.fixture
def leaping(emulator: EmulatorHandle, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Whoever sleeps is woken at once: no machine that never comes up is waited for."""
    bench = Bench(emulator, f"events/{request.node.name}", LeapingClock())
    yield bench
    bench.stop()


@pytest.mark.parametrize("via", ["container", "ssh"])
def test_each_thing_that_happens_is_told_in_its_order(bench: Bench, via: str) -> None:
    events: list[JobEvent] = []
    result = bench.client.jobs.run(
        spec(via=via), bench.key, private_key=bench.ssh_key, on_event=events.append, poll_s=0.1
    )
    assert kinds(events) == ["started", "ready", "line", "progress", "line", "progress", "ended", "stopped"]
    assert set(kinds(events)) == set(JOB_EVENT_KINDS)
    assert {(event.uuid, event.node_id, event.adopted) for event in events} == {(result.uuid, result.node_id, False)}
    assert {event.key for event in events} == {result.key}
    assert [event.line for event in events if event.kind == "line"] == ["1/4", "4/4"]
    assert [event.progress for event in events if event.kind == "progress"] == [0.25, 1.0]
    assert [event.when for event in events] == sorted(event.when for event in events)
    assert events[0].when.tzinfo is timezone.utc
    assert events[0].price_usd
    ended, stopped = events[-2:]
    for event in (ended, stopped):
        assert (event.outcome, event.exit_code, event.progress) == (JobOutcome.FAILED, 3, 1.0)
        assert event.reason == result.message != ""
    assert (ended.cost_wei, ended.duration_s) == (None, None)
    assert (stopped.cost_wei, stopped.cost_usd) == (result.cost_wei, result.cost_usd)
    assert stopped.cost_wei
    assert stopped.duration_s == result.duration_s
    assert len(bench.sessions()) == 1


def test_an_event_is_a_small_json_value(bench: Bench) -> None:
    events: list[JobEvent] = []
    bench.client.jobs.run(spec("echo 1"), bench.key, on_event=events.append, poll_s=0.1)
    for event in events:
        told = json.loads(json.dumps(event.to_dict()))
        assert datetime.fromisoformat(told["when"]) == event.when
        assert told["outcome"] == (None if event.outcome is None else event.outcome.value)


def test_the_files_are_here_when_the_end_is_told_and_the_machine_is_gone_when_its_stop_is(
    bench: Bench, tmp_path: Path
) -> None:
    seen: dict[str, tuple[bool, int]] = {}

    def look(event: JobEvent) -> None:
        seen[event.kind] = ((tmp_path / "out").exists(), bench.running())

    job = spec("echo made > out", outputs={"out": tmp_path / "out"})
    assert bench.client.jobs.run(job, bench.key, private_key=bench.ssh_key, on_event=look, poll_s=0.1).succeeded
    assert seen == {"started": (False, 1), "ready": (False, 1), "ended": (True, 1), "stopped": (True, 0)}


def test_an_end_that_is_told_is_settled(bench: Bench, tmp_path: Path) -> None:
    """An output that is missing makes a success a failure: nobody is told of a success before."""
    events: list[JobEvent] = []
    job = spec("true", outputs={"out": tmp_path / "out"})
    bench.client.jobs.run(job, bench.key, private_key=bench.ssh_key, on_event=events.append, poll_s=0.1)
    assert [event.outcome for event in events if event.kind == "ended"] == [JobOutcome.FAILED]


def test_progress_is_told_as_the_tracker_reads_it_also_of_a_bar(bench: Bench) -> None:
    events: list[JobEvent] = []
    command = r"echo 10%; printf 'step 1\rstep 2'; sleep 1; printf '\rstep 3\n'"
    bench.client.jobs.run(
        spec(command),
        bench.key,
        on_event=events.append,
        tracker=ProgressTracker(r"step (?P<done>\d+)", total=4),
        poll_s=0.1,
    )
    told = [event.progress for event in events if event.kind == "progress"]
    assert told == sorted(told)
    assert (told[0], told[-1]) in {(0.25, 0.75), (0.5, 0.75)}
    assert [event.line for event in events if event.kind == "line"] == ["10%", "step 3"]


def test_who_is_told_lines_otherwise_too_gets_them_all_and_progress_bars_as_well(bench: Bench) -> None:
    events: list[JobEvent] = []
    lines: list[str] = []
    bench.client.jobs.run(spec(), bench.key, on_event=events.append, on_line=lines.append, poll_s=0.1)
    assert lines == [event.line for event in events if event.kind == "line"] == ["1/4", "4/4"]


def test_whoever_watches_a_job_that_another_has_started_is_told_from_its_machine_on(bench: Bench) -> None:
    job, events = spec(), list[JobEvent]()
    state = bench.running_state(job)
    bench.client.jobs.watch(state, job, on_event=events.append, poll_s=0.1)
    assert kinds(events)[:2] == ["started", "ready"]
    assert kinds(events)[-2:] == ["ended", "stopped"]


def test_a_try_that_carries_on_says_so(bench: Bench) -> None:
    job, events = spec("sleep 1"), list[JobEvent]()
    state = bench.running_state(job)
    bench.client.jobs.run(job, bench.key, earlier=state, on_event=events.append, poll_s=0.1)
    assert kinds(events) == ["started", "ready", "ended", "stopped"]
    assert {(event.uuid, event.adopted) for event in events} == {(state.rental.uuid, True)}
    assert len(bench.sessions()) == 1


def test_each_machine_that_is_tried_has_its_start_its_stop_and_its_own_cost(leaping: Bench) -> None:
    leaping.emulator.faults({"kind": "never_ready", "times": 1})
    events: list[JobEvent] = []
    job = spec("echo hello", ready_timeout_s=100, start_attempts=2)
    result = leaping.client.jobs.run(job, leaping.key, on_event=events.append, poll_s=0.5)
    assert kinds(events) == ["started", "stopped", "started", "ready", "line", "ended", "stopped"]
    first, second = (event for event in events if event.kind == "stopped")
    assert (first.uuid, first.cost_wei) == (result.tried[0].uuid, result.tried[0].cost_wei)
    assert "not ready for the command in time" in first.reason
    assert second.uuid == result.uuid
    assert (first.cost_wei or 0) + (second.cost_wei or 0) == result.cost_wei
    assert {event.uuid for event in events[2:]} == {result.uuid}


def test_a_machine_that_never_comes_up_is_never_ready(leaping: Bench) -> None:
    leaping.emulator.faults({"kind": "never_ready", "times": None})
    events: list[JobEvent] = []
    leaping.client.jobs.run(spec(ready_timeout_s=100), leaping.key, on_event=events.append, poll_s=0.5)
    leaping.emulator.clear_faults()
    assert kinds(events) == ["started", "ended", "stopped"]
    assert events[-1].outcome is JobOutcome.NOT_READY


def test_a_job_that_is_cut_short_has_no_end_but_a_stop_with_its_cost_and_why(bench: Bench) -> None:
    events: list[JobEvent] = []
    with pytest.raises(OctaCancelledError):
        bench.client.jobs.run(
            spec("echo up; sleep 300", timeout_s=300),
            bench.key,
            on_event=events.append,
            is_cancelled=lambda: "line" in kinds(events),
            poll_s=0.1,
        )
    assert kinds(events) == ["started", "ready", "line", "stopped"]
    assert "was cancelled" in events[-1].reason
    assert (events[-1].cost_wei is not None, events[-1].outcome) == (True, None)


def test_a_machine_that_may_still_bill_is_not_told_as_stopped(leaping: Bench) -> None:
    events: list[JobEvent] = []

    def on_event(event: JobEvent) -> None:
        events.append(event)
        if event.kind == "ended":
            leaping.emulator.faults({"kind": "status", "status": 503, "path": "/services/*/stop", "times": None})

    with pytest.raises(OctaStopError):
        leaping.client.jobs.run(spec("true"), leaping.key, on_event=on_event, poll_s=0.5)
    assert kinds(events) == ["started", "ready", "ended"]


@pytest.mark.parametrize("kind", JOB_EVENT_KINDS)
def test_a_callback_that_raises_neither_ends_the_job_nor_leaves_a_machine(
    bench: Bench, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    events: list[JobEvent] = []

    def breaks_here(event: JobEvent) -> None:
        events.append(event)
        if event.kind == kind:
            raise ValueError("no such channel")

    with caplog.at_level(logging.WARNING):
        result = bench.client.jobs.run(spec(), bench.key, on_event=breaks_here, poll_s=0.1)
    assert (result.outcome, result.exit_code) == (JobOutcome.FAILED, 3)
    assert kinds(events) == ["started", "ready", "line", "progress", "line", "progress", "ended", "stopped"]
    (told,) = [record for record in caplog.records if "on_event failed" in record.message]
    assert "on_event failed (ValueError: no such channel): the job goes on" in told.message
    assert "in breaks_here" in logging.Formatter().format(told)
    assert [session["stopped_ms"] is not None for session in bench.sessions()] == [True]


@pytest.mark.parametrize("kind", JOB_EVENT_KINDS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit], ids=lambda error: error.__name__)
def test_who_interrupts_in_a_callback_ends_the_job_and_its_machine(
    bench: Bench, kind: str, error: type[BaseException]
) -> None:
    events: list[JobEvent] = []

    def interrupts(event: JobEvent) -> None:
        events.append(event)
        if event.kind == kind:
            raise error

    with pytest.raises(error):
        bench.client.jobs.run(spec(f"{TALKS}; sleep 1"), bench.key, on_event=interrupts, poll_s=0.1)
    assert [session["stopped_ms"] is not None for session in bench.sessions()] == [True]
    # The stop is told also of a job that was cut short, and once.
    assert (kinds(events).count("stopped"), kinds(events)[-1]) == (1, "stopped")


@pytest.mark.parametrize("kind", ["ready", "ended"])
def test_a_signal_in_a_callback_ends_the_job_and_its_machine(bench: Bench, kind: str) -> None:
    def hears_a_signal(event: JobEvent) -> None:
        if event.kind == kind:
            os.kill(os.getpid(), signal.SIGTERM)

    # One that is still to come when the signal does is waited for, however late that is.
    command = TALKS if kind == "ended" else "sleep 600"
    with pytest.raises(SystemExit):
        bench.client.jobs.run(spec(command), bench.key, on_event=hears_a_signal, poll_s=0.1)
    assert [session["stopped_ms"] is not None for session in bench.sessions()] == [True]


def test_of_a_machine_whose_successor_was_being_started_the_stop_is_told_without_the_others_cost(bench: Bench) -> None:
    """Cut short between the stop of the one, which is certain, and the start of the other."""
    events: list[JobEvent] = []
    state = bench.client.jobs.start(spec(), bench.key)
    teller = JobTeller(events.append, bench.clock)
    teller.saw(state)
    teller.cut_short("interrupted", [Bill("another", 5, 0.5, 60.0, None)])
    assert (events[-1].kind, events[-1].uuid, events[-1].reason) == ("stopped", state.rental.uuid, "interrupted")
    assert (events[-1].cost_wei, events[-1].cost_usd, events[-1].duration_s) == (None, None, None)


async def nobody_awaits(event: JobEvent) -> None:
    pass


@pytest.mark.parametrize(
    ("on_event", "why"), [("print", "a function that takes a JobEvent"), (nobody_awaits, "awaits")]
)
def test_what_can_not_be_told_is_refused_before_anything_is_rented(bench: Bench, on_event: Any, why: str) -> None:
    with pytest.raises(OctaConfigError, match=f"on_event must be .*{why}"):
        bench.client.jobs.run(spec(), bench.key, on_event=on_event)
    assert bench.sessions() == []


def test_lines_of_the_look_that_sees_the_session_up_come_after_its_being_ready(bench: Bench) -> None:
    """They are read within that look, so before its state is."""
    events: list[JobEvent] = []
    state = bench.client.jobs.start(spec(), bench.key)
    teller = JobTeller(events.append, bench.clock)
    teller.saw(state)
    teller.line("1/4")
    teller.saw(state.having(phase=JobPhase.RUNNING, end_by=bench.clock.time() + 60))
    assert kinds(events) == ["started", "ready", "line", "progress"]


@pytest.mark.parametrize("kind", ["started", "ready"])
def test_a_child_that_a_callback_forks_and_that_exits_leaves_the_machine_to_its_parent(bench: Bench, kind: str) -> None:
    """Its SystemExit goes through the same blocks as the parent's would: whoever rented the machine still needs it."""
    parent = os.getpid()

    def forks(event: JobEvent) -> None:
        if event.kind == kind:
            child = os.fork()
            if not child:
                raise SystemExit(5)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5

    try:
        result = bench.client.jobs.run(spec(), bench.key, on_event=forks, poll_s=0.1)
    except SystemExit as error:
        if os.getpid() != parent:
            # Nothing of the parent's test run is the child's to end.
            os._exit(int(error.code or 0))
        raise
    assert (result.outcome, result.exit_code) == (JobOutcome.FAILED, 3)
    assert len(bench.sessions()) == 1
