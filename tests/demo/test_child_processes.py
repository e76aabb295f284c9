"""Whatever the demo starts ends with it: grandchildren, process groups of their own, and the stubborn."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from demo.child_processes import Child, ChildProcesses, ProcessEndedError, session_members

SLEEPER = "import time; time.sleep(60)"
#: Leaves the process group, as the supervisor of an Airflow task does for the task.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], preexec_fn=lambda: os.setpgid(0, 0))
print(child.pid, flush=True)
time.sleep(60)
"""
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)


def start(children: ChildProcesses, folder: Path, code: str, *, pipe: bool = False) -> Child:
    return children.start("a child", [sys.executable, "-c", code], folder / "child.log", os.environ, pipe=pipe)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that init has not reaped yet is over, too.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"


def test_a_child_ends_with_the_context(tmp_path: Path) -> None:
    with ChildProcesses() as children:
        child = start(children, tmp_path, SLEEPER)
        assert not child.has_ended
    assert child.process.returncode is not None


def test_a_grandchild_in_a_group_of_its_own_ends_too(tmp_path: Path) -> None:
    with ChildProcesses(patience_s=1.0) as children:
        child = start(children, tmp_path, PARENT, pipe=True)
        grandchild = int(child.stdout.readline())
        assert set(session_members(child)) == {child.process.pid, grandchild}
    assert not is_alive(grandchild)


def test_one_that_will_not_end_is_killed(tmp_path: Path) -> None:
    with ChildProcesses(patience_s=0.2) as children:
        child = start(children, tmp_path, STUBBORN, pipe=True)
        child.stdout.readline()
    assert child.process.returncode == -9


def test_it_ends_when_the_work_fails(tmp_path: Path) -> None:
    seen: list[Child] = []

    def work() -> None:
        with ChildProcesses() as children:
            seen.append(start(children, tmp_path, SLEEPER))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert seen[0].process.returncode is not None


def test_a_child_that_has_ended_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with ChildProcesses() as children:
        child = start(children, tmp_path, "raise SystemExit('out of paint')")
        deadline = time.monotonic() + 600
        while not child.has_ended and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(ProcessEndedError, match="out of paint"):
            children.check()
