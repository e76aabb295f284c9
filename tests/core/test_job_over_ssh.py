"""Jobs over SSH, on an emulated machine with real SSH: files up and down, connections that break, hosts that change."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from job_bench import Bench, CuttableProxy, LeapingClock, bench, cuttable, emulator, eventually, session_pids

from octa_provider import JobOutcome, JobSpec
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.job_script import WORK_FOLDER
from octa_provider.job_state import JobPhase
from octa_provider.ssh import RemoteMachine, SshTarget

__all__ = ["bench", "emulator"]


def spec(command: str, **changes: Any) -> JobSpec:
    return JobSpec(**({"image": "ubuntu:24.04", "command": command, "timeout_s": 30, "via": "ssh"} | changes))


def through(monkeypatch: pytest.MonkeyPatch, proxy: CuttableProxy) -> None:
    """Every connection to the machine goes through the proxy."""
    real = SshTarget.of.__func__  # type: ignore[attr-defined]

    def of(cls: type[SshTarget], session: Any, **options: Any) -> SshTarget:
        return replace(real(cls, session, **options), port=proxy.port)

    monkeypatch.setattr(SshTarget, "of", classmethod(of))


def port_of(bench: Bench, uuid: str) -> int:
    session = eventually(lambda: (s := bench.client.services.session(uuid).info()).ssh_direct and s, "its address")
    assert session.ssh_direct is not None
    return int(session.ssh_direct.port)


def test_files_and_folders_go_up_and_come_down(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "scene.blend").write_bytes(os.urandom(300_000))
    (tmp_path / "textures" / "deep").mkdir(parents=True)
    (tmp_path / "textures" / "wood.png").write_text("wood")
    (tmp_path / "textures" / "deep" / "a b.png").write_text("a b")
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
    files = {got / "1.bin", got / "sub/textures/wood.png", got / "sub/textures/deep/a b.png", tmp_path / "one.bin"}
    assert set(map(Path, result.outputs)) == files
    assert (got / "1.bin").read_bytes() == (tmp_path / "scene.blend").read_bytes()
    assert (got / "sub/textures/deep/a b.png").read_text() == "a b"
    assert lines == (tmp_path / "job.log").read_text().splitlines() == ["it's me", "end"]
    assert result.cost_wei == bench.sessions()[0]["charge_wei"]


def test_the_key_file_may_come_from_the_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTA_SSH_KEY_FILE", str(bench.ssh_key))
    assert bench.client.jobs.run(spec("exit 3"), bench.key, poll_s=0.1).exit_code == 3


def test_the_key_may_be_the_text_of_its_file(bench: Bench) -> None:
    text = bench.ssh_key.read_text()
    assert bench.client.jobs.run(spec("exit 4"), bench.key, private_key=text, poll_s=0.1).exit_code == 4


def test_a_key_that_the_machine_refuses_is_said_and_the_session_stopped(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(other))
    result = bench.client.jobs.run(spec("true"), bench.key, private_key=other, poll_s=0.1)
    assert result.outcome is JobOutcome.FAILED
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
    uuid = state.rental["uuid"]
    with cuttable(port_of(bench, uuid)) as proxy:
        through(monkeypatch, proxy)
        state = bench.client.jobs.begin(state, job, private_key=bench.ssh_key)
        proxy.cut()
        # Nobody answers for a while: that is no outcome.
        proxy._cut_after, proxy.cuts_left = 100, 2
        for _ in range(2):
            assert bench.client.jobs.poll(state, private_key=bench.ssh_key) == state
        (bench.folder(uuid) / "octa-job" / "work" / "go").touch()
        lines: list[str] = []
        state = bench.polled(state, private_key=bench.ssh_key, on_line=lines.append)
        assert proxy.cuts_left == 0
    assert (state.outcome, state.exit_code, lines) == (JobOutcome.FAILED, 5, ["start"])


@pytest.mark.parametrize("cut_after", [1, 3000, 4000, 5000])
def test_a_connection_that_breaks_while_the_job_is_begun_begins_it_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cut_after: int
) -> None:
    (tmp_path / "in").write_bytes(os.urandom(8000))
    job = spec("echo start >> starts; cat starts; cksum < in", inputs={tmp_path / "in": "in"})
    state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)
    with cuttable(port_of(bench, state.rental["uuid"]), cut_after=cut_after, cuts=2) as proxy:
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
    with cuttable(port_of(bench, state.rental["uuid"]), cut_after=2500, cuts=4) as proxy:
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


@pytest.mark.parametrize("octal", ["134", "377"], ids=["backslash", "no UTF-8"])
def test_a_name_that_cannot_be_kept_is_refused_with_a_sentence(bench: Bench, tmp_path: Path, octal: str) -> None:
    result = bench.client.jobs.run(
        spec(f"mkdir out; touch \"out/$(printf 'a\\{octal}b')\"", outputs={"out": tmp_path / "out"}),
        bench.key,
        private_key=bench.ssh_key,
        poll_s=0.1,
    )
    assert result.outcome is JobOutcome.FAILED
    assert "out" in result.message
    assert not list(tmp_path.glob("out/*"))
    assert bench.running() == 0


def test_a_file_that_changed_on_its_way_is_fetched_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = bench.polled(
        bench.running_state(spec("echo right > a", outputs={"a": tmp_path / "a"})), private_key=bench.ssh_key
    )
    real = asyncssh.SFTPClient.get
    corrupted: list[str] = []

    async def get(self: asyncssh.SFTPClient, remote: str, local: str, **options: Any) -> None:
        await real(self, remote, local, **options)
        if not corrupted:
            corrupted.append(remote)
            Path(local).write_text("wrong\n")

    monkeypatch.setattr(asyncssh.SFTPClient, "get", get)
    state = bench.client.jobs.collect(state, private_key=bench.ssh_key)
    assert (state.outcome, corrupted) == (JobOutcome.SUCCEEDED, [f"{WORK_FOLDER}/a"])
    assert (tmp_path / "a").read_text() == "right\n"


@pytest.mark.parametrize("wrong", ["wrong\n", "short"])
def test_a_file_that_is_corrupted_every_time_is_no_success(
    emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str
) -> None:
    bench = Bench(emulator, f"ssh/corrupted-{len(wrong)}", LeapingClock())
    monkeypatch.setattr("octa_provider.job.COLLECT_S", 6.0)
    state = bench.polled(
        bench.running_state(spec("echo right > a", outputs={"a": tmp_path / "a"})), private_key=bench.ssh_key
    )

    async def get(self: asyncssh.SFTPClient, remote: str, local: str, **options: Any) -> None:
        Path(local).write_text(wrong)

    monkeypatch.setattr(asyncssh.SFTPClient, "get", get)
    state = bench.client.jobs.collect(state, private_key=bench.ssh_key)
    assert state.outcome is JobOutcome.FAILED
    assert ("changed on its way" if wrong == "wrong\n" else "of 6 bytes") in state.message
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


def test_a_log_that_cannot_be_written_costs_the_log_alone(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for via in ("ssh", "container"):
        result = bench.client.jobs.run(
            spec("true", via=via), bench.key, private_key=bench.ssh_key, log_path=tmp_path / "file" / "log", poll_s=0.1
        )
        assert (result.outcome, result.logs_path) == (JobOutcome.SUCCEEDED, None)


def test_a_command_that_was_killed_on_the_machine_is_no_success(bench: Bench) -> None:
    state = bench.running_state(spec("sleep 60"))
    pid = int((bench.folder(state.rental["uuid"]) / "octa-job" / "pid").read_text())
    assert pid in session_pids(state.rental["uuid"])
    os.kill(pid, 9)
    state = bench.polled(state, private_key=bench.ssh_key)
    assert (state.outcome, state.exit_code) == (JobOutcome.LOST, None)
    assert state.message == "the command was killed, so that it left no exit code: outcome unknown"


def test_a_machine_that_forgot_the_command_is_no_success(bench: Bench) -> None:
    state = bench.running_state(spec("sleep 60"))
    (bench.folder(state.rental["uuid"]) / "octa-job").rename(bench.folder(state.rental["uuid"]) / "gone")
    state = bench.polled(state, private_key=bench.ssh_key)
    assert state.outcome is JobOutcome.LOST
    assert state.message == "the machine has forgotten the command: outcome unknown"


def test_a_machine_that_cannot_begin_the_command_says_why(bench: Bench) -> None:
    job = spec("true")
    state = bench.polled(bench.client.jobs.start(job, bench.key), lambda s: s.phase is JobPhase.READY)
    folder = bench.folder(state.rental["uuid"]) / "octa-job"
    eventually(folder.exists, "the log keeper's folder")
    folder.rename(folder.with_name("moved"))
    folder.write_text("in the way")
    state = bench.client.jobs.begin(state, job, private_key=bench.ssh_key)
    assert state.outcome is JobOutcome.FAILED
    assert "the machine could not begin the command (exit code 90)" in state.message


def test_the_machine_of_a_job_can_be_used_by_hand(bench: Bench) -> None:
    state = bench.running_state(spec("sleep 60"))
    session = bench.client.services.session(state.rental["uuid"]).info()
    with RemoteMachine(SshTarget.of(session, private_key=bench.ssh_key, host_key=state.host_key)) as machine:
        assert machine.run("cat octa-job/started && echo ok").output == "ok\n"
