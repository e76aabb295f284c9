"""`Jobs.run` and `Jobs.watch` carry out what `next_step` says, in its order and at its pace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from held_clock import HeldClock

from octa_provider import JobOutcome, JobResult, JobSpec, JobState
from octa_provider.errors import OctaCancelledError
from octa_provider.job.run import see_to_the_end
from octa_provider.job.state import JobPhase
from octa_provider.job.teller import JobTeller
from octa_provider.rental.terms import Terms

SPEC = JobSpec(image="i", command="c", via="ssh")
STATE = JobState(
    key="k", rental=Terms("u"), nonce="n", over_ssh=True, timeout_s=100, appear_by=1e9, ready_by=1e9, end_by=None
)
RESULT = JobResult(0, JobOutcome.SUCCEEDED, "", None, (), 1, None, 1.0, 7, "u", "k", 1)
UP = {"phase": JobPhase.READY}
RUNS = {"phase": JobPhase.RUNNING, "end_by": 1e9}
ENDED = {"phase": JobPhase.EXITED, "outcome": JobOutcome.SUCCEEDED, "exit_code": 0}


class ScriptedJobs:
    """Does of a job what it is told it comes to; tells what was done, and when."""

    def __init__(self, clock: HeldClock, *comes_to: tuple[str, dict[str, Any]]) -> None:
        self.clock = clock
        self.done: list[tuple[str, float]] = []
        self._comes_to = list(comes_to)

    def _step(self, name: str, state: JobState) -> JobState:
        wanted, changes = self._comes_to.pop(0)
        assert name == wanted
        self.done.append((name, self.clock.at_s))
        return state.having(**changes)

    def poll(self, state: JobState, **options: object) -> JobState:
        return self._step("poll", state)

    def begin(self, state: JobState, spec: JobSpec, **options: object) -> JobState:
        return self._step("begin", state)

    def collect(self, state: JobState, **options: object) -> JobState:
        return self._step("collect", state)

    def finish(self, state: JobState, **options: object) -> JobResult:
        self._step("finish", state)
        return RESULT

    def restore(self, terms: Terms) -> ScriptedJobs:
        return self

    def stop_after(self, error: BaseException) -> None:
        self.done.append(("stop", self.clock.at_s))


class Slices:
    """A pace that tells by the clock alone."""

    reads_log = True

    def __init__(self, clock: HeldClock, pause_s: float) -> None:
        self._clock = clock
        self._pause_s = pause_s

    def wait_until_due(self, state: JobState, is_cancelled: Callable[[], bool]) -> None:
        until = self._clock.at_s + self._pause_s
        while self._clock.at_s < until and not is_cancelled():
            self._clock.sleep(1.0)

    def hurry(self) -> None:
        """Nothing tells of an end here."""


def follow(
    jobs: ScriptedJobs,
    state: JobState = STATE,
    on_state: Callable[[JobState], object] | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
    told: JobTeller | None = None,
) -> JobResult:
    return see_to_the_end(
        jobs,
        jobs,  # type: ignore[arg-type]
        lambda on_started: state,
        SPEC,
        "k",
        private_key=None,
        log_path=None,
        on_line=None,
        on_unfinished=None,
        on_state=on_state,
        is_cancelled=is_cancelled,
        poll_s=10.0,
        told=told,
        pace=Slices(jobs.clock, 10.0),
    )


def pauses(jobs: ScriptedJobs) -> list[tuple[str, bool]]:
    """What was done, each with whether a pause of about `poll_s` came before it."""
    at, told = 0.0, []
    for name, then in jobs.done:
        assert then == at or 9 <= then - at <= 11.1, (name, at, then)
        told.append((name, then != at))
        at = then
    return told


def test_a_job_is_looked_at_at_once_and_then_at_its_pace(clock: HeldClock) -> None:
    jobs = ScriptedJobs(
        clock, ("poll", {}), ("poll", UP), ("begin", RUNS), ("poll", {}), ("poll", ENDED),
        ("collect", {"phase": JobPhase.COLLECTED}), ("finish", {}),
    )  # fmt: skip
    assert follow(jobs) is RESULT
    assert pauses(jobs) == [
        *(("poll", False), ("poll", True), ("begin", False), ("poll", True), ("poll", True)),
        *(("collect", False), ("finish", False)),
    ]


def test_a_machine_that_is_not_ready_for_the_command_is_looked_at_before_it_is_asked_again(clock: HeldClock) -> None:
    jobs = ScriptedJobs(
        clock, ("poll", UP), ("begin", {}), ("poll", {}), ("begin", RUNS), ("poll", ENDED),
        ("collect", {"phase": JobPhase.COLLECTED}), ("finish", {}),
    )  # fmt: skip
    follow(jobs)
    assert [step for step in pauses(jobs) if step[1]] == [("poll", True), ("poll", True)]


def test_a_job_that_was_ready_when_it_was_written_down_is_looked_at_before_it_is_begun(clock: HeldClock) -> None:
    jobs = ScriptedJobs(clock, ("poll", ENDED), ("collect", {"phase": JobPhase.COLLECTED}), ("finish", {}))
    follow(jobs, STATE.having(**UP))
    assert pauses(jobs) == [("poll", False), ("collect", False), ("finish", False)]


@pytest.mark.parametrize(
    ("phase", "steps"), [(JobPhase.EXITED, ["collect", "finish"]), (JobPhase.COLLECTED, ["finish"])]
)
def test_of_a_job_that_has_ended_only_what_is_left_is_done(clock: HeldClock, phase: JobPhase, steps: list[str]) -> None:
    jobs = ScriptedJobs(clock, *((step, {"phase": JobPhase.COLLECTED}) for step in steps))
    follow(jobs, STATE.having(**ENDED | {"phase": phase}))
    assert [name for name, _ in jobs.done] == steps


def test_an_adopted_job_that_is_lost_is_the_result_and_not_begun_anew(clock: HeldClock) -> None:
    lost = STATE.having(phase=JobPhase.EXITED, outcome=JobOutcome.LOST, attempts=2)
    jobs = ScriptedJobs(clock, ("collect", {"phase": JobPhase.COLLECTED}), ("finish", {}))
    assert follow(jobs, lost) is RESULT


def test_each_change_is_told_once(clock: HeldClock) -> None:
    told: list[JobPhase] = []
    jobs = ScriptedJobs(
        clock, ("poll", {}), ("poll", UP), ("begin", RUNS), ("poll", {}), ("poll", ENDED),
        ("collect", {"phase": JobPhase.COLLECTED}), ("finish", {}),
    )  # fmt: skip
    follow(jobs, on_state=lambda state: told.append(state.phase))
    assert told == list(JobPhase)


def test_telling_events_takes_no_look_more_and_none_sooner(clock: HeldClock) -> None:
    kinds: list[str] = []
    steps = (
        *(("poll", {}), ("poll", UP), ("begin", RUNS), ("poll", {}), ("poll", ENDED)),
        *(("collect", {"phase": JobPhase.COLLECTED}), ("finish", {})),
    )
    jobs = ScriptedJobs(clock, *steps)
    assert follow(jobs, told=JobTeller(lambda event: kinds.append(event.kind), clock)) is RESULT
    assert pauses(jobs) == [
        *(("poll", False), ("poll", True), ("begin", False), ("poll", True), ("poll", True)),
        *(("collect", False), ("finish", False)),
    ]
    assert kinds == ["started", "ready", "ended", "stopped"]


def test_whoever_cancels_during_a_pause_has_it_stopped_within_a_second(clock: HeldClock) -> None:
    jobs = ScriptedJobs(clock, ("poll", {}))
    with pytest.raises(OctaCancelledError, match="the job k was cancelled; its session was stopped"):
        follow(jobs, is_cancelled=lambda: clock.at_s >= 3.5)
    assert jobs.done == [("poll", 0.0), ("stop", 4.0)]
