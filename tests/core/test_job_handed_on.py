"""A job that reaches a process which did not start it: by its state, or by its session alone."""

from __future__ import annotations

import msgspec
import pytest
from job_bench import Bench, ShortClock, bench, emulator

from octa_provider import JobOutcome, JobSpec, OctaClient
from octa_provider.job.found import find_job
from octa_provider.job.mark import JobMark
from octa_provider.job.state import JobPhase, JobState
from octa_provider.job.take_over import take_over
from octa_provider.models import Session
from octa_provider.rental.terms import Terms

__all__ = ["bench", "emulator"]

DOWN = {"kind": "status", "status": 503, "path": "^/(services|sessions)", "times": None}


def spec(command: str = "sleep 60", **changes: object) -> JobSpec:
    return JobSpec(**({"image": "alpine:3", "command": command, "timeout_s": 60} | changes))  # type: ignore[arg-type]


def found(bench: Bench, terms: Terms) -> JobState:
    return find_job(
        bench.client, terms, timeout_s=60, ready_timeout_s=30, is_over_ssh=lambda envs: envs.get("VIA") == "ssh"
    )


def test_a_session_tells_its_job_to_whoever_lost_the_state(bench: Bench) -> None:
    started = bench.client.jobs.start(spec("echo one; exit 3"), bench.key)
    terms = bench.client.rentals.open(started.rental.uuid, started.key).terms
    state = found(bench, terms)
    # And where it runs, and at what price, which a uuid and a key do not tell.
    assert (state.nonce, state.key, state.over_ssh) == (started.nonce, started.key, False)
    assert (state.rental.uuid, state.rental.key, state.rental.node_id) == (
        terms.uuid,
        terms.key,
        started.rental.node_id,
    )
    assert state.rental.price_usd == pytest.approx(started.rental.price_usd)
    assert (state.phase, state.log, state.timeout_s) == (JobPhase.STARTING, None, 60)
    assert abs(state.ready_by - bench.clock.time() - 30) < 10
    lines: list[str] = []
    state = bench.polled(state, on_line=lines.append)
    assert (state.outcome, state.exit_code, lines) == (JobOutcome.FAILED, 3, ["one"])


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_wall_clock_that_was_set_moves_no_deadline_of_a_job_that_is_found(bench: Bench, hours: float) -> None:
    """Of a worker that has run for days: its clock was corrected, or its machine slept. A session that is coming up
    was given up at once, or would have billed for a day though it never comes up."""

    class SetClock(ShortClock):
        off_s = 0.0

        def time(self) -> float:
            return super().time() + self.off_s

    clock = SetClock()
    clock.steady_time()
    clock.off_s = hours * 3600
    bench.emulator.faults({"kind": "never_ready"})
    started = bench.client.jobs.start(spec(), bench.key)
    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url, clock=clock) as octa:
        state = find_job(octa, started.rental, timeout_s=60, ready_timeout_s=300, is_over_ssh=lambda envs: False)
        assert octa.jobs.poll(state).outcome is None
        clock.shift_s = 400
        assert octa.jobs.poll(state).outcome is JobOutcome.NOT_READY


def test_one_that_has_finished_tells_it_too(bench: Bench) -> None:
    started = bench.polled(bench.client.jobs.start(spec("exit 0"), bench.key))
    bench.client.jobs.finish(started)
    assert found(bench, started.rental).nonce == started.nonce


def test_its_environment_tells_how_it_is_run_and_its_terms_keep_their_caps(bench: Bench) -> None:
    started = bench.client.jobs.start(spec(envs={"VIA": "ssh"}), bench.key)
    state = found(bench, msgspec.structs.replace(started.rental, max_cost_usd=0.5))
    assert state.over_ssh
    assert state.rental.max_cost_usd == 0.5


def test_a_session_that_nobody_knows_is_a_job_that_is_lost_at_the_first_look(bench: Bench) -> None:
    state = found(bench, Terms("no-such-session", key=bench.key))
    assert (state.nonce, state.over_ssh) == ("unknown", False)
    assert bench.client.jobs.poll(state).outcome is JobOutcome.LOST


def test_a_mark_is_read_as_it_was_written_and_is_empty_where_there_is_none() -> None:
    mark = JobMark("n", "f")
    assert JobMark.of(Session.from_payload({"uuid": "u", "user_envs": mark.envs()})) == mark
    for envs in (None, {}, {"OTHER": "n:f"}):
        assert JobMark.of(Session.from_payload({"uuid": "u", "user_envs": envs})) == JobMark("", "")


def test_a_job_whose_session_runs_is_taken_over_as_it_is(bench: Bench) -> None:
    state = bench.client.jobs.start(spec(), bench.key)
    assert take_over(bench.client, state) == state


def test_where_nothing_can_be_asked_the_next_step_finds_out(bench: Bench) -> None:
    state = bench.client.jobs.start(spec(), bench.key)
    bench.emulator.faults(DOWN)
    assert take_over(bench.client, state) == state


def test_a_job_whose_session_was_stopped_before_its_command_was_begun_is_lost(bench: Bench) -> None:
    state = bench.client.jobs.start(spec(via="ssh"), bench.key)
    state = bench.polled(state, lambda s: s.phase is JobPhase.READY)
    bench.client.rentals.stop(bench.key)
    lost = take_over(bench.client, state)
    assert (lost.outcome, lost.phase, lost.exit_code) == (JobOutcome.LOST, JobPhase.EXITED, None)
    assert lost.message == (
        f"session {state.rental.uuid} was stopped before the command was begun: no worker took the task over in time"
    )


def test_so_is_one_whose_files_were_not_fetched_whatever_its_exit_code(bench: Bench) -> None:
    state = bench.polled(bench.client.jobs.start(spec("exit 0"), bench.key))
    bench.client.rentals.stop(bench.key)
    lost = take_over(bench.client, state)
    assert (lost.outcome, lost.exit_code) == (JobOutcome.LOST, 0)
    assert "was stopped before its files were fetched" in lost.message


def test_a_job_whose_session_was_stopped_for_its_cap_is_over_budget(bench: Bench) -> None:
    state = bench.polled(bench.client.jobs.start(spec("exit 0"), bench.key))
    bench.client.rentals.stop(bench.key)
    state = state.having(rental=msgspec.structs.replace(state.rental, max_cost_usd=0.0))
    over = take_over(bench.client, state)
    assert (over.outcome, over.exit_code) == (JobOutcome.OVER_BUDGET, 0)
    assert over.message.endswith("USD of at most 0; it was stopped")
