"""Jobs whose command is the container's own, on an emulated machine with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from job_bench import Bench, LeapingClock, bench, emulator, eventually, in_fork, kill_9, session_pids

from octa_provider import JobOutcome, JobSpec, OctaCancelledError, OctaConfigError, OctaNoMachineError, Requirements
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.errors import OctaAuthenticationError
from octa_provider.job.state import JobPhase, JobState
from octa_provider.market.request import MachineRequest

__all__ = ["bench", "emulator"]


def spec(command: str, **changes: object) -> JobSpec:
    return JobSpec(**({"image": "ubuntu:24.04", "command": command, "timeout_s": 600} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("command", "outcome", "code", "message"),
    [
        ("true", JobOutcome.SUCCEEDED, 0, ""),
        ("exit 3", JobOutcome.FAILED, 3, "the command ended with exit code 3"),
        ("exit 124", JobOutcome.FAILED, 124, "the command ended with exit code 124"),
        ("kill -9 $$", JobOutcome.FAILED, 137, "the command ended with exit code 137"),
        ("no-such-program", JobOutcome.FAILED, 127, "the command ended with exit code 127"),
    ],
)
def test_the_exit_code_is_the_commands(
    bench: Bench, command: str, outcome: JobOutcome, code: int, message: str
) -> None:
    result = bench.client.jobs.run(spec(command), bench.key, poll_s=0.1)
    assert (result.outcome, result.exit_code, result.message) == (outcome, code, message)
    assert (result.key, result.attempts, result.outputs, result.logs_path) == (bench.key, 1, (), None)


def test_the_bill_is_the_ledgers_to_the_wei(bench: Bench) -> None:
    result = bench.client.jobs.run(spec("sleep 0.2"), bench.key, poll_s=0.1)
    (session,) = bench.sessions()
    assert result.cost_wei == session["charge_wei"] > 0
    assert (result.uuid, result.node_id) == (session["uuid"], session["node_id"])
    assert result.cost_usd == pytest.approx(0, abs=0.01)
    assert result.duration_s is not None
    assert session["stopped_by"] == "api"


def test_each_line_comes_once_and_in_order_while_the_log_grows(bench: Bench, tmp_path: Path) -> None:
    lines: list[str] = []
    log_path = tmp_path / "new" / "job.log"
    result = bench.client.jobs.run(
        spec("for i in $(seq 40); do echo line $i; sleep 0.01; done; printf 'the \\033[31mlast'"),
        bench.key,
        on_line=lines.append,
        log_path=log_path,
        poll_s=0.1,
    )
    expected = [*(f"line {i}" for i in range(1, 41)), "the last"]
    assert lines == expected
    assert log_path.read_text().splitlines() == expected
    assert result.logs_path == str(log_path)


def test_a_fake_marker_with_another_nonce_is_a_line_like_any_other(bench: Bench) -> None:
    lines: list[str] = []
    fake = "[octa-job 0123456789abcdef] exit 0"
    result = bench.client.jobs.run(spec(f"echo '{fake}'; exit 9"), bench.key, on_line=lines.append, poll_s=0.1)
    assert (result.exit_code, lines) == (9, [fake])


def test_a_log_that_is_cut_at_the_front_keeps_the_marker(request: pytest.FixtureRequest) -> None:
    with start_emulator(start_delay_s=0.05, log_limit_bytes=2000) as emulator:
        bench = Bench(emulator, "container/cut")
        lines: list[str] = []
        result = bench.client.jobs.run(
            spec("for i in $(seq 2000); do echo this is line $i; done; exit 8"),
            bench.key,
            on_line=lines.append,
            poll_s=0.1,
        )
    assert result.exit_code == 8
    assert lines[-1] == "this is line 2000"
    assert len(lines) == len(set(lines))


def test_a_log_that_is_replaced_keeps_the_marker(bench: Bench) -> None:
    lines: list[str] = []
    command = "echo old; while [ ! -e go ]; do sleep 0.02; done; echo new; exit 6"
    state = bench.running_state(spec(command), on_line=lines.append)
    uuid = state.rental.uuid
    state = bench.polled(state, lambda _: lines == ["old"], on_line=lines.append)
    os.truncate(bench.log(uuid), 0)
    (bench.folder(uuid) / "go").touch()
    state = bench.polled(state, on_line=lines.append)
    assert (state.exit_code, lines) == (6, ["old", "new"])


COMMAND = "(trap '' TERM; sleep 61) & sleep 62 & touch begun; wait"


def test_the_machine_ends_the_command_itself_when_nobody_watches(bench: Bench) -> None:
    def rent_and_die() -> None:
        state = bench.connect().jobs.start(spec(COMMAND, timeout_s=1), bench.key)
        assert state.key == bench.key
        kill_9()

    assert in_fork(rent_and_die) == -signal.SIGKILL
    (session,) = bench.sessions()

    def sleeps() -> list[str]:
        found = []
        for pid in session_pids(session["uuid"]):
            try:
                found.append(Path(f"/proc/{pid}/cmdline").read_text())
            except OSError:
                continue
        return [line for line in found if line.startswith("sleep\0006")]

    eventually((bench.folder(session["uuid"]) / "begun").exists, "the command runs")
    eventually(lambda: not sleeps(), "the command was ended with its children")
    # The session is billed until somebody stops it: the next try does, with the outcome.
    result = bench.client.jobs.run(spec(COMMAND, timeout_s=1), bench.key, poll_s=0.1)
    assert (result.outcome, result.exit_code, result.attempts) == (JobOutcome.TIMED_OUT, 124, 2)
    assert result.message == "the command was ended after 1 s"
    assert len(bench.sessions()) == 1


def test_a_container_that_is_restarted_is_not_run_twice_and_its_outcome_is_unknown(bench: Bench) -> None:
    state = bench.running_state(spec("echo start >> starts; sleep 60"))
    uuid = state.rental.uuid
    starts = bench.folder(uuid) / "starts"
    eventually(starts.exists, "the command started")
    restart_container(bench, uuid)
    state = bench.polled(state)
    assert state.outcome is JobOutcome.LOST
    assert state.message == "the container was restarted, so that it left no exit code: outcome unknown"
    assert starts.read_text() == "start\n"
    assert not bench.client.jobs.finish(state).succeeded


def restart_container(bench: Bench, uuid: str) -> None:
    """What a container runtime does when a container has died: the same command again, in the same folder."""
    folder = bench.folder(uuid)
    first = min(session_pids(uuid), key=lambda pid: Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    argv = Path(f"/proc/{first}/cmdline").read_bytes().split(b"\0")[:-1]
    env = dict(line.split(b"=", 1) for line in Path(f"/proc/{first}/environ").read_bytes().split(b"\0") if b"=" in line)
    while pids := session_pids(uuid):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    with open(bench.log(uuid), "ab") as log:
        # It ends with its session, which finds it by its environment.
        again = subprocess.Popen(argv, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
    threading.Thread(target=again.wait, daemon=True).start()


def test_a_command_that_left_no_exit_code_is_never_a_success(bench: Bench) -> None:
    lines: list[str] = []
    state = bench.running_state(spec("echo all is well; sleep 60"), on_line=lines.append)
    uuid = state.rental.uuid
    state = bench.polled(state, lambda _: lines == ["all is well"], on_line=lines.append)
    bench.emulator.end_session(uuid, "node went offline")
    state = bench.polled(state, on_line=lines.append)
    assert (state.outcome, state.exit_code) == (JobOutcome.LOST, None)
    assert "has ended (node went offline)" in state.message
    assert state.message.endswith("It left no exit code: outcome unknown")
    assert lines == ["all is well"]
    result = bench.client.jobs.finish(bench.client.jobs.collect(state))
    assert not result.succeeded
    assert result.cost_wei == bench.sessions()[0]["charge_wei"]


def test_a_session_that_went_after_the_command_had_ended_still_tells_the_exit_code(bench: Bench) -> None:
    lines: list[str] = []
    state = bench.running_state(spec("echo done; while [ ! -e go ]; do sleep 0.02; done; exit 5"), on_line=lines.append)
    (bench.folder(state.rental.uuid) / "go").touch()
    eventually(lambda: "exit 5" in bench.log(state.rental.uuid).read_text(), "the marker")
    bench.emulator.end_session(state.rental.uuid)
    state = bench.polled(state, on_line=lines.append)
    assert (state.outcome, state.exit_code, lines) == (JobOutcome.FAILED, 5, ["done"])


@pytest.mark.parametrize("via", ["container", "ssh"])
def test_an_image_without_a_shell_is_said_clearly(bench: Bench, via: str) -> None:
    result = bench.client.jobs.run(
        spec("true", image="scratch", via=via), bench.key, poll_s=0.1, private_key=bench.ssh_key
    )
    assert result.outcome is JobOutcome.FAILED
    assert result.message == "the image has no /bin/sh, which runs the command: use an image that has a shell"
    assert bench.running() == 0


def test_a_job_that_ended_in_its_state_is_not_looked_at_again(bench: Bench) -> None:
    state = bench.polled(bench.client.jobs.start(spec("exit 2"), bench.key))
    before = len(bench.emulator.ledger()["requests"])
    assert bench.client.jobs.poll(state) is state
    collected = bench.client.jobs.collect(state)
    assert bench.client.jobs.collect(collected) is collected
    assert len(bench.emulator.ledger()["requests"]) == before
    assert bench.client.jobs.finish(collected).exit_code == 2


def test_what_nobody_rents_out_is_said_with_the_reasons(bench: Bench) -> None:
    with pytest.raises(OctaNoMachineError):
        bench.client.jobs.run(spec("true", requirements=Requirements(gpu_count=1000)), bench.key)
    assert bench.sessions() == []


def test_the_key_of_a_session_that_is_no_job_is_refused_and_the_session_left_alone(bench: Bench) -> None:
    rental = bench.client.rentals.start(MachineRequest(image="ubuntu"), key=bench.key)
    for begin in (bench.client.jobs.start, bench.client.jobs.run):
        with pytest.raises(OctaConfigError, match=f"key of session {rental.uuid}, which is no job: stop it first"):
            begin(spec("true"), bench.key)
    assert bench.running() == 1


def test_another_job_under_the_same_key_stops_the_old_one_and_starts_anew(bench: Bench) -> None:
    old = bench.client.jobs.start(spec("sleep 60"), bench.key)
    result = bench.client.jobs.run(spec("exit 4"), bench.key, poll_s=0.1)
    assert (result.exit_code, result.attempts) == (4, 1)
    assert result.uuid != old.rental.uuid
    assert bench.running() == 0
    assert len(bench.sessions()) == 2
    assert bench.emulator.ledger()["max_running_by_key"][bench.key]["max_running"] == 1


def test_two_jobs_that_fight_for_one_key_are_told_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octa_provider.job.start.look", lambda api, uuid: None)
    bench.client.jobs.start(spec("sleep 60"), bench.key)
    start = bench.client.rentals.start

    def stolen(*args: object, **options: object) -> object:
        start(*args, **options)  # type: ignore[arg-type]
        return start(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(type(bench.client.rentals), "start", lambda self, *args, **options: stolen(*args, **options))
    with pytest.raises(OctaConfigError, match="used for two different jobs at the same time: give each its own"):
        bench.client.jobs.start(spec("sleep 61"), bench.key)


@pytest.mark.parametrize("form", ["missing", "null"])
def test_a_job_whose_start_was_not_answered_is_found_though_the_environment_is_not_echoed(
    emulator: EmulatorHandle, form: str
) -> None:
    bench = Bench(emulator, f"container/unechoed-{form}", LeapingClock())
    emulator.faults({"kind": "no_user_envs", "times": None, "form": form}, {"kind": "drop_after", "method": "POST"})
    try:
        result = bench.client.jobs.run(spec("exit 7"), bench.key, poll_s=0.1)
    finally:
        emulator.clear_faults()
    assert (result.exit_code, result.attempts) == (7, 1)
    assert len(bench.sessions()) == 1
    assert bench.running() == 0


def test_a_cancelled_job_is_stopped(bench: Bench) -> None:
    states: list[JobState] = []
    with pytest.raises(OctaCancelledError, match="was cancelled; its session was stopped"):
        bench.client.jobs.run(
            spec("sleep 60"),
            bench.key,
            on_state=states.append,
            is_cancelled=lambda: any(state.phase is JobPhase.RUNNING for state in states),
            poll_s=0.1,
        )
    assert (bench.running(), len(bench.sessions())) == (0, 1)


def test_a_listener_that_fails_does_not_end_a_paid_job_and_leaves_nothing_running(bench: Bench) -> None:
    def fail(line: str) -> None:
        raise ZeroDivisionError(line)

    result = bench.client.jobs.run(spec("echo hello; sleep 1"), bench.key, on_line=fail, poll_s=0.1)
    assert result.outcome is JobOutcome.SUCCEEDED
    assert bench.running() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("phase", [JobPhase.STARTING, JobPhase.RUNNING])
def test_a_signal_leaves_nothing_running(bench: Bench, number: signal.Signals, phase: JobPhase) -> None:
    def work() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        bench.connect().jobs.run(
            spec("sleep 60"),
            bench.key,
            on_state=lambda state: os.kill(os.getpid(), number) if state.phase is phase else None,
            poll_s=0.1,
        )

    assert in_fork(work) == (128 + signal.SIGTERM if number == signal.SIGTERM else 1)
    assert (bench.running(), len(bench.sessions())) == (0, 1)


def test_a_key_that_is_refused_ends_the_job_at_once(bench: Bench, tmp_path: Path) -> None:
    state = bench.running_state(spec("sleep 60"))
    bench.emulator.faults({"kind": "status", "status": 401, "path": "/services/*/info"})
    with pytest.raises(OctaAuthenticationError):
        bench.client.jobs.poll(state)
    bench.emulator.faults({"kind": "status", "status": 401, "path": "/services/*/logs"})
    with pytest.raises(OctaAuthenticationError):
        bench.client.jobs.poll(state)
    bench.emulator.faults({"kind": "status", "status": 401, "path": "/services/*/logs"})
    with pytest.raises(OctaAuthenticationError):
        bench.client.jobs.collect(state.ending(JobOutcome.FAILED), log_path=tmp_path / "job.log")
