"""`octa-provider run` stops its machine on every way out, whatever ends it and whoever has stopped reading."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from octa_provider.emulator.testing import EmulatorHandle
from tests.forked_python import start_python

PROGRAM = [sys.executable, "-m", "octa_provider"]
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
OTHERS = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGXCPU]
LONG_S = 600.0
#: Where a job is when the signal comes: the request that is held up there, and what is told before it.
MOMENTS: dict[str, tuple[dict[str, Any] | None, str]] = {
    "starting": ({"kind": "delay", "seconds": 1.5, "method": "POST", "path": "^/services/mr$"}, "rental key: "),
    "waiting": ({"kind": "delay", "seconds": 1.5, "path": "^/services/[^/]+/info$", "times": 3}, "starts on node"),
    "running": (None, "the command runs"),
    # Until the signals were sent, however long that takes.
    "stopping": (
        {"kind": "status", "status": 503, "path": "^/services/[^/]+/stop$", "times": None},
        "stopping session",
    ),
}


def wait_for(holds: Callable[[], object]) -> None:
    until = time.monotonic() + LONG_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def ignoring(number: signal.Signals) -> list[str]:
    """What to put before a program for which this signal is ignored."""
    code = (
        "import os, signal, sys; signal.signal(int(sys.argv[1]), signal.SIG_IGN); os.execv(sys.argv[2], sys.argv[2:])"
    )
    return [sys.executable, "-c", code, str(int(number))]


@contextmanager
def running(emulator: EmulatorHandle, command: str = "echo begun; sleep 300", **options: Any) -> Iterator[Any]:
    """`octa-provider run` in a process of its own."""
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    words = [*PROGRAM, "run", "ubuntu:24.04", "--poll", "0.2s", "--", command]
    settings |= {"env": os.environ | emulator.env() | {"PYTHONUNBUFFERED": "1"}, "text": True}
    before = settings.pop("before", [])
    if before:
        process = subprocess.Popen([*before, *words], start_new_session=True, **settings)
    else:
        process = start_python(words, **settings)
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def nothing_is_left(emulator: EmulatorHandle, process: Any, status: int) -> None:
    assert process.wait(LONG_S) == status
    assert emulator.ledger()["running"] == 0
    if process.stderr is not None:
        told = process.stderr.read()
        assert "Traceback" not in told
        assert emulator.api_key not in told


@pytest.mark.parametrize("moment", list(MOMENTS))
@pytest.mark.parametrize(("number", "times"), [*((number, 1) for number in SIGNALS), (signal.SIGHUP, 2)])
def test_a_signal_leaves_nothing_running_whenever_it_comes(
    emulator: EmulatorHandle, moment: str, number: signal.Signals, times: int
) -> None:
    fault, told = MOMENTS[moment]
    if fault is not None:
        emulator.faults({"method": "*"} | fault)
    before = len(emulator.ledger()["sessions"])
    with running(emulator, "echo begun" if moment == "stopping" else "echo begun; sleep 300") as process:
        while told not in process.stderr.readline():
            pass
        if moment == "starting":
            # Between the request and its answer.
            wait_for(lambda: len(emulator.ledger()["sessions"]) > before)
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.1)
        if moment == "stopping":
            emulator.clear_faults()
        # The last one may come when all is done, and Python ends.
        assert process.wait(LONG_S) in ({128 + number} if times == 1 else {128 + number, -number})
    assert emulator.ledger()["running"] == 0


@pytest.mark.parametrize("number", OTHERS, ids=lambda number: number.name)
def test_other_signals_that_end_a_process_leave_nothing_either(
    emulator: EmulatorHandle, number: signal.Signals
) -> None:
    with running(emulator) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        nothing_is_left(emulator, process, 128 + number)


def test_different_signals_one_after_the_other_leave_nothing_and_the_first_is_told(emulator: EmulatorHandle) -> None:
    with running(emulator) as process:
        assert process.stdout.readline() == "begun\n"
        emulator.faults(
            {"kind": "status", "status": 503, "times": None, "method": "*", "path": "^/services/[^/]+/stop$"}
        )
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            process.send_signal(number)
            time.sleep(0.1)
        emulator.clear_faults()
        assert process.wait(LONG_S) == 128 + signal.SIGHUP
    assert emulator.ledger()["running"] == 0


def test_under_nohup_a_closed_terminal_does_not_end_the_job(emulator: EmulatorHandle) -> None:
    with running(emulator, "echo begun; sleep 1; echo ended", before=["nohup"]) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline() == "ended\n"
        assert process.wait(LONG_S) == 0
    assert emulator.ledger()["running"] == 0


def test_an_interrupt_that_a_shell_ignores_for_a_job_in_the_background_stays_ignored(emulator: EmulatorHandle) -> None:
    with running(emulator, "echo begun; sleep 1; echo ended", before=ignoring(signal.SIGINT)) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(LONG_S) == 0
    assert emulator.ledger()["running"] == 0


def test_an_interrupt_of_the_whole_pipeline_leaves_nothing(emulator: EmulatorHandle) -> None:
    line = f"{shlex.join([*PROGRAM, 'run', 'ubuntu:24.04', '--poll', '0.2s', '--', 'echo begun; sleep 300'])} | cat"
    with subprocess.Popen(
        ["/bin/bash", "-c", f"set -o pipefail; {line}"],
        env=os.environ | emulator.env() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == "begun\n"
        os.killpg(shell.pid, signal.SIGINT)
        shell.wait(LONG_S)
    wait_for(lambda: emulator.ledger()["running"] == 0)


def test_timeout_of_a_shell_leaves_nothing(emulator: EmulatorHandle) -> None:
    with running(emulator, before=["timeout", "3"]) as process:
        nothing_is_left(emulator, process, 124)


def test_a_reader_that_has_had_enough_ends_the_job(emulator: EmulatorHandle) -> None:
    with running(emulator, "while echo line; do sleep 0.1; done") as process:
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        nothing_is_left(emulator, process, 1)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(emulator: EmulatorHandle, closed: str) -> None:
    begun = len(emulator.ledger()["sessions"])
    words = [*PROGRAM, "run", "ubuntu:24.04", "--poll", "0.2s", "--", "echo begun; exit 3"]
    ended = subprocess.run(
        ["/bin/sh", "-c", f"exec {shlex.join(words)} {closed}"], env=os.environ | emulator.env(), timeout=LONG_S
    )
    assert ended.returncode == 3
    assert len(emulator.ledger()["sessions"]) == begun + 1
    assert emulator.ledger()["running"] == 0


@pytest.mark.parametrize("hup", [True, False], ids=["that hangs up", "without a signal"])
def test_a_terminal_that_goes_away_does_not_keep_the_machine(emulator: EmulatorHandle, hup: bool) -> None:
    """With SIGHUP the job is stopped; where that is ignored, it goes on unseen to its end."""
    ours, theirs = pty.openpty()
    before = [] if hup else ignoring(signal.SIGHUP)
    command = "echo begun; sleep 300" if hup else "echo begun; sleep 1; echo ended; sleep 1; echo more"
    with running(emulator, command, before=before, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while b"begun" not in shown:
            shown += os.read(ours, 1000)
        os.close(ours)
        if hup:
            process.send_signal(signal.SIGHUP)
        assert process.wait(LONG_S) == (128 + signal.SIGHUP if hup else 0)
    assert emulator.ledger()["running"] == 0


def test_what_can_not_be_stopped_after_a_signal_is_told_with_its_command(emulator: EmulatorHandle) -> None:
    """And nobody says that nothing runs any more."""
    with running(emulator) as process:
        assert process.stdout.readline() == "begun\n"
        emulator.faults({"kind": "status", "status": 401, "method": "*", "path": "*", "times": None})
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=LONG_S)
    emulator.clear_faults()
    assert process.returncode == 128 + signal.SIGTERM
    assert "401" in told
    assert "runs any more" not in told
