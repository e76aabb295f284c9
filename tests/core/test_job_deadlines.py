"""Jobs that run out of time or money, and outages, which are neither."""

from __future__ import annotations

import pytest
from job_bench import Bench, LeapingClock, ShortClock, bench, emulator, eventually

from octa_provider import JobOutcome, JobSpec, JobState
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.errors import OctaAuthenticationError, OctaBudgetError
from octa_provider.job.poll import OUTAGE_S, UNSEEN_S
from octa_provider.job.state import GRACE_S, JobPhase
from octa_provider.models import SessionPhase

__all__ = ["bench", "emulator"]

DOWN = {"kind": "status", "status": 503, "path": "^/(services|sessions)", "times": None}


#: Of a command: a busy computer is no reason for it to end.
TIMEOUT_S = 600.0


def spec(command: str = "sleep 6000", **changes: object) -> JobSpec:
    return JobSpec(**({"image": "ubuntu:24.04", "command": command, "timeout_s": TIMEOUT_S} | changes))  # type: ignore[arg-type]


def after(bench: Bench, state: JobState, seconds: float, **options: object) -> JobState:
    bench.clock.shift_s += seconds
    return bench.client.jobs.poll(state, **options)  # type: ignore[arg-type]


def test_a_session_that_does_not_come_up_in_time_is_stopped(emulator: EmulatorHandle) -> None:
    bench = Bench(emulator, "deadlines/not-ready", LeapingClock())
    emulator.faults({"kind": "never_ready"})
    result = bench.client.jobs.run(spec(ready_timeout_s=30), bench.key)
    emulator.clear_faults()
    assert (result.outcome, result.exit_code) == (JobOutcome.NOT_READY, None)
    assert result.message == "the session was not ready for the command in time"
    assert (bench.running(), len(bench.sessions())) == (0, 1)


def test_a_machine_that_cannot_be_told_its_command_is_not_ready_in_time(bench: Bench) -> None:
    job = spec(via="ssh", ready_timeout_s=600)
    state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)
    bench.emulator.faults({"kind": "status", "status": 503, "path": "/services/*/info", "times": None})
    assert bench.client.jobs.begin(state, job, private_key=bench.ssh_key) == state
    bench.clock.shift_s += 601
    late = bench.client.jobs.begin(state, job, private_key=bench.ssh_key)
    assert late.outcome is JobOutcome.NOT_READY


def test_a_session_that_went_while_the_command_was_begun_is_for_the_next_look(bench: Bench) -> None:
    job = spec(via="ssh")
    state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)
    bench.emulator.end_session(state.rental.uuid)
    state = bench.client.jobs.begin(state, job, private_key=bench.ssh_key)
    assert state.phase is JobPhase.READY
    state = after(bench, state, 60)
    assert state.outcome is JobOutcome.LOST
    assert state.message.endswith("It left no exit code: outcome unknown")


def test_a_key_that_the_api_refuses_while_the_command_is_begun_is_raised(bench: Bench) -> None:
    job = spec(via="ssh")
    state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)
    bench.emulator.faults({"kind": "status", "status": 401, "path": "/services/*/info"})
    with pytest.raises(OctaAuthenticationError):
        bench.client.jobs.begin(state, job, private_key=bench.ssh_key)


def test_a_machine_that_does_not_end_the_command_is_given_some_grace_and_no_more(bench: Bench) -> None:
    state = bench.running_state(spec())
    assert not after(bench, state, TIMEOUT_S + 1).ended
    late = after(bench, state, GRACE_S)
    assert (late.outcome, late.exit_code) == (JobOutcome.TIMED_OUT, None)
    assert late.message == f"the command did not end within {TIMEOUT_S:g} s"


def test_a_job_over_ssh_is_given_the_same_grace(bench: Bench) -> None:
    state = bench.running_state(spec(via="ssh"))
    assert not after(bench, state, TIMEOUT_S + 1, private_key=bench.ssh_key).ended
    assert after(bench, state, GRACE_S, private_key=bench.ssh_key).outcome is JobOutcome.TIMED_OUT


def test_a_command_that_ended_well_during_an_outage_is_a_success(bench: Bench) -> None:
    state = bench.running_state(spec("while ! test -e go; do sleep 0.02; done; echo well"))
    bench.emulator.faults(DOWN)
    assert after(bench, state, TIMEOUT_S + GRACE_S + 5) == state
    bench.emulator.clear_faults()
    (bench.folder(state.rental.uuid) / "go").touch()
    eventually(lambda: "exit 0" in bench.log(state.rental.uuid).read_text(), "the marker")
    lines: list[str] = []
    state = bench.polled(state, on_line=lines.append)
    assert (state.outcome, lines) == (JobOutcome.SUCCEEDED, ["well"])


def test_an_outage_that_does_not_end_leaves_the_outcome_unknown(bench: Bench) -> None:
    state = bench.running_state(spec())
    bench.emulator.faults(DOWN)
    late = after(bench, state, TIMEOUT_S + GRACE_S + OUTAGE_S + 5)
    assert (late.outcome, late.exit_code) == (JobOutcome.LOST, None)
    assert late.message == "the API did not answer for 1800 s past the deadline: outcome unknown"


def test_a_log_that_cannot_be_read_leaves_the_outcome_unknown(bench: Bench) -> None:
    state = bench.running_state(spec())
    bench.emulator.faults({"kind": "status", "status": 404, "path": "/services/*/logs", "times": None})
    assert not after(bench, state, TIMEOUT_S + GRACE_S + 5).ended
    late = after(bench, state, UNSEEN_S)
    assert late.message == "its log could not be read for 300 s past the deadline: outcome unknown"
    assert late.outcome is JobOutcome.LOST


def test_a_job_goes_on_through_an_outage_from_start_to_end(emulator: EmulatorHandle) -> None:
    bench = Bench(emulator, "deadlines/outage", LeapingClock())
    bench.clock.sleep = lambda seconds: ShortClock.sleep(bench.clock, seconds)  # type: ignore[method-assign]
    broken = [
        {"kind": kind, "method": "GET", "path": path, "after": 1, "times": 2, **more}
        for path in ("/services/*/info", "/services/*/logs")
        for kind, more in (("status", {"status": 500}), ("garbage", {}), ("drop_before", {}), ("truncate", {}))
    ]
    emulator.faults(*broken)
    lines: list[str] = []
    result = bench.client.jobs.run(
        spec("for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.05; done; exit 3"),
        bench.key,
        on_line=lines.append,
        poll_s=1,
    )
    emulator.clear_faults()
    assert (result.outcome, result.exit_code, lines) == (JobOutcome.FAILED, 3, list("12345678"))
    assert len(bench.sessions()) == 1


def test_no_line_comes_twice_when_the_last_log_breaks_off(emulator: EmulatorHandle) -> None:
    bench = Bench(emulator, "deadlines/last-lines", LeapingClock())
    state = bench.running_state(spec("echo one; echo two; sleep 6000"))
    state = state.having(log=None)
    eventually(lambda: "two" in bench.log(state.rental.uuid).read_text(), "its lines")
    emulator.end_session(state.rental.uuid)
    # The finished session's log can be read, the running one's cannot.
    emulator.faults({"kind": "status", "status": 503, "path": "/services/*/logs", "after": 1, "times": 100})
    lines: list[str] = []
    state = bench.polled(state, on_line=lines.append)
    emulator.clear_faults()
    assert (state.outcome, lines) == (JobOutcome.LOST, ["one", "two"])
    bench.stop()


def test_a_session_that_is_not_known_yet_has_its_time_to_appear(bench: Bench) -> None:
    state = bench.client.jobs.start(spec(), bench.key)
    bench.emulator.end_session(state.rental.uuid)
    bench.emulator.faults({"kind": "status", "status": 404, "path": "/services/*/info", "times": None})
    assert bench.client.jobs.poll(state) == state
    assert after(bench, state, 30).outcome is JobOutcome.LOST


def test_a_session_that_says_that_it_failed_is_lost(bench: Bench) -> None:
    state = bench.client.jobs.start(spec(), bench.key)
    info = {"uuid": state.rental.uuid, "progress": "error: no space left", "is_ready": False}
    bench.emulator.faults({"kind": "status", "status": 200, "path": "/services/*/info", "body": info})
    state = bench.client.jobs.poll(state)
    assert state.outcome is JobOutcome.LOST
    assert "error: no space left" in state.message
    assert bench.running() == 0


def test_a_job_that_costs_too_much_is_stopped(bench: Bench) -> None:
    state = bench.running_state(spec(max_cost_usd=1, timeout_s=60))
    bench.emulator.advance_clock(100 * 3600)
    state = bench.client.jobs.poll(state)
    assert (state.outcome, state.exit_code) == (JobOutcome.OVER_BUDGET, None)
    assert "of at most 1; it was stopped" in state.message
    assert bench.running() == 0
    result = bench.client.jobs.finish(bench.client.jobs.collect(state))
    assert result.cost_wei == bench.sessions()[0]["charge_wei"]


def test_a_job_that_runs_too_long_is_stopped_whatever_it_does(bench: Bench) -> None:
    state = bench.running_state(spec(max_duration_s=1800, timeout_s=86_400))
    assert state.rental.max_duration_s == 1800
    bench.emulator.advance_clock(3600)
    state = bench.client.jobs.poll(state)
    assert state.outcome is JobOutcome.OVER_BUDGET
    assert "of at most 1800; it was stopped" in state.message
    assert bench.running() == 0


def test_a_try_that_carries_on_has_the_caps_of_now(bench: Bench) -> None:
    state = bench.client.jobs.start(spec(), bench.key)
    later = bench.client.jobs.start(spec(max_duration_s=3600), bench.key, earlier=state)
    assert (later.rental.uuid, later.rental.max_duration_s) == (state.rental.uuid, 3600)


def test_a_job_that_the_balance_can_not_pay_for_so_long_rents_nothing(bench: Bench) -> None:
    with pytest.raises(OctaBudgetError, match="does not pay for"):
        bench.client.jobs.start(spec(max_duration_s=300 * 86_400), bench.key)
    assert bench.sessions() == []


def test_a_node_that_dies_loses_the_job(bench: Bench) -> None:
    bench.emulator.faults({"kind": "node_dies", "seconds": 0.4})
    result = bench.client.jobs.run(spec("echo on; sleep 6000"), bench.key, poll_s=0.1)
    assert (result.outcome, result.succeeded) == (JobOutcome.LOST, False)
    assert (bench.running(), len(bench.sessions())) == (0, 1)


def test_the_last_lines_over_ssh_are_not_waited_for_for_ever(emulator: EmulatorHandle) -> None:
    bench = Bench(emulator, "deadlines/ssh-lag", LeapingClock())
    state = bench.running_state(spec("exit 3", via="ssh"))
    emulator.faults({"kind": "status", "status": 503, "path": "/services/*/logs", "times": None})
    state = bench.polled(state, private_key=bench.ssh_key, on_line=print)
    emulator.clear_faults()
    assert (state.outcome, state.exit_code) == (JobOutcome.FAILED, 3)
    bench.stop()


def test_a_log_that_cannot_be_saved_costs_the_log_alone(
    emulator: EmulatorHandle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench = Bench(emulator, "deadlines/unsaved", LeapingClock())
    path = tmp_path_factory.mktemp("log") / "job.log"
    state = bench.polled(bench.running_state(spec("exit 3")))
    emulator.faults({"kind": "status", "status": 503, "path": "/services/*/logs", "times": None})
    state = bench.client.jobs.collect(state, log_path=path)
    emulator.clear_faults()
    result = bench.client.jobs.finish(state, log_path=tmp_path_factory.mktemp("none") / "job.log")
    assert (result.exit_code, result.logs_path) == (3, None)


def test_an_outage_after_a_restart_does_not_end_a_job_that_was_last_seen_while_it_started(bench: Bench) -> None:
    """A trigger that is started anew knows the state of when it was deferred: the job may run for hours by then."""
    state = bench.client.jobs.start(spec(timeout_s=36_000), bench.key)
    uuid = state.rental.uuid
    eventually(lambda: bench.client.services.session(uuid).info().phase is SessionPhase.READY, "it comes up")
    bench.emulator.faults(DOWN)
    assert after(bench, state, 7200) == state
    bench.emulator.clear_faults()
    assert bench.client.jobs.poll(state).phase is JobPhase.RUNNING
