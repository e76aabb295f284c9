"""Emulators that are forked from a process that has everything loaded: as good as those that load it themselves."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tenancy import Tenant, eventually

from octa_provider.emulator import testing
from octa_provider.emulator.container.process import SESSION_MARK, marked_pids
from octa_provider.emulator.testing import start_emulator
from octa_provider.emulator.warm_start import WarmChild, can_start_warm, start_warm

LONG_S = 600
#: Starts an emulator, says which process it is and which has forked it, and waits to be killed.
PROGRAM = """
import os, pathlib, time
from octa_provider.emulator.testing import start_emulator
with start_emulator() as emulator:
    print(emulator.pid, pathlib.Path(f"/proc/{emulator.pid}/stat").read_text().split()[3], flush=True)
    time.sleep(1000)
"""

pytestmark = pytest.mark.skipif(not can_start_warm(), reason="emulators are forked on Linux alone")


def forked(*arguments: str, environment: Mapping[str, str] = os.environ) -> tuple[WarmChild, dict[str, str]]:
    """An emulator that ends with its input, and what it has said."""
    child = start_warm(["--port=0", "--until-stdin-closes", *arguments], environment)
    return child, json.loads(child.stdout.readline())


def stat(pid: int) -> list[str]:
    """What the kernel knows of a process, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def parent_of(pid: int) -> int:
    return int(stat(pid)[1])


def is_gone(pid: int) -> bool:
    """Whether it has ended; whoever is to wait for it may not have done so yet."""
    try:
        return stat(pid)[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_one_that_is_forked_computes_next_to_nothing_until_it_serves() -> None:
    with start_emulator() as emulator:
        ticks = sum(int(field) for field in stat(emulator.pid)[11:13])
    assert ticks / os.sysconf("SC_CLK_TCK") < 0.5


def test_one_that_is_not_forked_starts_in_no_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "can_start_warm", lambda: False)

    def seconds() -> float:
        # Of computing, not of waiting: a busy machine must not fail this.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with start_emulator() as emulator:
            assert parent_of(emulator.pid) == os.getpid()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 1.0


def test_each_has_the_folder_the_environment_and_the_error_output_of_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    places = []
    for name in ("one", "two"):
        place = tmp_path / name
        (place / "temporary").mkdir(parents=True)
        monkeypatch.chdir(place)
        temporary = {**os.environ, "TMPDIR": str(place / "temporary")}
        child, said = forked(environment=temporary)
        with child:
            assert Path(f"/proc/{child.pid}/cwd").readlink() == place
            assert os.getsid(child.pid) == child.pid
            places.append(Path(said["ssh_private_key"]).relative_to(place / "temporary"))
    assert places[0] != places[1]
    with start_warm([f"--state={tmp_path}/state", "--machines=none"], os.environ) as child:
        assert child.wait(LONG_S) == 2
    assert "--machines" in capfd.readouterr().err


def test_no_two_are_the_same_by_accident() -> None:
    with start_emulator() as one, start_emulator() as two:
        assert one.api_key != two.api_key
        assert Tenant(one).ready("sleep 1000") != Tenant(two).ready("sleep 1000")


def test_each_ends_with_its_own_input_and_by_its_own_signal(tmp_path: Path) -> None:
    children = [forked(f"--state={tmp_path / str(number)}")[0] for number in range(4)]
    with children[0], children[1], children[2], children[3]:
        children[0].stdin.close()
        assert children[0].wait(LONG_S) == 0
        children[1].terminate()
        assert children[1].wait(LONG_S) == 0
        children[2].kill()
        assert children[2].wait(LONG_S) == -signal.SIGKILL
        with pytest.raises(subprocess.TimeoutExpired):
            children[3].wait(0.01)
        for child in children[:3]:
            # Its pid is free for anybody.
            child.kill()
    assert all(is_gone(child.pid) for child in children)


def test_when_what_forks_them_was_killed_those_that_run_serve_on_and_the_next_one_starts() -> None:
    with start_emulator() as one:
        os.kill(parent_of(one.pid), signal.SIGKILL)
        with start_emulator() as two:
            assert parent_of(two.pid) != parent_of(one.pid)
            assert Tenant(one).ready("echo one")
            assert Tenant(two).ready("echo two")
    assert is_gone(one.pid)
    assert is_gone(two.pid)


def test_nothing_is_left_of_a_process_that_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(is_gone(pid) for pid in pids)
        process.kill()
    eventually(lambda: all(is_gone(pid) for pid in pids))


def test_a_fork_of_ours_starts_its_own_and_leaves_ours_alone() -> None:
    with start_emulator() as ours:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            told = b"none"
            try:
                with start_emulator() as theirs:
                    told = str(parent_of(theirs.pid)).encode()
                    Tenant(theirs).ready("echo theirs")
            finally:
                os.write(writer, told)
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as answer:
            forker = answer.read()
        os.waitpid(pid, 0)
        assert forker.isdigit()
        assert int(forker) != parent_of(ours.pid)
        uuid = Tenant(ours).ready("sleep 1000")
        with start_emulator() as another:
            assert parent_of(another.pid) == parent_of(ours.pid)
    assert marked_pids(SESSION_MARK, uuid) == []
    eventually(lambda: is_gone(int(forker)))
