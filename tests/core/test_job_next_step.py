"""What comes next for a job: one rule, told by its table and by what must hold of any job."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octa_provider import JobOutcome, JobState
from octa_provider.job.next_step import (
    Begin,
    BeginAnew,
    Collect,
    Finish,
    StartElsewhere,
    Step,
    Wait,
    begins_anew,
    next_step,
)
from octa_provider.job.pacing import LONGEST_PAUSE_S
from octa_provider.job.state import JobPhase
from octa_provider.rental.terms import Terms
from octa_provider.rental.tried_machine import TriedMachine

NOW = 1000.0
TIMEOUT_S = 100.0


def job(
    phase: JobPhase = JobPhase.RUNNING,
    outcome: JobOutcome | None = None,
    *,
    exit_code: int | None = None,
    attempts: int = 1,
    ready_by: float = NOW + 900,
    end_by: float | None = None,
) -> JobState:
    return JobState(
        key="k",
        rental=Terms("u"),
        nonce="n",
        over_ssh=True,
        timeout_s=TIMEOUT_S,
        appear_by=NOW,
        ready_by=ready_by,
        end_by=end_by,
        phase=phase,
        outcome=outcome,
        exit_code=exit_code,
        attempts=attempts,
        message="why",
    )


PHASES = st.sampled_from(JobPhase)
OUTCOMES = st.sampled_from(JobOutcome)
CODES = st.none() | st.integers(0, 255)
TIMES = st.floats(-1e9, 1e10)
#: Whatever can be known of a job, also what no job of ours can be in.
JOBS = st.builds(
    job,
    PHASES,
    st.none() | OUTCOMES,
    exit_code=CODES,
    attempts=st.integers(1, 9),
    ready_by=TIMES,
    end_by=st.none() | TIMES,
)
ASKED = st.fixed_dictionaries(
    {
        "now": TIMES,
        "poll_s": st.floats(0, 1e4),
        "collects": st.booleans(),
        "keeps_session": st.booleans(),
        "accepted_codes": st.frozensets(st.integers(0, 255), max_size=3),
        "may_begin_anew": st.booleans(),
        "is_begin_tried": st.booleans(),
        "is_watched": st.booleans(),
    }
)

RUNS: dict[tuple[JobPhase, bool], type] = {
    (JobPhase.STARTING, False): Wait,
    (JobPhase.STARTING, True): Wait,
    (JobPhase.READY, False): Begin,
    (JobPhase.READY, True): Wait,
    (JobPhase.RUNNING, False): Wait,
    (JobPhase.RUNNING, True): Wait,
}


@pytest.mark.parametrize(("phase", "tried"), RUNS)
@pytest.mark.parametrize("may", [False, True])
def test_of_a_job_that_runs_only_the_phase_counts(phase: JobPhase, tried: bool, may: bool) -> None:
    step = next_step(job(phase), now=NOW, is_begin_tried=tried, may_begin_anew=may, keeps_session=may)
    assert type(step) is RUNS[phase, tried]


@pytest.mark.parametrize("outcome", list(JobOutcome))
@pytest.mark.parametrize(
    ("phase", "collects", "step"),
    [
        (JobPhase.EXITED, True, Collect()),
        (JobPhase.EXITED, False, Finish()),
        (JobPhase.COLLECTED, True, Finish()),
        (JobPhase.COLLECTED, False, Finish()),
    ],
)
def test_what_a_job_that_has_ended_has_made_is_fetched_once(
    outcome: JobOutcome, phase: JobPhase, collects: bool, step: Step
) -> None:
    assert next_step(job(phase, outcome), now=NOW, collects=collects) == step


#: Outcome and exit code of an adopted job; whether it is begun anew where sessions are stopped, and where they stay.
ANEW: list[tuple[JobOutcome, int | None, bool, bool]] = [
    (JobOutcome.SUCCEEDED, 0, False, False),
    (JobOutcome.FAILED, 1, False, True),
    (JobOutcome.FAILED, 7, False, False),
    (JobOutcome.FAILED, None, False, True),
    (JobOutcome.TIMED_OUT, None, False, True),
    (JobOutcome.TIMED_OUT, 7, False, False),
    (JobOutcome.LOST, None, True, True),
    (JobOutcome.LOST, 1, True, True),
    (JobOutcome.LOST, 7, False, False),
    (JobOutcome.OVER_BUDGET, None, False, False),
    (JobOutcome.OVER_BUDGET, 1, False, False),
    (JobOutcome.NOT_READY, None, False, True),
]


@pytest.mark.parametrize(("outcome", "code", "stopped", "kept"), ANEW)
@pytest.mark.parametrize("phase", [JobPhase.EXITED, JobPhase.COLLECTED])
def test_which_ends_of_an_adopted_job_are_no_result_of_this_try(
    phase: JobPhase, outcome: JobOutcome, code: int | None, stopped: bool, kept: bool
) -> None:
    for keeps_session, anew in ((False, stopped), (True, kept)):
        told = {"keeps_session": keeps_session, "accepted_codes": {7}}
        adopted = job(phase, outcome, exit_code=code, attempts=2)
        assert begins_anew(adopted, **told) is anew
        assert (next_step(adopted, now=NOW, may_begin_anew=True, **told) == BeginAnew("why")) is anew
        own = job(phase, outcome, exit_code=code, attempts=1)
        assert not begins_anew(own, **told)
        assert not isinstance(next_step(own, now=NOW, may_begin_anew=True, **told), BeginAnew)


def test_the_table_of_ends_knows_every_outcome() -> None:
    assert {outcome for outcome, *_ in ANEW} == set(JobOutcome)


@pytest.mark.parametrize("may", [False, True])
@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize(
    ("changes", "elsewhere"),
    [
        ({}, True),
        ({"never_up": False}, False),
        ({"start_attempts": 1}, False),
        ({"tried": (TriedMachine("u"), TriedMachine("v"))}, False),
        ({"phase": JobPhase.COLLECTED}, False),
    ],
)
def test_a_job_whose_machine_never_came_up_is_started_elsewhere_while_it_may(
    changes: dict[str, object], elsewhere: bool, attempts: int, may: bool
) -> None:
    state = job(JobPhase.EXITED, JobOutcome.NOT_READY, attempts=attempts).having(never_up=True, start_attempts=3)
    step = next_step(state.having(**changes), now=NOW, may_start_elsewhere=may, may_begin_anew=True)
    assert (step == StartElsewhere("why")) is (elsewhere and may)


@given(JOBS, ASKED)
def test_a_job_that_has_ended_is_never_begun_nor_waited_for(state: JobState, asked: dict[str, object]) -> None:
    step = next_step(state, **asked)
    assert isinstance(step, (Collect, Finish, BeginAnew) if state.ended else (Begin, Wait))


@given(JOBS, ASKED)
def test_a_job_is_begun_anew_only_where_that_is_allowed_and_only_one_that_was_adopted(
    state: JobState, asked: dict[str, object]
) -> None:
    if isinstance(next_step(state, **asked), BeginAnew):
        assert asked["may_begin_anew"]
        assert state.attempts > 1
        assert state.outcome not in {None, JobOutcome.SUCCEEDED, JobOutcome.OVER_BUDGET}
        assert state.exit_code not in asked["accepted_codes"]
    lost = state.having(outcome=JobOutcome.LOST, exit_code=None, attempts=2)
    assert isinstance(next_step(lost, **asked), BeginAnew) is asked["may_begin_anew"]


@given(JOBS, ASKED)
def test_a_look_is_due_neither_before_now_nor_later_than_the_deadlines_allow(
    state: JobState, asked: dict[str, object]
) -> None:
    step = next_step(state, **asked)
    if isinstance(step, Wait):
        now, poll_s = asked["now"], asked["poll_s"]
        running = state.phase is JobPhase.RUNNING and state.end_by is not None
        due = state.end_by if running else state.ready_by
        # A look that comes so soon after a deadline is as soon as the next one may come at all.
        assert now <= step.until <= max(now + poll_s, min(due, now + LONGEST_PAUSE_S))
        assert asked["is_watched"] or step.until == now + poll_s


@given(JOBS, ASKED)
def test_the_steps_of_any_job_lead_to_its_end(state: JobState, asked: dict[str, object]) -> None:
    asked |= {"may_begin_anew": False}
    steps: list[type] = []
    while not isinstance(step := next_step(state, **asked), Finish):
        steps.append(type(step))
        assert len(steps) < 5, steps
        if isinstance(step, Begin):
            asked["is_begin_tried"] = True
        elif isinstance(step, Wait):
            state = state.ending(JobOutcome.LOST)
        else:
            state = state.having(phase=JobPhase.COLLECTED)
