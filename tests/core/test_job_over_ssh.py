"""Jobs over SSH, on an emulated machine with real SSH: files up and down, connections that break, hosts that change."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from job_bench import Bench, CuttableProxy, LeapingClock, bench, cuttable, emulator, eventually, session_pids

from octa_provider import JobOutcome, JobSpec, JobState, OctaCancelledError, OctaClient, OctaConfigError
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.files.local_files import LocalTree
from octa_provider.job import over_ssh
from octa_provider.job.script import (
    SENT_FILE,
    WORK_FOLDER,
    begin_command,
    keep_list_command,
    staged_folder,
    staged_list,
)
from octa_provider.job.state import JobPhase
from octa_provider.remote.kept_machines import let_all_go
from octa_provider.remote.machine import RemoteMachine
from octa_provider.remote.target import SshTarget

__all__ = ["bench", "emulator"]


def spec(command: str, **changes: Any) -> JobSpec:
    return JobSpec(**({"image": "ubuntu:24.04", "command": command, "timeout_s": 600, "via": "ssh"} | changes))


@contextmanager
def conditions(emulator: EmulatorHandle, **values: Any) -> Iterator[None]:
    """Machines answer over SSH as told, for a while."""
    emulator.ssh(**values)
    try:
        yield
    finally:
        emulator.ssh()


def through(monkeypatch: pytest.MonkeyPatch, proxy: CuttableProxy) -> None:
    """Every connection to the machine goes through the proxy."""
    real = SshTarget.of.__func__  # type: ignore[attr-defined]

    def of(cls: type[SshTarget], session: Any, **options: Any) -> SshTarget:
        return replace(real(cls, session, **options), port=proxy.port, others=())

    monkeypatch.setattr(SshTarget, "of", classmethod(of))


def port_of(bench: Bench, uuid: str) -> int:
    session = eventually(lambda: (s := bench.client.services.session(uuid).info()).ssh_direct and s, "its address")
    assert session.ssh_direct is not None
    return int(session.ssh_direct.port)


def test_files_and_folders_go_up_and_come_down(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "scene.blend").write_bytes(os.urandom(300_000))
    (tmp_path / "textures" / "deep").mkdir(parents=True)
    (tmp_path / "textures" / "wood.dat").write_text("wood")
    (tmp_path / "textures" / "deep" / "a b.dat").write_text("a b")
    lines: list[str] = []
    result = bench.client.jobs.run(
        spec(
            "mkdir -p out/sub; cp in/scene.blend out/1.bin; cp -r in/textures out/sub; echo $GREETING; printf end",
            envs={"GREETING": "it's me"},
            inputs={tmp_path / "scene.blend": "in/scene.blend", str(tmp_path / "textures"): "in/textures"},
            outputs={"out": tmp_path / "got", "out/1.bin": str(tmp_path / "one.bin")},
            via="auto",
        ),
        bench.key,
        private_key=bench.ssh_key,
        on_line=lines.append,
        log_path=tmp_path / "job.log",
        poll_s=0.1,
    )
    assert (result.outcome, result.exit_code, result.message) == (JobOutcome.SUCCEEDED, 0, "")
    got = tmp_path / "got"
    files = {got / "1.bin", got / "sub/textures/wood.dat", got / "sub/textures/deep/a b.dat", tmp_path / "one.bin"}
    assert set(map(Path, result.outputs)) == files
    assert (got / "1.bin").read_bytes() == (tmp_path / "scene.blend").read_bytes()
    assert (got / "sub/textures/deep/a b.dat").read_text() == "a b"
    assert lines == (tmp_path / "job.log").read_text().splitlines() == ["it's me", "end"]
    assert result.cost_wei == bench.sessions()[0]["charge_wei"]


def test_the_key_file_may_come_from_the_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTA_SSH_KEY_FILE", str(bench.ssh_key))
    assert bench.client.jobs.run(spec("exit 3"), bench.key, poll_s=0.1).exit_code == 3


def test_the_key_may_be_the_text_of_its_file(bench: Bench) -> None:
    text = bench.ssh_key.read_text()
    assert bench.client.jobs.run(spec("exit 4"), bench.key, private_key=text, poll_s=0.1).exit_code == 4


def test_a_key_that_the_machine_refuses_to_the_end_is_said_and_the_session_stopped(
    bench: Bench, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(other))
    result = bench.client.jobs.run(spec("true", ready_timeout_s=5), bench.key, private_key=other, poll_s=0.1)
    assert result.outcome is JobOutcome.NOT_READY
    assert "refused the key: give the private key whose public half is in the OctaSpace account" in result.message
    assert bench.running() == 0


def test_missing_outputs_make_a_success_a_failure(bench: Bench, tmp_path: Path) -> None:
    result = bench.client.jobs.run(
        spec("true", outputs={"frames": tmp_path / "frames"}), bench.key, private_key=bench.ssh_key, poll_s=0.1
    )
    assert (result.outcome, result.exit_code, result.succeeded) == (JobOutcome.FAILED, 0, False)
    assert "frames" in result.message
    assert bench.running() == 0


def test_an_empty_output_folder_makes_a_success_a_failure(bench: Bench, tmp_path: Path) -> None:
    result = bench.client.jobs.run(
        spec("mkdir frames", outputs={"frames": tmp_path}), bench.key, private_key=bench.ssh_key, poll_s=0.1
    )
    assert (result.outcome, result.message) == (JobOutcome.FAILED, "the command succeeded but left nothing in frames")
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_failed_still_gives_what_is_there(bench: Bench, tmp_path: Path) -> None:
    result = bench.client.jobs.run(
        spec("echo half > a; exit 9", outputs={"missing": tmp_path / "missing", "a": tmp_path / "a"}),
        bench.key,
        private_key=bench.ssh_key,
        log_path=tmp_path / "job.log",
        poll_s=0.1,
    )
    assert (result.outcome, result.exit_code) == (JobOutcome.FAILED, 9)
    assert result.message == "the command ended with exit code 9"
    assert result.outputs == (str(tmp_path / "a"),)
    assert (tmp_path / "a").read_text() == "half\n"


def test_the_command_is_ended_at_its_deadline_with_what_it_has_written(bench: Bench, tmp_path: Path) -> None:
    result = bench.client.jobs.run(
        spec("echo half > a; sleep 61 & sleep 62", timeout_s=1, outputs={"a": tmp_path / "a"}),
        bench.key,
        private_key=bench.ssh_key,
        poll_s=0.1,
    )
    assert (result.outcome, result.exit_code) == (JobOutcome.TIMED_OUT, 124)
    assert result.outputs == (str(tmp_path / "a"),)


def test_a_connection_that_breaks_while_the_command_runs_ends_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = spec("echo start >> starts; while [ ! -e go ]; do sleep 0.02; done; cat starts; exit 5")
    state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)
    uuid = state.rental.uuid
    with cuttable(port_of(bench, uuid)) as proxy:
        through(monkeypatch, proxy)
        state = bench.client.jobs.begin(state, job, private_key=bench.ssh_key)
        proxy.cut()
        # Nobody answers for a while: that is no outcome.
        proxy.cut_after, proxy.cuts_left = 100, 2
        for _ in range(2):
            assert bench.client.jobs.poll(state, private_key=bench.ssh_key) == state
        (bench.folder(uuid) / "octa-job" / "work" / "go").touch()
        lines: list[str] = []
        state = bench.polled(state, private_key=bench.ssh_key, on_line=lines.append)
        assert proxy.cuts_left == 0
    assert (state.outcome, state.exit_code, lines) == (JobOutcome.FAILED, 5, ["start"])


def test_the_log_comes_over_ssh_and_no_byte_of_it_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    came, real = [0], RemoteMachine.read_part

    def counted(self: RemoteMachine, remote: str, offset: int, **options: Any) -> tuple[int, bytes]:
        size, data = real(self, remote, offset, **options)
        came[0] += len(data)
        return size, data

    monkeypatch.setattr(RemoteMachine, "read_part", counted)
    lines: list[str] = []
    # It does not end as an API key may begin: that much is read again, until it is known whether it is one.
    state = bench.running_state(spec("for n in 1 2 3 4 5 6 7 8; do seq $n 100; printf half~; sleep 0.1; echo; done"))
    whole = bench.folder(state.rental.uuid) / "octa-job" / "job.log"
    asked = bench.emulator.ledger(requests=False)["request_counts"].get("GET /services/{uuid}/logs", 0)
    state = bench.polled(state, private_key=bench.ssh_key, on_line=lines.append)
    assert state.outcome is JobOutcome.SUCCEEDED
    assert lines == [text for n in range(1, 9) for text in [*map(str, range(n, 101)), "half~"]]
    # A line that was torn between two looks is held, and not read again.
    assert 0 < came[0] <= whole.stat().st_size
    assert bench.emulator.ledger(requests=False)["request_counts"].get("GET /services/{uuid}/logs", 0) == asked


def test_a_machine_whose_log_never_ends_holds_up_no_look(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octa_provider.job.poll.READ_S", 0.5)
    state, lines = bench.running_state(spec("sleep 60")), list[str]()
    monkeypatch.setattr(RemoteMachine, "read_part", lambda *_, **__: (10**20, b"more\n"))
    state = bench.client.jobs.poll(state, private_key=bench.ssh_key, on_line=lines.append)
    assert state.phase is JobPhase.RUNNING
    assert set(lines) == {"more"}


def test_a_machine_that_cannot_be_reached_any_more_is_heard_through_the_api(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = spec("echo one; while [ ! -e go ]; do sleep 0.05; done; echo two; exit 6")
    state, lines = bench.running_state(job), list[str]()
    with cuttable(port_of(bench, state.rental.uuid)) as proxy:
        through(monkeypatch, proxy)
        heard = {"private_key": bench.ssh_key, "on_line": lines.append}
        state = bench.polled(state, lambda _: lines == ["one"], **heard)
        assert state.log is not None
        assert state.log.of_file
        proxy.close()
        (bench.folder(state.rental.uuid) / "octa-job" / "work" / "go").touch()
        state = bench.polled(state, **heard)
    assert (state.outcome, state.exit_code, lines) == (JobOutcome.FAILED, 6, ["one", "two"])


@pytest.mark.parametrize("cut_after", [1, 3000, 4000, 5000])
def test_a_connection_that_breaks_while_the_job_is_begun_begins_it_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cut_after: int
) -> None:
    (tmp_path / "in").write_bytes(os.urandom(8000))
    job = spec("echo start >> starts; cat starts; cksum < in", inputs={tmp_path / "in": "in"})
    state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)
    with cuttable(port_of(bench, state.rental.uuid), cut_after=cut_after, cuts=2) as proxy:
        through(monkeypatch, proxy)
        for _ in range(5):
            if state.phase is JobPhase.READY:
                state = bench.client.jobs.begin(state, job, private_key=bench.ssh_key)
        lines: list[str] = []
        state = bench.polled(state, private_key=bench.ssh_key, on_line=lines.append)
    assert state.outcome is JobOutcome.SUCCEEDED, state.message
    assert lines[0] == "start"
    assert len(lines) == 2
    assert " 8000" in lines[1]


def test_outputs_come_down_though_the_connection_breaks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job = spec("head -c 200000 /dev/urandom > a; sha256sum a", outputs={"a": tmp_path / "a"})
    lines: list[str] = []
    state = bench.polled(bench.running_state(job), private_key=bench.ssh_key, on_line=lines.append)
    with cuttable(port_of(bench, state.rental.uuid), cut_after=2500, cuts=4) as proxy:
        through(monkeypatch, proxy)
        state = bench.client.jobs.collect(state, private_key=bench.ssh_key)
        assert proxy.cuts_left == 0
    assert (state.outcome, state.collected) == (JobOutcome.SUCCEEDED, (str(tmp_path / "a"),))
    assert hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest() == lines[0].split()[0]


def test_outputs_that_cannot_be_fetched_in_time_make_a_success_a_failure(
    emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench = Bench(emulator, "ssh/unreachable", LeapingClock())
    state = bench.polled(bench.running_state(spec("echo > a", outputs={"a": tmp_path})), private_key=bench.ssh_key)
    assert state.outcome is JobOutcome.SUCCEEDED
    with cuttable(1, cut_after=0, cuts=10**6) as proxy:
        through(monkeypatch, proxy)
        proxy.close()
        state = bench.client.jobs.collect(state, private_key=bench.ssh_key)
    assert (state.outcome, state.phase, state.exit_code) == (JobOutcome.FAILED, JobPhase.COLLECTED, 0)
    assert bench.client.jobs.finish(state).message == state.message != ""


def test_a_changed_host_key_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = bench.running_state(spec("sleep 60", outputs={"a": tmp_path / "a"}))
    assert state.host_key is not None
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().strip()
    assert bench.client.jobs.poll(state, private_key=bench.ssh_key) == state
    lost = bench.client.jobs.poll(state.having(host_key=other), private_key=bench.ssh_key)
    assert lost.outcome is JobOutcome.LOST
    assert "shows another host key than before: this is not the machine that was rented" in lost.message
    done = state.ending(JobOutcome.SUCCEEDED, "", 0).having(host_key=other)
    collected = bench.client.jobs.collect(done, private_key=bench.ssh_key)
    assert collected.outcome is JobOutcome.FAILED
    assert "another host key" in collected.message
    assert not (tmp_path / "a").exists()


def test_outputs_cannot_leave_the_target_folder(bench: Bench, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    target = tmp_path / "here" / "out"
    command = f"""
        mkdir -p out/folder out/-dash && cd out
        ln -s {secret} link; ln -s {tmp_path} up; ln -s ../../.. dots; ln -s /etc folder/etc; mkfifo pipe
        echo 1 > 'a b'; echo 2 > '..x'; echo 3 > -rf; echo 4 > 'quote'"'"'s'; echo 5 > '$(touch x)'; echo 6 > folder/6
        echo 7 > -dash/7; printf 8 > "new
line"
    """
    result = bench.client.jobs.run(
        spec(command, outputs={"out": target}), bench.key, private_key=bench.ssh_key, poll_s=0.1
    )
    assert result.outcome is JobOutcome.SUCCEEDED, result.message
    names = {"a b", "..x", "-rf", "quote's", "$(touch x)", "folder/6", "-dash/7", "new\nline"}
    assert {str(Path(name).relative_to(target)) for name in result.outputs} == names
    assert {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()} == names
    assert not any(path.is_symlink() for path in target.rglob("*"))
    assert secret.read_text() == "mine"
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"out"}


@pytest.mark.parametrize(
    ("odd", "here"),
    [(r"a\134b", "a\\b"), (r"a\377b", "a%FFb"), ("n" * 250, "n" * 250)],
    ids=["backslash", "bytes", "long"],
)
def test_an_odd_name_among_the_outputs_costs_nothing(bench: Bench, tmp_path: Path, odd: str, here: str) -> None:
    result = bench.client.jobs.run(
        spec(f"mkdir out; echo > out/good; echo > \"out/$(printf '{odd}')\"", outputs={"out": tmp_path / "out"}),
        bench.key,
        private_key=bench.ssh_key,
        poll_s=0.1,
    )
    assert result.outcome is JobOutcome.SUCCEEDED, result.message
    assert sorted(Path(path).name for path in result.outputs) == sorted(["good", here])
    json.dumps(result.to_dict(), ensure_ascii=False).encode("utf-8")


def test_a_file_that_changed_on_its_way_is_fetched_again(bench: Bench, tmp_path: Path) -> None:
    state = bench.polled(
        bench.running_state(spec("echo right > a", outputs={"a": tmp_path / "a"})), private_key=bench.ssh_key
    )
    with conditions(bench.emulator, reads="wrong", bad_reads=1):
        state = bench.client.jobs.collect(state, private_key=bench.ssh_key)
        # The list of what was sent is read before.
        assert bench.emulator.request("POST", "/_emulator/ssh", json={}).ok
    assert state.outcome is JobOutcome.SUCCEEDED
    assert (tmp_path / "a").read_text() == "right\n"


@pytest.mark.parametrize("reads", ["wrong", "short"])
def test_a_file_that_is_corrupted_every_time_is_no_success(
    emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reads: str
) -> None:
    bench = Bench(emulator, f"ssh/corrupted-{reads}", LeapingClock())
    monkeypatch.setattr("octa_provider.job.collect.COLLECT_S", 6.0)
    state = bench.polled(
        bench.running_state(spec("echo right > a", outputs={"a": tmp_path / "a"})), private_key=bench.ssh_key
    )
    with conditions(emulator, reads=reads):
        state = bench.client.jobs.collect(state, private_key=bench.ssh_key)
    assert state.outcome is JobOutcome.FAILED
    assert ("changed on its way" if reads == "wrong" else "of 6 bytes") in state.message
    assert not (tmp_path / "a").exists()
    bench.client.jobs.finish(state)


@pytest.mark.parametrize("instead", ["true", "mkdir ../job.log"])
def test_a_log_that_the_command_destroyed_costs_the_log_alone(bench: Bench, tmp_path: Path, instead: str) -> None:
    result = bench.client.jobs.run(
        spec(f"echo > a; rm ../job.log; {instead}", outputs={"a": tmp_path / "a"}),
        bench.key,
        private_key=bench.ssh_key,
        log_path=tmp_path / "job.log",
        poll_s=0.1,
    )
    assert result.outcome is JobOutcome.SUCCEEDED, result.message
    assert result.logs_path is None


def test_a_log_that_cannot_be_written_any_more_costs_the_log_alone(bench: Bench, tmp_path: Path) -> None:
    for via in ("ssh", "container"):
        in_the_way = tmp_path / via
        result = bench.client.jobs.run(
            spec("true", via=via),
            bench.key,
            private_key=bench.ssh_key,
            log_path=in_the_way / "log",
            on_state=lambda state, place=in_the_way: place.touch(),
            poll_s=0.1,
        )
        assert (result.outcome, result.logs_path) == (JobOutcome.SUCCEEDED, None)


def test_a_command_that_was_killed_on_the_machine_is_no_success(bench: Bench) -> None:
    state = bench.running_state(spec("sleep 60"))
    pid = int((bench.folder(state.rental.uuid) / "octa-job" / "pid").read_text())
    assert pid in session_pids(state.rental.uuid)
    os.kill(pid, 9)
    state = bench.polled(state, private_key=bench.ssh_key)
    assert (state.outcome, state.exit_code) == (JobOutcome.LOST, None)
    assert state.message == "the command was killed, so that it left no exit code: outcome unknown"


def test_a_machine_that_forgot_the_command_is_no_success(bench: Bench) -> None:
    state = bench.running_state(spec("sleep 60"))
    (bench.folder(state.rental.uuid) / "octa-job").rename(bench.folder(state.rental.uuid) / "gone")
    state = bench.polled(state, private_key=bench.ssh_key)
    assert state.outcome is JobOutcome.LOST
    assert state.message == "the machine has forgotten the command: outcome unknown"


def test_a_machine_that_cannot_begin_the_command_says_why(bench: Bench) -> None:
    job = spec("true")
    state = bench.begun_in_vain(job)
    assert state.outcome is JobOutcome.FAILED
    assert "the machine could not begin the command (exit code 90)" in state.message


def test_the_machine_of_a_job_can_be_used_by_hand(bench: Bench) -> None:
    state = bench.running_state(spec("sleep 60"))
    session = bench.client.services.session(state.rental.uuid).info()
    with RemoteMachine(SshTarget.of(session, private_key=bench.ssh_key, host_key=state.host_key)) as machine:
        assert machine.run("cat octa-job/started && echo ok").output == "ok\n"


@pytest.mark.parametrize(
    "says", ["yes", "while :; do printf 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\r'; done"]
)
def test_a_machine_that_talks_without_end_is_listened_to_no_further(bench: Bench, says: str) -> None:
    """All machines of a process are heard by one thread, which it would keep from the others."""
    state = bench.running_state(spec("sleep 60"))
    told = bench.folder(state.rental.uuid) / "listened"
    session = bench.client.services.session(state.rental.uuid).info()
    with RemoteMachine(SshTarget.of(session, private_key=bench.ssh_key, host_key=state.host_key)) as machine:
        machine.run("true")
        machine.listen(f"echo $$ > listened; {says}", lambda said: None)
        pid = int(eventually(lambda: told.exists() and told.read_text(), "its process").strip())
        eventually(lambda: not is_alive(pid), "its end")
        assert machine.run("echo still here").output == "still here\n"


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def begun(bench: Bench, job: JobSpec) -> JobState:
    state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)
    return bench.client.jobs.begin(state, job, private_key=bench.ssh_key)


def test_a_try_that_carries_on_sends_nothing_over_the_running_commands_files(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "state.txt").write_text("step 0\n")
    job = spec(
        "echo step 1 >> state.txt; touch began; while [ ! -e go ]; do sleep 0.05; done; cat state.txt",
        inputs={tmp_path / "state.txt": "state.txt"},
        outputs={"state.txt": tmp_path / "out.txt"},
    )
    state = begun(bench, job)
    work = bench.folder(state.rental.uuid) / WORK_FOLDER
    eventually((work / "began").exists, "the command runs")
    # The process died here; the next try knows the key alone, and begins again.
    again = begun(bench, job)
    assert (again.phase, again.attempts) == (JobPhase.RUNNING, 2)
    (work / "go").touch()
    result = bench.client.jobs.watch(again, job, private_key=bench.ssh_key, poll_s=0.1)
    assert result.outcome is JobOutcome.SUCCEEDED, result.message
    assert (tmp_path / "out.txt").read_text() == "step 0\nstep 1\n"


def test_a_try_that_sends_while_another_begins_does_not_touch_its_files(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("first\n")
    job = spec("touch began; while [ ! -e go ]; do sleep 0.05; done; cat in", inputs={tmp_path / "in": "in"})
    state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)
    session = bench.client.services.session(state.rental.uuid).info()
    folder = bench.folder(state.rental.uuid)
    with RemoteMachine(SshTarget.of(session, private_key=bench.ssh_key)) as slow:
        # Another worker has looked, and sends; before it is done this one begins.
        slow.put(tmp_path / "in", f"{staged_folder('other')}/in")
        running = bench.client.jobs.begin(state, job, private_key=bench.ssh_key)
        eventually((folder / WORK_FOLDER / "began").exists, "the command runs")
        command, script = begin_command(job.command_line, 30, state.nonce, {}, "other")
        assert slow.run(command, stdin=script).output == "already\n"
    (folder / WORK_FOLDER / "go").touch()
    lines: list[str] = []
    assert bench.polled(running, private_key=bench.ssh_key, on_line=lines.append).outcome is JobOutcome.SUCCEEDED
    assert lines == ["first"]
    assert not list((folder / "octa-job").glob("in.*"))


@pytest.mark.parametrize("make", ["file", "folder", "nothing"])
def test_what_cannot_be_settled_here_is_refused_before_anything_is_rented(
    bench: Bench, tmp_path: Path, make: str
) -> None:
    (tmp_path / "plain").write_text("")
    wrong: dict[str, dict[str, Any]] = {
        "file": {"outputs": {"r.txt": tmp_path / "plain" / "frames"}},
        "folder": {"outputs": {"r.txt": "/proc/nope/r.txt"}},
        "nothing": {"inputs": {tmp_path / "missing": "x"}},
    }
    with pytest.raises(OctaConfigError):
        bench.client.jobs.run(spec("true", **wrong[make]), bench.key, private_key=bench.ssh_key, poll_s=0.1)
    assert bench.sessions() == []


def test_a_key_that_cannot_be_read_or_is_not_there_is_refused_before_anything_is_rented(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv("OCTA_SSH_KEY_FILE", raising=False)
    with pytest.raises(OctaConfigError, match="No such file"):
        bench.client.jobs.run(spec("true"), bench.key, private_key=tmp_path / "missing")
    for unset in (lambda: None, lambda: monkeypatch.setenv("OCTA_SSH_KEY_FILE", "")):
        unset()
        with pytest.raises(OctaConfigError, match="there is no SSH key"):
            bench.client.jobs.run(spec("true"), bench.key)
    monkeypatch.setenv("OCTA_SSH_KEY_FILE", str(tmp_path / "missing"))
    with pytest.raises(OctaConfigError, match="No such file"):
        bench.client.jobs.run(spec("true"), bench.key)
    assert bench.sessions() == []


def test_a_job_runs_where_a_loop_runs_as_in_a_notebook(bench: Bench) -> None:
    async def cell() -> int | None:
        return bench.client.jobs.run(spec("exit 6"), bench.key, private_key=bench.ssh_key, poll_s=0.1).exit_code

    assert asyncio.run(cell()) == 6


def test_sshd_and_key_that_come_late_and_a_refusal_in_between_are_asked_again(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("x")
    job = spec("while [ ! -e go ]; do sleep 0.05; done; exit 5", inputs={tmp_path / "in": "in"})
    with conditions(bench.emulator, listens_after_s=1.0, knows_key_after_s=1.0):
        state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)
        while state.phase is JobPhase.READY:
            state = bench.client.jobs.begin(state, job, private_key=bench.ssh_key)
    assert state.phase is JobPhase.RUNNING, state.message
    let_all_go()
    with conditions(bench.emulator, refusals=2):
        for _ in range(3):
            state = bench.client.jobs.poll(state, private_key=bench.ssh_key)
            assert state.phase is JobPhase.RUNNING, state.message
    (bench.folder(state.rental.uuid) / WORK_FOLDER / "go").touch()
    assert bench.polled(state, private_key=bench.ssh_key).exit_code == 5


def test_looks_at_a_job_share_one_connection(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    job = spec("sleep 60")
    state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)
    with cuttable(port_of(bench, state.rental.uuid)) as proxy:
        through(monkeypatch, proxy)
        state = bench.client.jobs.begin(state, job, private_key=bench.ssh_key)
        for _ in range(5):
            state = bench.client.jobs.poll(state, private_key=bench.ssh_key)
        assert proxy.connections == 1


def test_an_output_folder_that_holds_only_what_was_sent_is_no_success(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "scene.blend").write_text("scene")
    result = bench.client.jobs.run(
        spec(
            "true",
            inputs={tmp_path / "scene.blend": "frames/scene.blend"},
            outputs={"frames": tmp_path / "frames"},
        ),
        bench.key,
        private_key=bench.ssh_key,
        poll_s=0.1,
    )
    assert result.outcome is JobOutcome.FAILED
    assert result.message == "the command succeeded but left nothing in frames but what was sent"
    assert not (tmp_path / "frames").exists()


@pytest.mark.parametrize("short", ["short", "long", "no wc there"])
def test_what_was_sent_is_told_in_one_round_trip_or_as_a_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, short: str
) -> None:
    if short == "long":
        monkeypatch.setattr(over_ssh, "SHORT_LIST_BYTES", 10)
    elif short == "no wc there":
        monkeypatch.setattr(over_ssh, "keep_list_command", lambda token, size: "octa-no-such-program")
    (tmp_path / "scene ü.blend").write_text("scene")
    sent: list[str] = []
    really = RemoteMachine.send

    def send(machine: RemoteMachine, tree: LocalTree, remote: str, **options: Any) -> None:
        sent.append(remote)
        really(machine, tree, remote, **options)

    monkeypatch.setattr(RemoteMachine, "send", send)
    job = spec("sleep 60", inputs={tmp_path / "scene ü.blend": "scene ü.blend"})
    state = begun(bench, job)
    told = bench.folder(state.rental.uuid) / SENT_FILE
    assert json.loads(told.read_text())["scene ü.blend"][0] == 5
    assert len(sent) == (1 if short == "short" else 2)
    assert [path.name for path in told.parent.glob("sent*")] == ["sent"]


@pytest.mark.parametrize("inputs", [{}, {"scene.blend": "work.blend"}])
@pytest.mark.parametrize("list_is", ["short", "long", "gone"])
def test_what_was_sent_is_read_in_one_round_trip_or_as_a_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, list_is: str, inputs: dict[str, str]
) -> None:
    (tmp_path / "scene.blend").write_text("scene")
    got: list[str] = []
    really, part = RemoteMachine.get, RemoteMachine.read_part

    def get(machine: RemoteMachine, remote: str, *arguments: Any, **options: Any) -> tuple[Path, ...]:
        got.append(remote)
        return really(machine, remote, *arguments, **options)

    def read_part(machine: RemoteMachine, remote: str, offset: int, **options: Any) -> tuple[int, bytes]:
        size, data = part(machine, remote, offset, **options)
        return (size, data[:1]) if remote == SENT_FILE and list_is == "long" else (size, data)

    monkeypatch.setattr(RemoteMachine, "get", get)
    monkeypatch.setattr(RemoteMachine, "read_part", read_part)
    files = {tmp_path / local: remote for local, remote in inputs.items()}
    forget = "rm -f ../sent; " if list_is == "gone" else ""
    job = spec(f"{forget}echo made > out.txt", inputs=files, outputs={".": f"{tmp_path}/out"})
    result = bench.client.jobs.run(job, bench.key, private_key=bench.ssh_key, poll_s=0.1)
    assert result.outcome is JobOutcome.SUCCEEDED, result.message
    kept = {"work.blend"} if inputs and list_is == "gone" else set()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"out.txt"} | kept
    assert (SENT_FILE in got) == (list_is != "short")


def test_a_list_that_has_not_come_whole_is_none(tmp_path: Path) -> None:
    for said, kept in (('{"a": [1', False), ('{"a": [1, 2]}', True)):
        ended = subprocess.run(
            ["/bin/sh", "-c", keep_list_command("t", 13)], input=said, text=True, cwd=tmp_path, check=False, timeout=800
        )
        assert (ended.returncode == 0, (tmp_path / staged_list("t")).exists()) == (kept, kept)


def test_outputs_are_what_the_job_made_or_changed_and_not_what_was_sent(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "old.txt").write_text("of an earlier render")
    for name in ("scene", "log"):
        (tmp_path / name).write_text(name)
    result = bench.client.jobs.run(
        spec(
            "echo more >> frames/log; echo new > frames/1.txt",
            inputs={tmp_path / "scene": "frames/", tmp_path / "log": "frames/log"},
            outputs={"frames": tmp_path / "frames"},
        ),
        bench.key,
        private_key=bench.ssh_key,
        poll_s=0.1,
    )
    assert result.outcome is JobOutcome.SUCCEEDED, result.message
    assert [Path(path).name for path in result.outputs] == ["1.txt", "log"]
    assert (tmp_path / "frames" / "log").read_text() == "logmore\n"
    assert not (tmp_path / "frames" / "scene").exists()


@pytest.mark.parametrize("instead", [": > frames/2.png", "head -c 30 2.whole > frames/2.png"])
def test_a_cut_or_empty_frame_is_no_success_and_the_rest_comes_home(bench: Bench, tmp_path: Path, instead: str) -> None:
    whole = b"\x89PNG\r\n\x1a\n" + bytes(100)
    (tmp_path / "2.whole").write_bytes(whole)
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "2.png").write_bytes(b"whole, of the try before")
    result = bench.client.jobs.run(
        spec(
            f"mkdir frames; echo 1 > frames/1.txt; {instead}; echo 3 > frames/3.txt",
            inputs={tmp_path / "2.whole": "."},
            outputs={"frames": tmp_path / "frames"},
        ),
        bench.key,
        private_key=bench.ssh_key,
        poll_s=0.1,
    )
    assert result.outcome is JobOutcome.FAILED
    assert "frames came home without 2.png (which is " in result.message
    assert [Path(path).name for path in result.outputs] == ["1.txt", "3.txt"]
    assert (tmp_path / "frames" / "2.png").read_bytes() == b"whole, of the try before"


def test_results_that_cannot_be_written_where_they_should_go_are_saved_elsewhere(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    job = spec("mkdir frames; echo 1 > frames/1.txt", outputs={"frames": tmp_path / "frames"})
    state = bench.polled(bench.running_state(job), private_key=bench.ssh_key)
    (tmp_path / "frames").write_text("in the way since a moment ago")
    state = bench.client.jobs.collect(state, private_key=bench.ssh_key)
    result = bench.client.jobs.finish(state)
    assert result.outcome is JobOutcome.FAILED
    (saved,) = result.outputs
    assert Path(saved).read_text() == "1\n"
    assert str(Path(saved).parent) in result.message
    assert (tmp_path / "frames").read_text() == "in the way since a moment ago"


def test_one_output_that_is_missing_does_not_cost_the_others(bench: Bench, tmp_path: Path) -> None:
    result = bench.client.jobs.run(
        spec("echo a > a", outputs={"missing": tmp_path / "missing", "a": tmp_path / "a"}),
        bench.key,
        private_key=bench.ssh_key,
        poll_s=0.1,
    )
    assert (result.outcome, result.outputs) == (JobOutcome.FAILED, (str(tmp_path / "a"),))
    assert "the command succeeded but left no missing" in result.message


def test_a_job_is_cancelled_while_its_files_move(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("x")
    state = bench.polled(
        bench.running_state(spec("echo > a", outputs={"a": tmp_path / "a"})), private_key=bench.ssh_key
    )
    cancelled: list[bool] = []
    with conditions(bench.emulator, reads="stuck"), pytest.raises(OctaCancelledError):
        bench.client.jobs.collect(
            state, private_key=bench.ssh_key, is_cancelled=lambda: cancelled.append(True) or len(cancelled) > 3
        )


@pytest.mark.parametrize("cap", [{"max_cost_usd": 5.0}, {"max_duration_s": 86_400.0}], ids=["usd", "s"])
def test_a_cap_holds_while_outputs_are_fetched(
    emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cap: dict[str, float]
) -> None:
    monkeypatch.setattr("octa_provider.remote.transfer.STALL_S", 0.3)
    bench = Bench(emulator, "ssh/cap-while-fetching", LeapingClock())
    job = spec("echo > a", outputs={"a": tmp_path / "a"}, **cap)
    state = bench.polled(bench.running_state(job), private_key=bench.ssh_key)
    with conditions(emulator, reads="stuck"):
        emulator.advance_clock(48 * 3600)
        state = bench.client.jobs.collect(state, private_key=bench.ssh_key)
    assert state.outcome is JobOutcome.OVER_BUDGET
    assert bench.running() == 0
    bench.stop()


@pytest.mark.parametrize("cap", [{"max_cost_usd": 5.0}, {"max_duration_s": 86_400.0}], ids=["usd", "s"])
def test_a_cap_holds_while_inputs_are_sent(
    emulator: EmulatorHandle, bench: Bench, tmp_path: Path, cap: dict[str, float]
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    job = spec("echo > ran", inputs={tmp_path / name: name for name in ("a", "b")}, **cap)
    state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)

    def takes_two_days(progress: object) -> None:
        if not bench.clock.shift_s:
            emulator.advance_clock(48 * 3600)
            bench.clock.shift_s = 48 * 3600.0

    state = bench.client.jobs.begin(state, job, private_key=bench.ssh_key, on_transfer=takes_two_days)
    assert (bench.clock.shift_s > 0, state.phase) == (True, JobPhase.READY)
    assert bench.client.jobs.poll(state).outcome is JobOutcome.OVER_BUDGET
    assert bench.running() == 0


def test_a_cap_that_is_reached_before_the_command_is_begun_begins_none(bench: Bench, emulator: EmulatorHandle) -> None:
    job = spec("echo > ran", max_duration_s=3600.0)
    state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)
    emulator.advance_clock(3601)
    assert bench.client.jobs.begin(state, job, private_key=bench.ssh_key).outcome is JobOutcome.OVER_BUDGET
    assert bench.running() == 0


def test_a_changed_input_under_the_same_key_is_another_job(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("first")
    job = spec("sleep 60", inputs={tmp_path / "in": "in"})
    first = begun(bench, job)
    assert begun(bench, job).rental.uuid == first.rental.uuid
    (tmp_path / "in").write_text("other")
    second = bench.client.jobs.start(job, bench.key)
    assert second.rental.uuid != first.rental.uuid
    assert bench.running() == 1


def test_how_far_files_are_is_told(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(os.urandom(50_000))
    seen: list[str] = []
    result = bench.client.jobs.run(
        spec("cp in out", inputs={tmp_path / "in": "in"}, outputs={"out": tmp_path / "out"}),
        bench.key,
        private_key=bench.ssh_key,
        poll_s=0.1,
        on_transfer=lambda progress: seen.append(str(progress)),
    )
    assert result.outcome is JobOutcome.SUCCEEDED, result.message
    assert f"sending {tmp_path}/in: 50.0 kB of 50.0 kB" in seen
    assert f"fetching {WORK_FOLDER}/out: 50.0 kB of 50.0 kB" in seen


@pytest.mark.parametrize("command", ["sleep 1; echo done", "sleep 1; exit 7", "sleep 1; kill -9 $PPID"])
def test_the_machine_itself_tells_that_a_command_has_ended(tmp_path: Path, command: str) -> None:
    # The next look would come in an hour, and bill until then. A busy machine may lose the line that it listens over,
    # on which nothing is told any more: then it is tried anew.
    with (
        start_emulator(start_delay_s=0, quirks=False) as at_once,
        OctaClient(at_once.api_key, base_url=at_once.base_url) as client,
    ):
        for number in range(3):
            until = time.monotonic() + 250
            try:
                result = client.jobs.run(
                    spec(command),
                    f"told/by/the/machine/{number}",
                    private_key=at_once.ssh_private_key,
                    poll_s=3600,
                    log_path=tmp_path / "log",
                    is_cancelled=lambda until=until: time.monotonic() > until,  # type: ignore[misc]
                )
                break
            except OctaCancelledError:
                if number == 2:
                    raise
    expected = {"done": 0, "7": 7}.get(command.split()[-1])
    assert result.exit_code == expected
    assert result.outcome is (
        JobOutcome.LOST if expected is None else JobOutcome.FAILED if expected else JobOutcome.SUCCEEDED
    )


@pytest.mark.parametrize("says", ["echo ended", "yes ended", "echo ended; exit 1"])
def test_a_machine_that_lies_about_the_end_ends_nothing_early(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str
) -> None:
    monkeypatch.setattr("octa_provider.job.over_ssh.await_end_command", lambda: says)
    result = bench.client.jobs.run(
        spec("sleep 1; echo whole > out", outputs={"out": tmp_path / "out"}),
        bench.key,
        private_key=bench.ssh_key,
        poll_s=0.1,
    )
    assert result.outcome is JobOutcome.SUCCEEDED, result.message
    assert (tmp_path / "out").read_text() == "whole\n"
