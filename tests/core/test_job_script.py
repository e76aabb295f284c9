"""The scripts around a command, under every shell that this machine has."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from job_bench import eventually

from octa_provider.job.script import (
    ExitMarker,
    begin_command,
    container_command,
    lacks_shell,
    log_keeper_command,
    look_command,
    read_marker,
    read_status,
)

NONCE = "0123456789abcdef"
SHELLS = {
    "sh": "/bin/sh",
    "dash": shutil.which("dash") if Path("/bin/sh").resolve().name != "dash" else None,
    "bash --posix": shutil.which("bash"),
    "busybox sh": shutil.which("busybox"),
    "no setsid": "/bin/sh",
}
TOOLS = ("cat", "date", "grep", "ls", "mkdir", "mv", "nohup", "rm", "sleep", "tail", "touch", "kill", "env")


class Machine:
    """Runs the scripts in a folder of its own, with one shell for all of them."""

    def __init__(self, name: str, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        path = os.environ["PATH"]
        if name == "no setsid":
            path = str(folder / "bin")
            (folder / "bin").mkdir()
            for tool in TOOLS:
                (folder / "bin" / tool).symlink_to(shutil.which(tool) or "/bin/false")
        self.shell = folder / "shell"
        words = {"bash --posix": "bash --posix", "busybox sh": "busybox sh"}.get(name, SHELLS[name] or "sh")
        program, *options = words.split()
        exact = shlex.join([shutil.which(program) or program, *options])
        self.shell.write_text(f'#!/bin/sh\nexec {exact} "$@"\n')
        self.shell.chmod(0o755)
        self.env = {"PATH": path, "HOME": str(self.home), "OCTA_JOB": f"{NONCE}:f"}
        self.started: list[subprocess.Popen[str]] = []

    def start(self, line: str) -> subprocess.Popen[str]:
        argv = shlex.split(line.replace("/bin/sh", str(self.shell)))
        self.started.append(
            subprocess.Popen(
                argv,
                cwd=self.home,
                env=self.env,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )
        return self.started[-1]

    def container(self, command: str, timeout_s: float = 600, kill_after_s: int = 10) -> list[str]:
        """The lines of a container up to its second marker."""
        process = self.start(container_command(command, timeout_s).replace("sleep 10 ", f"sleep {kill_after_s} "))
        assert process.stdout is not None
        lines: list[str] = []
        while sum(read_marker(line, NONCE) is not None for line in lines) < 2:
            line = process.stdout.readline()
            assert line, f"it ended after {lines}"
            lines.append(line.removesuffix("\n"))
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        return [line for line in lines if line != "Terminated" and "Killed" not in line]

    def over_ssh(self, line: str, stdin: str = "") -> str:
        process = self.start(line)
        return process.communicate(stdin.replace("/bin/sh", str(self.shell)), timeout=600)[0].strip()

    def begin(self, command: str, timeout_s: float = 600, envs: dict[str, str] | None = None) -> str:
        return self.over_ssh(*begin_command(command, timeout_s, NONCE, envs or {}))

    def look(self) -> str:
        return self.over_ssh(look_command())

    def ended(self) -> str:
        return str(eventually(lambda: (seen := self.look()) != "running" and seen, "the command ends"))

    def pids(self) -> list[int]:
        """Its processes that live."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"HOME={self.home}".encode() in environment.split(b"\0"):
                found.append(int(entry.name))
        return found

    def close(self) -> None:
        # Those that forked meanwhile are met the next time round.
        while pids := self.pids():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for process in self.started:
                process.poll()
        for process in self.started:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


@pytest.fixture(params=[name for name, found in SHELLS.items() if found])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(request.param, tmp_path)
    yield machine
    machine.close()


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine("sh", tmp_path)
    yield machine
    machine.close()


def marker(word: object) -> str:
    return f"[octa-job {NONCE}] exit {word}"


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_last_line(machine: Machine, code: int) -> None:
    assert machine.container(f"echo out; echo err >&2; exit {code}") == ["out", "err", *[marker(code)] * 2]


def test_a_line_without_an_end_keeps_its_text_and_the_marker_has_a_line_of_its_own(machine: Machine) -> None:
    assert machine.container("printf 'half a line'; exit 5") == ["half a line" + marker(5), marker(5)]


def test_a_command_that_a_signal_ended_has_128_and_its_number(machine: Machine) -> None:
    assert machine.container("kill -9 $$")[-1] == marker(137)


def test_a_command_is_ended_at_its_deadline(machine: Machine) -> None:
    began = time.monotonic()
    assert machine.container("echo on; exec sleep 6000", 3) == ["on", *[marker("timeout")] * 2]
    assert time.monotonic() - began > 2.9


def test_exit_code_124_of_the_command_itself_is_no_deadline(machine: Machine) -> None:
    assert machine.container("exit 124")[-1] == marker(124)


def test_a_command_that_fails_shortly_before_its_deadline_is_told_by_its_code(sh: Machine) -> None:
    # On a busy computer that may take until after its deadline.
    assert any(sh.container("sleep 2.4; exit 7", 3)[-1] == marker(7) for _ in range(20))


def test_a_command_that_ends_well_when_told_to_end_has_still_run_out_of_time(machine: Machine) -> None:
    command = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
    assert machine.container(command, 1)[-1] == marker("timeout")


def test_children_end_with_the_command_at_its_deadline(sh: Machine) -> None:
    child = "(trap '' TERM; touch child; while :; do sleep 0.2; done) >/dev/null 2>&1 &"
    process = sh.start(container_command(f"{child} sleep 6000", 3))
    assert process.stdout is not None
    while read_marker(process.stdout.readline().strip(), NONCE) is None:
        pass
    assert (sh.home / "child").exists()
    # The wrapper that idles, and its sleep.
    eventually(lambda: len(sh.pids()) <= 2, "the children are gone")


def test_a_command_that_ignores_the_polite_signal_is_killed(sh: Machine) -> None:
    assert sh.container("trap '' TERM; while :; do sleep 0.1; done", 1, kill_after_s=1)[-1] == marker("timeout")


def test_a_container_that_is_restarted_does_not_run_its_command_again(machine: Machine) -> None:
    line = container_command("echo start >> starts; sleep 6000", 6000)
    first = machine.start(line)
    eventually((machine.home / "starts").exists, "it started")
    os.killpg(first.pid, signal.SIGKILL)
    assert machine.container("echo start >> starts; sleep 6000", 6000) == [marker("restarted")] * 2
    assert (machine.home / "starts").read_text() == "start\n"


def test_a_container_that_is_restarted_after_the_end_still_knows_the_exit_code(machine: Machine) -> None:
    for _ in range(2):
        assert machine.container("echo start >> starts; exit 4")[-1] == marker(4)
    assert (machine.home / "starts").read_text() == "start\n"


def test_the_command_does_not_see_the_nonce(sh: Machine) -> None:
    assert sh.container("env | grep OCTA_JOB; echo $#")[0] == "0"


def test_no_name_of_a_file_tells_the_command_the_nonce(sh: Machine) -> None:
    assert sh.container(f'ls -aR "$HOME" | grep -c {NONCE}')[0] == "0"


def test_no_process_tells_the_command_the_nonce(machine: Machine) -> None:
    """Of every ancestor's program and its environment, as it began."""
    look = (
        "p=$$; while [ $p -gt 1 ]; do tr '\\0' '\\n' < /proc/$p/environ; tr '\\0' '\\n' < /proc/$p/cmdline; "
        "p=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$p/status); [ $p != $TOP ] || break; done"
    )
    machine.env["TOP"] = str(os.getpid())
    machine.env["PATH"] = os.environ["PATH"]
    said = machine.container(f"{look} 2>&1; echo; echo looked")
    assert "looked" in said
    assert NONCE not in "".join(said[:-2])


#: What the scripts around a command call their own, and what they once did.
NAMES = tuple("cdghmnprstw")


def test_variables_called_as_the_scripts_own_reach_a_container_as_they_are(machine: Machine) -> None:
    """Each would get what our shell set in its place, the nonce among them."""
    machine.env |= dict.fromkeys(NAMES, "theirs") | dict.fromkeys(("octa_n", "octa_d", "octa_h", "octa_g"), "theirs")
    said = machine.container("env; echo looked")
    assert {f"{name}=theirs" for name in NAMES} <= set(said)
    assert NONCE not in "".join(said[: said.index("looked")])


@pytest.mark.parametrize("platform", [one for one in ("bash", "busybox sh") if shutil.which(one.split()[0])])
def test_a_shell_of_the_platforms_that_makes_way_tells_no_nonce(sh: Machine, platform: str) -> None:
    """As docs/jobs.md says. dash would stay, and nothing that it is given can make it forget its own environment."""
    process = sh.start(shlex.join([*platform.split(), "-c", container_command("echo began; sleep 6000", 6000)]))
    assert process.stdout is not None
    assert process.stdout.readline() == "began\n"
    shown = [Path(f"/proc/{pid}/{name}").read_bytes() for pid in sh.pids() for name in ("cmdline", "environ")]
    assert len(shown) >= 6
    assert not any(NONCE.encode() in text for text in shown)


def test_a_home_that_cannot_be_written_costs_nothing_but_the_guard(sh: Machine) -> None:
    sh.env["HOME"] = "/proc/nowhere"
    process = sh.start(container_command("exit 6", 600))
    assert process.stdout is not None
    assert process.stdout.readline().strip() == marker(6)
    os.killpg(process.pid, signal.SIGKILL)


# -- over SSH ------------------------------------------------------------------------------------------------------


def test_a_detached_command_tells_its_exit_code(machine: Machine) -> None:
    assert machine.look() == "absent"
    assert machine.begin('echo "$A"; pwd; exit 3', envs={"A": "it's $HOME\n2"}) == "begun"
    assert machine.ended() == f"{NONCE} 3"
    lines = (machine.home / "octa-job" / "job.log").read_text().splitlines()
    assert lines == ["it's $HOME", "2", str(machine.home / "octa-job" / "work"), *[marker(3)] * 2]


def test_no_file_tells_a_detached_command_the_nonce(machine: Machine) -> None:
    split = f"{NONCE[:8]}''{NONCE[8:]}"
    assert machine.begin(f"sleep 0.3; grep -rs {split} .. ; ls -aR .. | grep {split}; exit 3") == "begun"
    assert machine.ended() == f"{NONCE} 3"
    assert (machine.home / "octa-job" / "job.log").read_text().splitlines() == [marker(3)] * 2


def test_a_detached_command_is_begun_once_however_often_it_is_sent(machine: Machine) -> None:
    said = [machine.begin("echo start >> starts; while ! test -e go; do sleep 0.05; done") for _ in range(3)]
    assert said == ["begun", "already", "already"]
    assert machine.look() == "running"
    (machine.home / "octa-job" / "work" / "go").touch()
    assert machine.ended() == f"{NONCE} 0"
    assert (machine.home / "octa-job" / "work" / "starts").read_text() == "start\n"


def test_a_detached_command_is_ended_at_its_deadline(machine: Machine) -> None:
    assert machine.begin("sleep 60", 1) == "begun"
    assert machine.ended() == f"{NONCE} timeout"


def test_a_script_that_came_in_part_is_not_run(machine: Machine) -> None:
    line, script = begin_command("touch ran", 30, NONCE, {})
    machine.over_ssh(line, script[: len(script) // 2])
    assert machine.started[-1].returncode == 91
    assert machine.look() == "absent"
    assert machine.begin("touch ran") == "begun"
    assert machine.ended() == f"{NONCE} 0"


def test_a_script_that_was_cut_behind_what_looks_like_its_end_is_not_run(machine: Machine) -> None:
    line, script = begin_command("touch ran\n# whole\ntouch more", 30, NONCE, {"KEY": "'\n# whole\n'"})
    for cut in re.finditer("# ?whole|\n# ", script[: script.rindex("# whole")]):
        machine.over_ssh(line, script[: cut.end()])
        assert machine.started[-1].returncode == 91
    assert machine.over_ssh(line, script) == "begun"
    assert machine.ended() == f"{NONCE} 0"
    assert (machine.home / "octa-job" / "work" / "more").exists()


def test_a_script_that_came_in_part_leaves_nothing_of_it(machine: Machine) -> None:
    """A part that is on its way when the connection goes holds secrets, and the nonce."""
    line, script = begin_command("touch ran", 30, NONCE, {"TOKEN": "hunter2"})
    process = machine.start(line)
    assert process.stdin is not None
    process.stdin.write(script[:-20])
    process.stdin.flush()
    eventually(lambda: (machine.home / "octa-job").exists() and not list(machine.home.rglob("room.*")), "it reads")
    assert list((machine.home / "octa-job").iterdir()) == []
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list((machine.home / "octa-job").iterdir()) == []


def test_variables_called_as_the_scripts_own_reach_a_detached_command_as_they_are(machine: Machine) -> None:
    theirs = dict.fromkeys((*NAMES, "octa_n", "octa_g", "octa_r"), "theirs")
    machine.env |= {"n": "of the session", "octa_r": "of the session"}
    assert machine.begin("env; exit 3", envs={**theirs, "LD_LIBRARY_PATH": "/nowhere"}) == "begun"
    assert machine.ended() == f"{NONCE} 3"
    said = (machine.home / "octa-job" / "job.log").read_text().splitlines()
    assert {f"{name}=theirs" for name in theirs} <= set(said)
    assert "LD_LIBRARY_PATH=/nowhere" in said
    assert NONCE not in "".join(said[:-2])


def test_no_process_tells_a_detached_command_the_nonce_or_holds_its_secret_but_itself(machine: Machine) -> None:
    look = (
        "p=$PPID; while [ $p -gt 1 ]; do tr '\\0' '\\n' < /proc/$p/environ; tr '\\0' '\\n' < /proc/$p/cmdline; "
        "p=$(sed -n 's/^PPid:[[:space:]]*//p' /proc/$p/status); [ $p != $TOP ] || break; done"
    )
    machine.env["TOP"] = str(os.getpid())
    assert machine.begin(f"PATH={os.environ['PATH']}; {look}; echo looked", envs={"TOKEN": "hunter2"}) == "begun"
    assert machine.ended() == f"{NONCE} 0"
    said = (machine.home / "octa-job" / "job.log").read_text()
    assert "looked" in said
    assert "octa-job" in said
    assert NONCE not in said.partition("looked")[0]
    assert "hunter2" not in said


def test_variables_that_are_for_the_command_do_not_change_what_the_shell_around_it_finds(machine: Machine) -> None:
    assert machine.begin("echo $PATH $HOME; exit 3", envs={"PATH": "/nowhere", "HOME": "/nowhere"}) == "begun"
    assert machine.ended() == f"{NONCE} 3"
    assert (machine.home / "octa-job" / "job.log").read_text().splitlines()[0] == "/nowhere /nowhere"


def test_a_name_that_the_shell_keeps_for_itself_costs_the_command_nothing_else(machine: Machine) -> None:
    """bash would end for it, and the command never begin."""
    assert machine.begin("echo $A; exit 3", envs={"UID": "1000", "PPID": "1", "A": "set"}) == "begun"
    assert machine.ended() == f"{NONCE} 3"
    assert "set" in (machine.home / "octa-job" / "job.log").read_text().splitlines()


def test_a_detached_command_that_was_killed_is_gone_without_an_exit_code(machine: Machine) -> None:
    assert machine.begin("sleep 60") == "begun"
    pid = int(eventually((machine.home / "octa-job" / "pid").read_text, "its pid"))
    eventually(lambda: (machine.home / "octa-job" / "work").exists(), "it runs")
    os.kill(pid, signal.SIGKILL)
    assert machine.ended() == "gone"


def test_nothing_of_the_job_stands_in_the_command_line() -> None:
    line, script = begin_command("render --token s3cret", 30, NONCE, {"PASSWORD": "hunter2"})
    assert not re.search(f"s3cret|hunter2|{NONCE}", line)
    assert "s3cret" in script
    assert "hunter2" in script


def test_the_log_keeper_which_runs_beside_the_command_does_not_hold_the_nonce(machine: Machine) -> None:
    keeper = machine.start(log_keeper_command())
    program, environ = (Path(f"/proc/{keeper.pid}/{name}") for name in ("cmdline", "environ"))
    eventually(lambda: b"\0-F\0octa-job/job.log\0" in program.read_bytes(), "it follows the log")
    assert NONCE.encode() not in program.read_bytes() + environ.read_bytes()


def test_the_log_keeper_prints_the_log_as_it_grows(machine: Machine) -> None:
    keeper = machine.start(log_keeper_command())
    assert keeper.stdout is not None
    machine.begin("echo one; sleep 0.2; echo two")
    assert [keeper.stdout.readline() for _ in range(2)] == ["one\n", "two\n"]


# -- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (marker(0), ExitMarker(0)),
        ("text" + marker(3), ExitMarker(3, before="text")),
        (marker("timeout"), ExitMarker(124, timed_out=True)),
        (marker("restarted"), ExitMarker(None)),
        (marker(0) + "  ", ExitMarker(0)),
        (marker(1000), None),
        (marker("0 or so"), None),
        ("[octa-job fedcba9876543210] exit 0", None),
        ("[octa-job .*] exit 0", None),
        (marker(""), None),
    ],
)
def test_a_marker_counts_with_our_nonce_alone(line: str, found: ExitMarker | None) -> None:
    assert read_marker(line, NONCE) == found


@pytest.mark.parametrize(
    "text", ["", "0", "other 0", f"{NONCE} 1000", f"{NONCE} ok", "sh: not found", f"{NONCE} 0\n{NONCE} 1"]
)
def test_a_status_that_is_not_understood_is_no_success(text: str) -> None:
    assert read_status(text, NONCE).state == "gone"


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ('OCI runtime create failed: exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown', True),
        ('exec: "/bin/sh": executable file not found in $PATH', True),
        ("/bin/sh: 1: blender: not found", False),
        ("container started", False),
    ],
)
def test_an_image_without_a_shell_is_told_from_a_missing_program(text: str, lacks: bool) -> None:
    assert lacks_shell(text) is lacks


def test_part_of_a_second_counts_as_a_whole_one() -> None:
    seconds: Callable[[float], str] = lambda timeout_s: shlex.split(container_command("x", timeout_s))[-1]  # noqa: E731
    assert [seconds(0.1), seconds(1), seconds(1.2)] == ["1", "1", "2"]
