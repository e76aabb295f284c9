"""`Jobs.watch`: a job that somebody has started, seen to its end by whoever holds its state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from job_bench import Bench, LeapingClock, bench, emulator

from octa_provider import JobOutcome, JobSpec, JobState
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.errors import OctaCancelledError
from octa_provider.job.state import JobPhase

__all__ = ["bench", "emulator"]


def spec(command: str = "echo done") -> JobSpec:
    return JobSpec(image="alpine:3", command=command, timeout_s=6000)


def test_it_ends_as_run_would(bench: Bench) -> None:
    job = spec("echo one; echo two; exit 5")
    lines: list[str] = []
    phases: list[JobPhase] = []
    state = bench.client.jobs.start(job, bench.key)
    result = bench.client.jobs.watch(
        state, job, on_line=lines.append, on_state=lambda now: phases.append(now.phase), poll_s=0.1
    )
    assert (result.outcome, result.exit_code, lines) == (JobOutcome.FAILED, 5, ["one", "two"])
    assert phases[0] is JobPhase.STARTING
    assert phases[-1] is JobPhase.COLLECTED
    assert (bench.running(), len(bench.sessions())) == (0, 1)


def test_files_travel(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("there and back")
    job = JobSpec(
        image="alpine:3",
        command="cp in out",
        inputs={tmp_path / "in": "in"},
        outputs={"out": tmp_path / "out"},
        timeout_s=60,
    )
    state = bench.client.jobs.start(job, bench.key)
    assert bench.client.jobs.watch(state, job, private_key=bench.ssh_key, poll_s=0.1).succeeded
    assert (tmp_path / "out").read_text() == "there and back"


def test_nothing_is_started_anew(bench: Bench) -> None:
    """A session that is gone is a job that is lost, not one to start again."""
    job = spec("sleep 60")
    state = bench.running_state(job)
    bench.emulator.end_session(state.rental.uuid)
    assert bench.client.jobs.watch(state, job, poll_s=0.1).outcome is JobOutcome.LOST
    assert len(bench.sessions()) == 1


@pytest.mark.parametrize("watch", [True, False])
def test_a_cancellation_is_noticed_within_a_second_of_a_long_pause(emulator: EmulatorHandle, watch: bool) -> None:
    bench = Bench(emulator, f"watch/cancelled-{watch}", LeapingClock())
    job = spec("sleep 60")
    state = bench.running_state(job)
    began = bench.clock.monotonic()

    def is_cancelled() -> bool:
        # Some time after the pause between two looks has begun.
        return bench.clock.monotonic() - began > 20

    jobs = bench.client.jobs
    run: Callable[[], object] = lambda: jobs.run(job, bench.key, is_cancelled=is_cancelled, poll_s=600)  # noqa: E731
    if watch:
        run = lambda: jobs.watch(state, job, is_cancelled=is_cancelled, poll_s=600)  # noqa: E731
    with pytest.raises(OctaCancelledError, match="its session was stopped"):
        run()
    assert bench.clock.monotonic() - began < 60
    assert bench.running() == 0
    bench.stop()


@pytest.mark.parametrize("told", ["on_line", "on_state"])
def test_whatever_a_callback_raises_the_machine_is_stopped(bench: Bench, told: str) -> None:
    class EndsItAll(BaseException):
        pass

    def ends(what: object) -> None:
        if not isinstance(what, JobState) or what.phase is JobPhase.RUNNING:
            raise EndsItAll

    job = spec("echo line; sleep 60")
    state = bench.client.jobs.start(job, bench.key)
    with pytest.raises(EndsItAll):
        bench.client.jobs.watch(state, job, poll_s=0.1, **{told: ends})
    assert bench.running() == 0
