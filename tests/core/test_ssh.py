"""A rented machine over SSH: commands, files, a pinned host key. The emulator's sessions are the machines."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("asyncssh", reason="the extra ssh is not installed")

from odd_server import refused_port

from octa_provider import OctaClient, OctaConfigError, OctaSshError
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.models import Session, SessionPhase
from octa_provider.ssh import KEPT_OUTPUT_CHARS, CommandResult, RemoteMachine, SshTarget


@dataclass(frozen=True)
class Rented:
    """A running session, its folder on this machine, and how to reach it."""

    session: Session
    folder: Path
    target: SshTarget


@contextmanager
def signal_server(*, hang_up: bool = False) -> Iterator[tuple[int, list[str]]]:
    """An SSH server whose commands never end; it notes the signals that it is asked to send them, as OpenSSH would."""
    import asyncssh

    signals: list[str] = []

    class Endless(asyncssh.SSHServerSession[str]):
        def __init__(self, connection: Any) -> None:
            self.connection = connection

        def exec_requested(self, command: str) -> bool:
            if hang_up:
                loop.call_later(0.05, self.connection.abort)
            return True

        def signal_received(self, signal: str) -> None:
            signals.append(signal)

    class Open(asyncssh.SSHServer):
        def connection_made(self, connection: Any) -> None:
            self.connection = connection

        def begin_auth(self, username: str) -> bool:
            return False

        def session_requested(self) -> Endless:
            return Endless(self.connection)

    loop = asyncio.new_event_loop()
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = loop.run_until_complete(asyncssh.create_server(Open, "127.0.0.1", 0, server_host_keys=[key]))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield server.get_port(), signals
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    # Only now: a server of asyncio's is not to be closed beside the loop that it runs on.
    server.close()
    loop.run_until_complete(server.wait_closed())
    loop.close()


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    with start_emulator(in_process=True, start_delay_s=0.02, machines=20) as running:
        yield running


@pytest.fixture(scope="module")
def rent(emulator: EmulatorHandle) -> Iterator[Callable[..., Rented]]:
    with OctaClient(emulator.api_key, base_url=emulator.base_url) as octa:
        machines = iter(octa.services.render.available())

        def start(**envs: str) -> Rented:
            uuid = octa.services.render.start(node_id=next(machines).node_id, envs=envs).uuid
            service = octa.services.session(uuid)
            while (session := service.info()).phase is not SessionPhase.READY:
                time.sleep(0.01)
            target = SshTarget.of(session, private_key=emulator.ssh_private_key)
            return Rented(session, emulator.state / "sessions" / uuid, target)

        yield start


@pytest.fixture(scope="module")
def rented(rent: Callable[..., Rented]) -> Rented:
    return rent(SCENE="cube")


@pytest.fixture
def machine(rented: Rented) -> Iterator[RemoteMachine]:
    with RemoteMachine(rented.target) as remote:
        yield remote


def test_a_command_tells_its_exit_code_and_its_output(machine: RemoteMachine) -> None:
    assert machine.run("echo $SCENE; echo bad >&2; exit 3") == CommandResult(3, "cube\nbad\n")


def test_lines_are_followed_as_they_come(machine: RemoteMachine) -> None:
    lines: list[str] = []
    result = machine.run("echo one; echo two; printf three", on_line=lines.append)
    assert lines == ["one", "two", "three"]
    assert result.exit_code == 0


def test_the_end_of_the_output_is_no_line(machine: RemoteMachine) -> None:
    lines: list[str] = []
    machine.run("echo one; echo; echo two", on_line=lines.append)
    machine.run("true", on_line=lines.append)
    assert lines == ["one", "", "two"]


def test_environment_values_and_input_arrive_as_they_are(machine: RemoteMachine) -> None:
    odd = "a b'c\"d$e;f\n`g`"
    result = machine.run('printf "%s|" "$ODD"; cat', envs={"ODD": odd}, stdin="from here")
    assert result.output == f"{odd}|from here"


def test_a_command_that_a_signal_ended_gets_the_shells_number(machine: RemoteMachine) -> None:
    assert machine.run("kill -TERM $$").exit_code == 128 + 15


def test_only_the_end_of_much_output_is_kept(machine: RemoteMachine) -> None:
    result = machine.run("seq 1 100000")
    assert len(result.output) == KEPT_OUTPUT_CHARS
    assert result.output.endswith("99999\n100000\n")


def test_output_without_line_ends_is_bounded_too(machine: RemoteMachine) -> None:
    result = machine.run("head -c 3000000 /dev/zero | tr '\\0' x")
    assert result.output == "x" * KEPT_OUTPUT_CHARS


def test_bytes_that_are_no_text_do_not_end_the_command(machine: RemoteMachine) -> None:
    assert machine.run("printf 'a\\377b'").output == "a\ufffdb"


def test_a_command_that_takes_too_long_is_given_up(machine: RemoteMachine) -> None:
    started = time.monotonic()
    with pytest.raises(OctaSshError, match="too long") as caught:
        machine.run("sleep 60", timeout_s=0.2)
    assert caught.value.lost
    assert time.monotonic() - started < 10
    assert machine.run("echo again").output == "again\n"


def test_a_connection_lost_while_the_command_runs_leaves_its_outcome_unknown() -> None:
    with (
        signal_server(hang_up=True) as (port, _),
        RemoteMachine(SshTarget("127.0.0.1", port)) as remote,
        pytest.raises(OctaSshError) as caught,
    ):
        remote.run("sleep 60")
    assert caught.value.lost


def test_a_command_that_takes_too_long_is_killed_over_there(tmp_path: Path) -> None:
    with signal_server() as (port, signals):
        with RemoteMachine(SshTarget("127.0.0.1", port)) as remote, pytest.raises(OctaSshError, match="too long"):
            remote.run("sleep 60", timeout_s=0.2)
        for _ in range(500):
            if signals:
                break
            time.sleep(0.01)
    assert signals == ["KILL"]


def test_an_error_of_the_callers_own_comes_through(machine: RemoteMachine) -> None:
    def broken(line: str) -> None:
        raise LookupError(line)

    with pytest.raises(LookupError, match="one"):
        machine.run("echo one", on_line=broken)
    assert machine.run("true").exit_code == 0


def test_a_file_goes_there_and_comes_back_whole(machine: RemoteMachine, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "scene.blend").write_bytes(data)
    assert machine.put(tmp_path / "scene.blend", "in/deep/scene.blend") == len(data)
    back = machine.get("in/deep/scene.blend", tmp_path / "new" / "back.blend")
    assert back == (tmp_path / "new" / "back.blend",)
    assert back[0].read_bytes() == data


def test_a_folder_goes_there_and_comes_back_with_all_in_it(machine: RemoteMachine, tmp_path: Path) -> None:
    source = tmp_path / "source"
    files = {"a.txt": b"a", "sub/b with space.txt": b"b" * 5000, "sub/deep/empty": b"", "quote'$x.txt": b"q"}
    for name, data in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    assert machine.put(source, "folder") == sum(map(len, files.values()))
    machine.get("folder", tmp_path / "back")
    found = {
        str(p.relative_to(tmp_path / "back")): p.read_bytes() for p in (tmp_path / "back").rglob("*") if p.is_file()
    }
    assert found == files


def test_what_does_not_exist_here_is_not_sent(machine: RemoteMachine, tmp_path: Path) -> None:
    with pytest.raises(OctaConfigError, match="does not exist"):
        machine.put(tmp_path / "missing", "x")


def test_what_does_not_exist_there_is_told_once(machine: RemoteMachine, tmp_path: Path) -> None:
    with pytest.raises(OctaSshError, match="fetch missing") as caught:
        machine.get("missing", tmp_path / "x")
    assert not caught.value.lost
    assert list(tmp_path.iterdir()) == []


def test_links_and_special_files_of_a_folder_are_left_there(
    machine: RemoteMachine, rented: Rented, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = rented.folder / "odd"
    folder.mkdir()
    (folder / "frame.png").write_bytes(b"png")
    (folder / "link.png").symlink_to("frame.png")
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "pipe")
    assert machine.get("odd", tmp_path / "back") == (tmp_path / "back" / "frame.png",)
    assert caplog.text.count("not fetched") == 3


def test_a_link_that_is_asked_for_by_name_never_becomes_a_link_here(
    machine: RemoteMachine, rented: Rented, tmp_path: Path
) -> None:
    (rented.folder / "frame-7.png").write_bytes(b"png")
    (rented.folder / "latest.png").symlink_to("frame-7.png")
    (path,) = machine.get("latest.png", tmp_path / "latest.png")
    assert not path.is_symlink()
    assert path.read_bytes() == b"png"


def test_what_arrives_with_another_size_is_told_on_either_way(
    machine: RemoteMachine, rented: Rented, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncssh

    (tmp_path / "a").write_bytes(b"abc")
    (rented.folder / "a").write_bytes(b"abc")

    async def lose(self: Any, source: str, target: str, **options: Any) -> None:
        await asyncio.to_thread(
            (Path(target) if Path(target).is_absolute() else rented.folder / target).write_bytes, b"a"
        )

    monkeypatch.setattr(asyncssh.SFTPClient, "put", lose)
    monkeypatch.setattr(asyncssh.SFTPClient, "get", lose)
    with pytest.raises(OctaSshError, match="arrived with 1 of 3 bytes"):
        machine.get("a", tmp_path / "back")
    with pytest.raises(OctaSshError, match="arrived with 1 of 3 bytes"):
        machine.put(tmp_path / "a", "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["..\\..\\evil", "a/b", "a\0b"])
def test_a_name_that_would_leave_the_target_is_refused(
    name: str, machine: RemoteMachine, rented: Rented, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncssh

    (rented.folder / "hostile").mkdir(exist_ok=True)

    async def scan(self: Any, path: str) -> Any:
        yield asyncssh.SFTPName(name, attrs=asyncssh.SFTPAttrs(permissions=0o100644, size=1))

    monkeypatch.setattr(asyncssh.SFTPClient, "scandir", scan)
    with pytest.raises(OctaSshError, match="would leave the target"):
        machine.get("hostile", tmp_path / "back")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lie", ["echo 0000 {paths}", "echo; : {paths}"])
def test_a_file_that_changed_on_its_way_is_not_kept(
    lie: str, machine: RemoteMachine, rented: Rented, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("octa_provider.ssh.HASHES", lie)
    (rented.folder / "a").write_bytes(b"abc")
    with pytest.raises(OctaSshError, match="changed on its way"):
        machine.get("a", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_machine_that_cannot_tell_sums_leaves_the_check_of_the_size(
    machine: RemoteMachine,
    rented: Rented,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("octa_provider.ssh.HASHES", "no-such-program {paths}")
    (rented.folder / "a").write_bytes(b"abc")
    machine.get("a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert "size alone" in caplog.text


def test_the_host_key_is_pinned_when_first_seen_and_told(rented: Rented) -> None:
    with RemoteMachine(rented.target) as remote:
        assert remote.host_key is None
        remote.run("true")
        key = remote.host_key
    assert key is not None
    again = SshTarget(
        rented.target.host, rented.target.port, private_key=rented.target.private_key, host_key=f"{key} a comment"
    )
    with RemoteMachine(again) as remote:
        assert remote.run("true").exit_code == 0


def test_another_host_key_ends_the_connection(rented: Rented) -> None:
    import asyncssh

    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    target = SshTarget(rented.target.host, rented.target.port, private_key=rented.target.private_key, host_key=other)
    with RemoteMachine(target) as remote, pytest.raises(OctaSshError, match="another host key") as caught:
        remote.run("echo must not run > ran-anyway")
    assert not caught.value.lost
    assert not (rented.folder / "ran-anyway").exists()


def test_a_key_that_the_account_does_not_know_is_refused(rented: Rented) -> None:
    import asyncssh

    text = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    target = SshTarget(rented.target.host, rented.target.port, private_key=text)
    with RemoteMachine(target) as remote, pytest.raises(OctaSshError, match="refused the key"):
        remote.run("true")


def test_the_key_may_be_given_as_text(rented: Rented, emulator: EmulatorHandle) -> None:
    text = emulator.ssh_private_key.read_text()
    with RemoteMachine(SshTarget(rented.target.host, rented.target.port, private_key=text)) as remote:
        assert remote.run("true").exit_code == 0


def test_an_encrypted_key_needs_its_passphrase(rented: Rented, emulator: EmulatorHandle) -> None:
    import asyncssh

    key = asyncssh.read_private_key(str(emulator.ssh_private_key))
    text = key.export_private_key("pkcs8-pem", passphrase="open sesame").decode()
    where = (rented.target.host, rented.target.port)
    with RemoteMachine(SshTarget(*where, private_key=text, passphrase="open sesame")) as remote:
        assert remote.run("true").exit_code == 0
    with pytest.raises(OctaConfigError):
        RemoteMachine(SshTarget(*where, private_key=text))


def test_a_key_that_cannot_be_read_is_told_by_its_path_and_never_by_its_text(tmp_path: Path) -> None:
    import traceback

    missing = str(tmp_path / "id")
    with pytest.raises(OctaConfigError, match="No such file") as caught:
        RemoteMachine(SshTarget("h", 22, private_key=missing))
    assert missing in str(caught.value)
    body = "c2VjcmV0IHNlY3JldCBzZWNyZXQ" * 20
    for text in (
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----",
        f"-----BEGIN OPENSSH PRIVATE KEY-----{body}-----END OPENSSH PRIVATE KEY-----",
        body,
        f"{body}\n{body}",
    ):
        target = SshTarget("h", 22, private_key=text, passphrase="open sesame")
        assert body not in repr(target)
        assert "sesame" not in repr(target)
        with pytest.raises(OctaConfigError) as caught:
            RemoteMachine(target)
        assert body not in "".join(traceback.format_exception(caught.value))


def test_nobody_there_is_a_lost_connection() -> None:
    target = SshTarget("127.0.0.1", refused_port())
    with RemoteMachine(target) as remote, pytest.raises(OctaSshError, match="run a command on root@127") as caught:
        remote.run("true")
    assert caught.value.lost


def test_a_connection_that_died_between_two_calls_is_made_again(rented: Rented) -> None:
    with RemoteMachine(rented.target) as remote:
        remote.run("true")
        connection: Any = remote._connection
        connection.get_extra_info("socket").shutdown(2)
        assert remote.run("echo back").output == "back\n"
        assert remote._connection is not connection


def test_a_transfer_is_tried_again_after_a_lost_connection_but_not_for_ever(
    machine: RemoteMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    real, failures = machine._connected, 2

    async def flaky() -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise ConnectionResetError("reset")
        return await real()

    monkeypatch.setattr(machine, "_connected", flaky)
    assert machine.put(tmp_path / "a", "a") == 3
    assert caplog.text.count("trying again") == 2
    failures = 99
    with pytest.raises(OctaSshError, match="reset"):
        machine.get("a", tmp_path / "b")
    assert failures == 96


def test_a_closed_machine_can_be_closed_again_and_used_again(rented: Rented) -> None:
    remote = RemoteMachine(rented.target)
    remote.close()
    remote.run("true")
    remote.close()
    remote.close()
    assert remote.run("echo again").output == "again\n"
    remote.close()


def test_the_proxys_address_is_taken_when_there_is_no_direct_one() -> None:
    session = Session.from_payload({"uuid": "u", "ssh_proxy": {"host": "proxy", "port": 2222}})
    assert SshTarget.of(session) == SshTarget("proxy", 2222)
    with pytest.raises(OctaSshError, match="session u tells no SSH address"):
        SshTarget.of(Session.from_payload({"uuid": "u"}))


def test_without_asyncssh_the_error_says_what_to_install() -> None:
    script = """
import sys
sys.modules["asyncssh"] = None
from octa_provider.ssh import RemoteMachine, SshTarget
from octa_provider import OctaConfigError
try:
    RemoteMachine(SshTarget("h", 22))
except OctaConfigError as error:
    assert "octa-provider[ssh]" in str(error), error
else:
    raise SystemExit("no error")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
