"""A rented machine over SSH: commands, files, a pinned host key. The emulator's sessions are the machines."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from asyncssh.constants import FXP_CLOSE, FXP_OPEN
from asyncssh.sftp import SFTPClientHandler
from job_bench import cuttable, eventually, in_fork
from odd_server import refused_port
from picture_bytes import picture

from octa_provider import OctaCancelledError, OctaClient, OctaConfigError, OctaSshError
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.errors import OctaLocalFileError, OctaUnfetchedError
from octa_provider.files.limits import TransferLimits
from octa_provider.files.local_files import LocalTree
from octa_provider.models import Session, SessionPhase
from octa_provider.remote.command import KEPT_OUTPUT_CHARS, CommandResult, with_envs
from octa_provider.remote.machine import RemoteMachine
from octa_provider.remote.target import SshTarget
from octa_provider.remote.transfer import TransferProgress


@dataclass(frozen=True)
class Rented:
    """A running session, its folder on this machine, and how to reach it."""

    session: Session
    folder: Path
    target: SshTarget


@contextmanager
def conditions(emulator: EmulatorHandle, **values: Any) -> Iterator[None]:
    """Machines answer over SSH as told, for a while."""
    emulator.ssh(**values)
    try:
        yield
    finally:
        emulator.ssh()


def zlib_png() -> bytes:
    """A whole picture of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = chunk(b"IDAT", zlib.compress(b"\0\0\0\0"))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


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
    thread.join(600)
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


def test_environment_values_show_in_no_process_list_and_no_log(
    machine: RemoteMachine, caplog: pytest.LogCaptureFixture
) -> None:
    import asyncssh

    caplog.set_level(logging.DEBUG)
    before = logging.getLogger("asyncssh").level
    asyncssh.set_log_level(logging.DEBUG)
    try:
        told = machine.run(
            'for p in /proc/[0-9]*; do tr "\\0" " " < $p/cmdline; echo; done 2>/dev/null; test ${#TOKEN} -eq 16',
            envs={"TOKEN": "hunter2-5b1f0c9e", "octa_r": "mine"},
        )
    finally:
        asyncssh.set_log_level(before)
    assert told.exit_code == 0
    assert "/proc/[0-9]*" in told.output
    assert "Command: " in caplog.text
    for text in (told.output, caplog.text, repr(told)):
        assert "hunter2" not in text
        assert "TOKEN=" not in text


def test_environment_values_of_any_kind_leave_the_command_its_own_input(machine: RemoteMachine, rented: Rented) -> None:
    envs = {
        "EMPTY": "",
        "WIDE": "".join(map(chr, [*range(1, 0x180), 0x20AC, 0xFFFD, 0x1F600])),
        "LONG": "0123456789'" * 9_000,
        "LINES": "a\n# whole\n\n",
        "octa_r": "mine",
        "IFS": "x",
    }
    result = machine.run("cat /proc/self/environ > environ; cat", envs=envs, stdin="in\nput")
    assert result == CommandResult(0, "in\nput")
    environ = dict(pair.split(b"=", 1) for pair in (rented.folder / "environ").read_bytes().split(b"\0") if pair)
    assert {name: environ[name.encode()].decode() for name in envs} == envs


def test_a_command_whose_environment_did_not_come_whole_does_not_begin(tmp_path: Path) -> None:
    line, script = with_envs(f"touch {tmp_path}/began", {"TOKEN": "x" * 100})
    for cut in (0, 1, len(script) // 2, len(script) - 3):
        ended = subprocess.run(["sh", "-c", line], input=script[:cut], text=True, capture_output=True, check=False)
        assert (ended.returncode, ended.stderr) == (91, "its environment variables did not arrive\n")
    assert not (tmp_path / "began").exists()
    assert subprocess.run(["sh", "-c", line], input=script, text=True, check=False).returncode == 0
    assert (tmp_path / "began").exists()


def test_a_command_that_a_signal_ended_gets_the_shells_number(machine: RemoteMachine) -> None:
    assert machine.run("kill -TERM $$").exit_code == 128 + 15


def test_only_the_end_of_much_output_is_kept(machine: RemoteMachine) -> None:
    result = machine.run("seq 1 100000")
    assert len(result.output) == KEPT_OUTPUT_CHARS
    assert result.output.endswith("99999\n100000\n")


def test_output_without_line_ends_is_bounded_too(machine: RemoteMachine) -> None:
    result = machine.run("head -c 3000000 /dev/zero | tr '\\0' x")
    assert result.output == "x" * KEPT_OUTPUT_CHARS


def test_a_bar_of_a_command_is_one_line_however_long_it_is_drawn(machine: RemoteMachine) -> None:
    lines: list[str] = []
    bar = r"i=0; while [ $i -lt 20000 ]; do printf '\r%6d of 20000' $i; i=$((i+1)); done; printf '\r 20000 of 20000\n'"
    assert machine.run(f"echo begin; {bar}; echo end", on_line=lines.append).exit_code == 0
    assert [line.rpartition("\r")[2] for line in lines] == ["begin", " 20000 of 20000", "end"]


def test_bytes_that_are_no_text_do_not_end_the_command(machine: RemoteMachine) -> None:
    assert machine.run("printf 'a\\377b'").output == "a\ufffdb"


def test_a_command_that_takes_too_long_is_given_up(machine: RemoteMachine) -> None:
    with pytest.raises(OctaSshError, match="too long") as caught:
        machine.run("sleep 6000", timeout_s=0.2)
    assert caught.value.lost
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
        for _ in range(60_000):
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


def test_many_small_files_move_at_a_time_and_each_takes_few_round_trips(
    machine: RemoteMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a long line that is what a small file costs; `make bench-transfer` measures it."""
    asked, open_now, most_open = Counter[str](), [0], [0]
    real = SFTPClientHandler._make_request

    async def counted(self: SFTPClientHandler, kind: Any, *words: Any) -> Any:
        asked[str(kind)] += 1
        answer = await real(self, kind, *words)
        open_now[0] += {FXP_OPEN: 1, FXP_CLOSE: -1}.get(kind, 0)
        most_open[0] = max(most_open[0], open_now[0])
        return answer

    monkeypatch.setattr(SFTPClientHandler, "_make_request", counted)
    (tmp_path / "many").mkdir()
    for number in range(100):
        (tmp_path / "many" / str(number)).write_bytes(b"small")
    machine.put(tmp_path / "many", "many")
    assert most_open[0] >= 32
    assert asked.total() <= 5 * 100 + 10
    asked.clear()
    most_open[0] = 0
    machine.get("many", tmp_path / "back")
    assert most_open[0] >= 32
    assert asked.total() <= 5 * 100 + 10


def test_what_does_not_exist_here_is_not_sent(machine: RemoteMachine, tmp_path: Path) -> None:
    with pytest.raises(OctaConfigError, match="does not exist"):
        machine.put(tmp_path / "missing", "x")


def test_what_does_not_exist_there_is_told_once(machine: RemoteMachine, tmp_path: Path) -> None:
    with pytest.raises(OctaSshError, match="fetch missing") as caught:
        machine.get("missing", tmp_path / "x")
    assert not caught.value.lost
    assert list(tmp_path.iterdir()) == []


def test_links_of_a_folder_bring_contents_home_and_special_files_stay(
    machine: RemoteMachine, rented: Rented, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = rented.folder / "odd"
    (folder / "real").mkdir(parents=True)
    (folder / "frame.dat").write_bytes(b"png")
    (folder / "real" / "wood.txt").write_text("wood")
    (folder / "link.dat").symlink_to("frame.dat")
    (folder / "linked").symlink_to("real")
    (folder / "up").symlink_to("..")
    (folder / "out").symlink_to("/etc/hostname")
    (folder / "nowhere").symlink_to("missing")
    os.mkfifo(folder / "pipe")
    found = machine.get("odd", tmp_path / "back")
    assert [str(path.relative_to(tmp_path / "back")) for path in found] == [
        "frame.dat",
        "link.dat",
        "linked/wood.txt",
        "real/wood.txt",
    ]
    assert (tmp_path / "back" / "link.dat").read_bytes() == b"png"
    assert not any(path.is_symlink() for path in (tmp_path / "back").rglob("*"))
    assert caplog.text.count("not fetched") == 4


def test_a_pipe_that_is_asked_for_by_name_is_refused(machine: RemoteMachine, rented: Rented, tmp_path: Path) -> None:
    os.mkfifo(rented.folder / "a-pipe")
    with pytest.raises(OctaSshError, match="a-pipe is a pipe") as caught:
        machine.get("a-pipe", tmp_path / "x")
    assert not caught.value.lost


def test_a_link_that_is_asked_for_by_name_never_becomes_a_link_here(
    machine: RemoteMachine, rented: Rented, tmp_path: Path
) -> None:
    (rented.folder / "frame-7.dat").write_bytes(b"png")
    (rented.folder / "latest.dat").symlink_to("frame-7.dat")
    (path,) = machine.get("latest.dat", tmp_path / "latest.dat")
    assert not path.is_symlink()
    assert path.read_bytes() == b"png"


def test_what_arrives_short_is_not_kept(
    machine: RemoteMachine, rented: Rented, emulator: EmulatorHandle, tmp_path: Path
) -> None:
    (rented.folder / "a").write_bytes(b"abc")
    with conditions(emulator, reads="short"), pytest.raises(OctaSshError, match="arrived with 2 of 3 bytes") as caught:
        machine.get("a", tmp_path / "back")
    assert caught.value.lost
    assert list(tmp_path.iterdir()) == []


def test_what_becomes_shorter_while_it_is_sent_is_told(machine: RemoteMachine, rented: Rented, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    tree = LocalTree.at(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"ab")
    with pytest.raises(OctaLocalFileError, match="became shorter"):
        machine.send(tree, "short/a")
    assert list((rented.folder / "short").iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link"])
@pytest.mark.parametrize(
    "name", [b"..", b".", b"../evil", b"/etc/evil", b"a/b", b"a\0b", b"", b"n" * 300, b"a" * 70000], ids=repr
)
def test_a_name_that_no_file_can_have_costs_that_file_alone(
    kind: str, name: bytes, machine: RemoteMachine, rented: Rented, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncssh

    (rented.folder / "hostile").mkdir(exist_ok=True)
    for one in ("first", "zlast"):
        (rented.folder / "hostile" / one).write_text("x")

    async def scan(self: Any, path: str) -> Any:
        for one in (b"first", name, b"zlast"):
            mode = 0o120777 if kind == "link" and one == name else 0o100644
            yield asyncssh.SFTPName(one, attrs=asyncssh.SFTPAttrs(permissions=mode, size=1))

    monkeypatch.setattr(asyncssh.SFTPClient, "scandir", scan)
    target = tmp_path / "deep" / "back"
    with suppress(OctaUnfetchedError):
        machine.get("hostile", target)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "deep/back/first",
        "deep/back/zlast",
    ]


def test_odd_names_come_home_and_those_that_are_no_text_are_written_as_text(
    machine: RemoteMachine, rented: Rented, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = os.fsencode(rented.folder / "odd-names")
    os.mkdir(folder)  # noqa: PTH102 - bytes
    names = [
        b"good.txt",
        b"caf\xe9.txt",
        b"a\\b.txt",
        b"n" * 250,
        b"new\nline",
        b"-rf",
        b"'; touch pwned; '",
        "é█".encode(),
    ]
    for name in names:
        with open(folder + b"/" + name, "wb") as file:
            file.write(name)
    found = {path.name: path.read_bytes() for path in machine.get("odd-names", tmp_path / "back")}
    assert found.pop("caf%E9.txt") == b"caf\xe9.txt"
    assert found == {name.decode(): name for name in names if name != b"caf\xe9.txt"}
    assert "caf%E9.txt" in caplog.text
    json.dumps(sorted(found)).encode("utf-8")


def test_inputs_with_odd_names_arrive_under_them(machine: RemoteMachine, rented: Rented, tmp_path: Path) -> None:
    source = os.fsencode(tmp_path / "source")
    os.mkdir(source)  # noqa: PTH102 - bytes
    names = [b"caf\xe9.txt", b"a\\b.txt", b"n" * 250, b"new\nline", b"-rf"]
    for name in names:
        with open(source + b"/" + name, "wb") as file:
            file.write(name)
    machine.put(tmp_path / "source", "odd-inputs")
    arrived = os.fsencode(rented.folder / "odd-inputs")
    assert sorted(os.listdir(arrived)) == sorted(names)  # noqa: PTH208 - bytes


def test_contents_folders_and_permissions_travel_there(
    machine: RemoteMachine, rented: Rented, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "source"
    (source / "empty" / "deep").mkdir(parents=True)
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    (source / "secret").write_text("s")
    (source / "secret").chmod(0o600)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "wood.png").write_text("wood")
    (source / "textures").symlink_to("../store")
    (source / "aa.txt").symlink_to("run.sh")
    (source / "loop").symlink_to(".")
    (source / "nowhere").symlink_to("missing")
    os.mkfifo(source / "pipe")
    machine.put(source, "there")
    arrived = rented.folder / "there"
    assert sorted(str(path.relative_to(arrived)) for path in arrived.rglob("*")) == [
        "aa.txt",
        "empty",
        "empty/deep",
        "run.sh",
        "secret",
        "textures",
        "textures/wood.png",
    ]
    assert not any(path.is_symlink() for path in arrived.rglob("*"))
    assert [(arrived / name).stat().st_mode & 0o777 for name in ("run.sh", "secret")] == [0o755, 0o600]
    assert (arrived / "run.sh").stat().st_mtime == int((source / "run.sh").stat().st_mtime)
    assert "loop leads back" in caplog.text
    assert "nowhere leads nowhere" in caplog.text
    assert "pipe is a pipe" in caplog.text


def test_permissions_and_empty_folders_come_home(machine: RemoteMachine, rented: Rented, tmp_path: Path) -> None:
    folder = rented.folder / "tools"
    (folder / "empty").mkdir(parents=True)
    (folder / "tool").write_text("x")
    (folder / "tool").chmod(0o755)
    machine.get("tools", tmp_path / "back")
    assert (tmp_path / "back" / "empty").is_dir()
    assert os.access(tmp_path / "back" / "tool", os.X_OK)


@pytest.mark.parametrize(
    ("remote", "place"),
    [(".", "a.txt"), ("./", "a.txt"), ("new/", "new/a.txt"), ("made", "made/a.txt"), ("b.txt", "b.txt")],
)
def test_a_target_is_read_as_scp_would(
    machine: RemoteMachine, rented: Rented, tmp_path: Path, remote: str, place: str
) -> None:
    (rented.folder / "made").mkdir(exist_ok=True)
    (tmp_path / "a.txt").write_text(remote)
    machine.put(tmp_path / "a.txt", remote)
    assert (rented.folder / place).read_text() == remote


@pytest.mark.parametrize(
    ("local", "place"), [(".", "r.txt"), ("folder", "folder/r.txt"), ("new/", "new/r.txt"), ("x.txt", "x.txt")]
)
def test_a_target_here_is_read_as_scp_would(
    machine: RemoteMachine, rented: Rented, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: str, place: str
) -> None:
    (rented.folder / "r.txt").write_text("r")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert machine.get("r.txt", local) == (Path(place),)
    assert (tmp_path / place).read_text() == "r"


def test_a_folder_goes_into_here_under_its_own_name_and_into_one_that_exists_with_what_is_in_it(
    machine: RemoteMachine, rented: Rented, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rented.folder / "frames").mkdir(exist_ok=True)
    (rented.folder / "frames" / "1").write_text("1")
    monkeypatch.chdir(tmp_path)
    assert machine.get("frames", ".") == (Path("frames/1"),)
    assert machine.get("frames", "frames") == (Path("frames/1"),)


def test_a_place_that_cannot_be_written_is_told_once_and_is_no_lost_connection(
    machine: RemoteMachine, rented: Rented, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (rented.folder / "a").write_bytes(b"abc")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OctaLocalFileError, match=r"can't make the folder .*file") as caught:
        machine.get("a", tmp_path / "file" / "a")
    assert not caught.value.lost
    assert "trying again" not in caplog.text
    assert (tmp_path / "file").read_text() == "mine"


def test_one_file_in_the_way_of_a_folder_costs_what_is_in_that_folder_alone(
    machine: RemoteMachine, rented: Rented, tmp_path: Path
) -> None:
    (rented.folder / "mixed" / "sub").mkdir(parents=True)
    (rented.folder / "mixed" / "sub" / "x").write_text("x")
    (rented.folder / "mixed" / "a").write_text("a")
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "sub").write_text("in the way")
    with pytest.raises(OctaUnfetchedError, match="came home without sub/x") as caught:
        machine.get("mixed", tmp_path / "back")
    assert caught.value.fetched == (str(tmp_path / "back" / "a"),)


def test_a_machine_without_room_is_told_as_such(
    machine: RemoteMachine, rented: Rented, emulator: EmulatorHandle, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with conditions(emulator, writes="full"), pytest.raises(OctaSshError, match="the machine refused full/a") as caught:
        machine.put(tmp_path / "a", "full/a")
    assert not caught.value.lost
    assert list((rented.folder / "full").iterdir()) == []


@pytest.mark.parametrize("way", ["reads", "writes"])
def test_a_machine_that_never_answers_is_given_up(
    machine: RemoteMachine,
    rented: Rented,
    emulator: EmulatorHandle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    monkeypatch.setattr("octa_provider.remote.transfer.STALL_S", 0.5)
    (tmp_path / "a").write_bytes(b"abc")
    (rented.folder / "stuck").write_bytes(b"abc")
    with conditions(emulator, **{way: "stuck"}), pytest.raises(OctaSshError, match=r"no answer for 0\.5 s") as caught:
        machine.put(tmp_path / "a", "b") if way == "writes" else machine.get("stuck", tmp_path / "back")
    assert caught.value.lost
    assert machine.run("echo again").output == "again\n"


def test_a_transfer_ends_at_its_deadline(
    machine: RemoteMachine, rented: Rented, emulator: EmulatorHandle, tmp_path: Path
) -> None:
    (rented.folder / "stuck").write_bytes(b"abc")
    with conditions(emulator, reads="stuck"), pytest.raises(OctaSshError, match="it took too long") as caught:
        machine.get("stuck", tmp_path / "back", timeout_s=0.5)
    assert not caught.value.lost


def test_a_transfer_ends_when_it_is_cancelled(
    machine: RemoteMachine, rented: Rented, emulator: EmulatorHandle, tmp_path: Path
) -> None:
    (rented.folder / "stuck").write_bytes(b"abc")
    asked = 0

    def is_cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    with conditions(emulator, reads="stuck"), pytest.raises(OctaCancelledError):
        machine.get("stuck", tmp_path / "back", is_cancelled=is_cancelled)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    ("listing", "sentence"),
    [
        ("endless", "holds more than 1000 files and folders"),
        ("nested", "folders nested deeper than 64"),
        ("huge", "and the limit"),
        ("outside", "would leave the target folder"),
    ],
)
def test_a_folder_without_end_is_refused_before_anything_is_fetched(
    machine: RemoteMachine, rented: Rented, emulator: EmulatorHandle, tmp_path: Path, listing: str, sentence: str
) -> None:
    (rented.folder / "listed").mkdir(exist_ok=True)
    limits = TransferLimits(max_entries=1000)
    with conditions(emulator, listing=listing), pytest.raises(OctaSshError, match=sentence) as caught:
        machine.get("listed", tmp_path / "back", limits=limits)
    assert not caught.value.lost
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_has_no_room_here_is_not_begun(machine: RemoteMachine, rented: Rented, tmp_path: Path) -> None:
    with (rented.folder / "sparse").open("wb") as file:
        file.truncate(2**39)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(OctaLocalFileError, match="has room for"):
        machine.get("sparse", tmp_path / "back", limits=TransferLimits(keep_free_bytes=free))
    assert list(tmp_path.iterdir()) == []


def test_how_far_a_transfer_is_is_told_while_files_move(machine: RemoteMachine, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_bytes(os.urandom(1000))
    seen: list[TransferProgress] = []
    machine.put(tmp_path, "progress", on_progress=seen.append)
    assert (seen[-1].files_done, seen[-1].bytes_done, seen[-1].bytes_total) == (20, 20_000, 20_000)
    assert str(seen[-1]).endswith("20.0 kB of 20.0 kB, 20 of 20 files")


def test_a_command_that_ends_before_its_input_is_read_has_ended(machine: RemoteMachine) -> None:
    for _ in range(5):
        assert machine.run("exit 3", stdin="x" * 5_000_000).exit_code == 3
    assert machine.run("exec < /dev/null; sleep 0.2; exit 4", stdin="x" * 5_000_000).exit_code == 4


def test_it_works_where_a_loop_runs_as_in_a_notebook(rented: Rented) -> None:
    async def cell() -> CommandResult:
        with RemoteMachine(rented.target) as remote:
            return remote.run("echo hi")

    assert asyncio.run(cell()) == CommandResult(0, "hi\n")


def test_a_forked_process_has_connections_of_its_own(rented: Rented) -> None:
    with RemoteMachine(rented.target) as remote:
        remote.run("true")
        assert in_fork(lambda: sys.exit(remote.run("exit 7").exit_code)) == 7
        assert remote.run("echo still").output == "still\n"


def test_nothing_that_is_sent_or_fetched_is_compressed(rented: Rented, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncssh

    create, made = asyncssh.create_connection, []

    async def noted(*args: Any, **options: Any) -> Any:
        made.append(await create(*args, **options))
        return made[-1]

    monkeypatch.setattr(asyncssh, "create_connection", noted)
    with RemoteMachine(rented.target) as remote:
        remote.run("true")
        ((connection, _),) = made
        assert connection.get_extra_info("send_compression") == connection.get_extra_info("recv_compression") == "none"


def test_names_of_environment_variables_never_reach_the_shell_as_code(machine: RemoteMachine, rented: Rented) -> None:
    for name in ("A;touch pwned-by-name;B", "A B", "", "1A", "A\n"):
        with pytest.raises(OctaConfigError, match="no name of an environment variable") as refused:
            machine.run("true", envs={name: "hidden"})
        assert not any(text and text in str(refused.value) for text in (name, "hidden"))
    for value in ("hidden\0", "hidden\ud800", 7):
        with pytest.raises(OctaConfigError, match="the value of TOKEN must be text") as refused:
            machine.run("true", envs={"TOKEN": value})  # type: ignore[dict-item]
        assert "hidden" not in str(refused.value)
    assert not (rented.folder / "pwned-by-name").exists()


def test_sshd_that_comes_late_and_a_key_that_comes_later_are_waited_for(
    rent: Callable[..., Rented], emulator: EmulatorHandle, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("a")
    with conditions(emulator, listens_after_s=1.5, knows_key_after_s=1.0):
        late = rent()
        with RemoteMachine(late.target) as remote:
            assert remote.put(tmp_path / "a", "a") == 1


def test_the_proxy_is_taken_when_the_direct_port_is_closed(
    rent: Callable[..., Rented], emulator: EmulatorHandle
) -> None:
    with conditions(emulator, direct_is_closed=True):
        closed = rent()
    with RemoteMachine(closed.target, connect_within_s=0) as remote:
        assert remote.run("echo through").output == "through\n"


def test_a_picture_that_is_cut_does_not_take_the_place_of_a_whole_one(
    machine: RemoteMachine, rented: Rented, tmp_path: Path
) -> None:
    (rented.folder / "cut").mkdir()
    whole = zlib_png()
    for name, data in {"1.png": whole, "2.png": whole[:-20], "3.png": b"", "4.TIF": b"", "5.txt": b""}.items():
        (rented.folder / "cut" / name).write_bytes(data)
    back = tmp_path / "back"
    back.mkdir()
    (back / "2.png").write_bytes(whole)
    with pytest.raises(
        OctaUnfetchedError, match=r"2\.png \(which is cut off\), 3\.png \(which is empty\), 4"
    ) as caught:
        machine.get("cut", back)
    assert [Path(path).name for path in caught.value.fetched] == ["1.png", "5.txt"]
    assert (back / "2.png").read_bytes() == whole
    assert not (back / "3.png").exists()


@pytest.mark.parametrize("name", ["blender_dwaa.exr", "oiio_multipart_tiled.exr", "blender.jpg", "blender.tif"])
def test_a_cut_picture_of_any_format_does_not_take_the_place_of_a_whole_one(
    name: str, machine: RemoteMachine, rented: Rented, tmp_path: Path
) -> None:
    sent = rented.folder / f"cut-{name}"
    sent.mkdir()
    whole, end = picture(name), Path(name).suffix
    (sent / f"1{end}").write_bytes(whole)
    (sent / f"2{end}").write_bytes(whole[:-1])
    back = tmp_path / "back"
    back.mkdir()
    (back / f"2{end}").write_bytes(whole)
    with pytest.raises(OctaUnfetchedError, match=rf"2\{end} \(which is cut off\)") as caught:
        machine.get(sent.name, back)
    assert [Path(path).name for path in caught.value.fetched] == [f"1{end}"]
    assert (back / f"1{end}").read_bytes() == (back / f"2{end}").read_bytes() == whole


@pytest.mark.parametrize("lie", ["echo 0000 {paths}", "echo; : {paths}"])
def test_a_file_that_changed_on_its_way_is_not_kept(
    lie: str, machine: RemoteMachine, rented: Rented, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("octa_provider.remote.checksums.HASHES", lie)
    (rented.folder / "a").write_bytes(b"abc")
    with pytest.raises(OctaSshError, match="changed on its way"):
        machine.get("a", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", ["no-such-program {paths}", "yes {paths}", "exit 1; {paths}"])
def test_a_machine_that_cannot_tell_sums_leaves_the_check_of_the_size(
    machine: RemoteMachine,
    rented: Rented,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    program: str,
) -> None:
    monkeypatch.setattr("octa_provider.remote.checksums.HASHES", program)
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
    with (
        RemoteMachine(target, connect_within_s=0) as remote,
        pytest.raises(OctaSshError, match="refused the key") as caught,
    ):
        remote.run("true")
    # It may not be installed yet.
    assert caught.value.lost


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
    with (
        RemoteMachine(target, connect_within_s=0) as remote,
        pytest.raises(OctaSshError, match="can't connect to root@127") as caught,
    ):
        remote.run("true")
    assert caught.value.lost


def test_a_connection_that_died_between_two_calls_is_made_again(rented: Rented) -> None:
    with cuttable(rented.target.port) as proxy, RemoteMachine(replace(rented.target, port=proxy.port)) as remote:
        remote.run("true")
        remote.run("true")
        assert proxy.connections == 1
        proxy.cut()
        assert remote.run("echo back").output == "back\n"
        assert proxy.connections == 2


def test_a_connection_that_died_is_not_made_again_to_listen(rented: Rented) -> None:
    """Whoever waits looks at times all the same, and makes it; a machine that is gone is asked by nobody else."""
    told: list[str] = []

    def hears() -> bool:
        remote.listen("echo again", told.append)
        return bool(told)

    with cuttable(rented.target.port) as proxy, RemoteMachine(replace(rented.target, port=proxy.port)) as remote:
        remote.run("true")
        proxy.cut()
        remote.listen("echo over the lost one", told.append)
        remote.run("true")
        eventually(hears, "what the machine says over the one that was made again")
        assert set(told) == {"again\n"}


def test_a_transfer_goes_on_after_a_lost_connection_but_not_for_ever(
    rented: Rented, emulator: EmulatorHandle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").write_bytes(os.urandom(100_000))
    with (
        cuttable(rented.target.port, cut_after=20_000, cuts=2) as proxy,
        RemoteMachine(replace(rented.target, port=proxy.port, others=())) as remote,
    ):
        assert remote.put(tmp_path / "a", "whole") == 100_000
    assert caplog.text.count("trying again") == 2
    assert (rented.folder / "whole").read_bytes() == (tmp_path / "a").read_bytes()
    caplog.clear()
    with (
        conditions(emulator, reads="short"),
        RemoteMachine(rented.target) as remote,
        pytest.raises(OctaSshError, match="arrived with"),
    ):
        remote.get("whole", tmp_path / "b")
    assert caplog.text.count("trying again") < 20


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
    both = {"uuid": "u", "ssh_direct": {"host": "direct", "port": 22}, "ssh_proxy": {"host": "proxy", "port": 2222}}
    assert SshTarget.of(Session.from_payload(both)).addresses == (("direct", 22), ("proxy", 2222))
    with pytest.raises(OctaSshError, match="session u tells no SSH address"):
        SshTarget.of(Session.from_payload({"uuid": "u"}))


def test_without_asyncssh_the_error_says_what_to_install() -> None:
    script = """
import sys
sys.modules["asyncssh"] = None
from octa_provider.remote.machine import RemoteMachine
from octa_provider.remote.target import SshTarget
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
