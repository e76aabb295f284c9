"""A function that is told a job's lines and raises does not end the job."""

from __future__ import annotations

import logging
import os
import signal

import pytest
from job_bench import Bench, bench, emulator

from octa_provider import JobOutcome, JobSpec
from octa_provider.errors import OctaCancelledError, OctaNetworkError
from octa_provider.job.line_listener import LineListener
from octa_provider.rental.clean_up import stop_signals_raise

__all__ = ["bench", "emulator"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        UnicodeEncodeError("ascii", "ü", 0, 1, "ordinal not in range"),
        OSError(28, "No space left on device"),
        BrokenPipeError(),
        RuntimeError("closed"),
        OctaNetworkError("down"),
        OctaCancelledError("away"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_on_line_that_raises_does_not_end_the_job(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        raise error

    command = "for i in 1 2 3; do echo $i; sleep 0.2; done; exit 3"
    spec = JobSpec(image="ubuntu:24.04", command=command, timeout_s=600)
    with caplog.at_level(logging.WARNING):
        result = bench.client.jobs.run(spec, bench.key, on_line=on_line, poll_s=0.1)
    assert (result.outcome, result.exit_code) == (JobOutcome.FAILED, 3)
    # Each line once, whatever became of the one before.
    assert lines == ["1", "2", "3"]
    assert len([record for record in caplog.records if "on_line failed" in record.message]) == 1
    assert len(bench.sessions()) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=lambda error: type(error).__name__)
def test_what_ends_a_process_ends_the_job_too(bench: Bench, error: BaseException) -> None:
    def on_line(line: str) -> None:
        raise error

    spec = JobSpec(image="ubuntu:24.04", command="echo 1; sleep 300", timeout_s=6000)
    with pytest.raises(type(error)):
        bench.client.jobs.run(spec, bench.key, on_line=on_line, poll_s=0.1)
    assert bench.emulator.ledger()["running"] == 0


def test_what_a_signals_handler_raises_in_it_passes() -> None:
    class TimedOutError(Exception):
        """As a time limit of an orchestrator raises it."""

    def ended(number: int, frame: object) -> None:
        raise TimedOutError

    before = signal.signal(signal.SIGALRM, ended)
    try:
        with pytest.raises(TimedOutError), stop_signals_raise():
            LineListener(lambda line: os.kill(os.getpid(), signal.SIGALRM))("line")
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_listener_is_not_wrapped_twice() -> None:
    listener = LineListener.of(print)
    assert LineListener.of(listener) is listener
    assert LineListener.of(None) is None
