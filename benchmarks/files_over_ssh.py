"""Files to a machine over SSH and back, beside `scp` and `rsync`, against a real sshd: CPU of who moves them, and time.

make bench BENCH="--only files files-cpu small-files"

Needs OpenSSH's sshd on this machine (Debian: openssh-server; rsync where it is installed). It is started here on a
port of its own, for this user alone, and ended with the measuring. A line of 100 ms is made by a process in between.
One small file after the other, each with its own look, is how this library moved them up to its first release; it is
measured on a few of them and multiplied, and so are scp's.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.interleaved import Goal, Row, in_turn

BIG_MB = 64
SMALL, SMALL_BYTES = 1000, 2000
#: What takes one file after the other is measured on so many, and multiplied.
SAMPLE = 20
ROUND_TRIP_S = 0.1
GOALS = {
    "files": Goal("ours", "scp", 1 / 0.9),
    "files-cpu": Goal("ours", "scp", 1 / 0.9),
    "small-files": Goal("ours", "one by one", 0.2),
}
#: A turn of all takes a minute where the line is long.
MOST_ROUNDS = {"files": 5, "files-cpu": 11, "small-files": 3}
OPTIONS = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]

LINE = """
import asyncio, sys
from octa_provider.emulator.container.proxy import DistantPort
async def main():
    line = DistantPort(int(sys.argv[1]), float(sys.argv[2]))
    print(await line.start(0), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
OURS = """
import json, sys, time
from pathlib import Path
import asyncssh
from octa_provider.remote.machine import RemoteMachine
from octa_provider.remote.target import SshTarget
from octa_provider.render import pictures
port, key, user, what, one, other = sys.argv[1:]
began, used = time.monotonic(), time.process_time()
with RemoteMachine(SshTarget("127.0.0.1", int(port), username=user, private_key=key)) as machine:
    getattr(machine, what)(one, other)
print(json.dumps([time.monotonic() - began, time.process_time() - used]))
"""
ONE_BY_ONE = """
import asyncio, json, sys, time
from pathlib import Path
import asyncssh
port, key, user, what, one, other = sys.argv[1:]
options = {"username": user, "client_keys": [key], "known_hosts": None, "config": None}
async def main():
    async with (
        asyncssh.connect("127.0.0.1", int(port), **options) as made,
        made.start_sftp_client() as sftp,
    ):
        began, used = time.monotonic(), time.process_time()
        for path in Path(one).iterdir():
            await sftp.makedirs(other, exist_ok=True)
            await sftp.put(str(path), f"{other}/{path.name}")
            await sftp.stat(f"{other}/{path.name}")
        print(json.dumps([time.monotonic() - began, time.process_time() - used]))
asyncio.run(main())
"""


@dataclass(frozen=True)
class Took:
    """What something took: seconds of time, and of CPU."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Machine:
    """A machine to copy to: this one.

    Attributes:
        port: of its sshd, or of the line to it.
        key: the file of the private key that it knows.
        there: a folder of it.
    """

    port: int
    key: Path
    there: Path

    def ours(self, what: str, one: Path | str, other: Path | str) -> Took:
        """`put` or `get` of `RemoteMachine`, in a process of its own; what is imported before does not count."""
        return _python(OURS, [str(self.port), str(self.key), getpass.getuser(), what, str(one), str(other)])

    def one_by_one(self, one: Path, other: Path) -> Took:
        """Each file after the other, with its own looks."""
        return _python(ONE_BY_ONE, [str(self.port), str(self.key), getpass.getuser(), "put", str(one), str(other)])

    def scp(self, *words: str) -> Took:
        """OpenSSH's `scp -r`; `there:` in front of a path is the machine."""
        ssh = [word for option in OPTIONS for word in ("-o", option)]
        begun = [*("scp", "-q", "-r", "-P", str(self.port), "-i", str(self.key), "-F", "none"), *ssh]
        return _process([*begun, *(self._of_machine(word) for word in words)])

    def rsync(self, *words: str) -> Took:
        """`rsync -a`."""
        ssh = " ".join(f"-o {option}" for option in OPTIONS)
        shell = f"ssh -F none -p {self.port} -i {self.key} {ssh}"
        return _process(["rsync", "-a", "-W", "-e", shell, *(self._of_machine(word) for word in words)])

    def _of_machine(self, word: str) -> str:
        return f"{getpass.getuser()}@127.0.0.1:{word[6:]}" if word.startswith("there:") else word


def _python(script: str, words: list[str]) -> Took:
    ended = subprocess.run([sys.executable, "-c", script, *words], stdout=subprocess.PIPE, text=True, check=True)
    return Took(*json.loads(ended.stdout))


def _process(command: list[str]) -> Took:
    begun = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    # With what it has started, which it waits for.
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command[0]} ended with {child.returncode}")
    return Took(time.monotonic() - begun, used.ru_utime + used.ru_stime)


def sshd() -> str | None:
    """OpenSSH's server, where it is installed."""
    return shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


@contextmanager
def machine(folder: Path, round_trip_s: float = 0.0) -> Iterator[Machine]:
    """This machine behind an sshd, and behind a long line where the round trip is any.

    Args:
        folder: where it keeps its files.
        round_trip_s: seconds there and back.
    """
    program = sshd()
    if program is None:
        raise SystemExit("there is no sshd here to copy to (Debian: openssh-server)")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    from octa_provider.emulator.container.free_port import free_port

    there, port = folder / "there", free_port()
    there.mkdir()
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "client.pub", folder / "known")
    lines = [
        *(f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder / 'host'}", "PidFile none", "UsePAM no"),
        *(f"AuthorizedKeysFile {folder / 'known'}", "StrictModes no", "PasswordAuthentication no"),
        *("PermitRootLogin prohibit-password", "Subsystem sftp internal-sftp"),
    ]
    (folder / "config").write_text("\n".join([*lines, ""]))
    server = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
    line = None
    try:
        if round_trip_s:
            command = [sys.executable, "-c", LINE, str(port), str(round_trip_s)]
            line = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert line.stdout is not None
            port = int(line.stdout.readline())
        yield Machine(port, folder / "client", there)
    finally:
        for one in (line, server):
            if one is not None:
                one.terminate()
                one.wait()


def measure(name: str, rounds: int) -> Row:
    """One of the rows.

    Args:
        name: `files` (time of a big file on a long line), `files-cpu` (its CPU on a short one), `small-files` (time).
        rounds: how often each takes its turn.
    """
    with tempfile.TemporaryDirectory(prefix="octa-files-") as folder:
        here = Path(folder)
        round_trip_s = 0.0 if name == "files-cpu" else ROUND_TRIP_S
        with machine(here, round_trip_s) as to:
            subjects = _small(here, to) if name == "small-files" else _big(here, to)

            def of(took: Callable[[], Took]) -> float:
                one = took()
                return one.cpu_s if name == "files-cpu" else one.wall_s

            measures = {subject: partial(of, took) for subject, took in subjects.items()}
            seconds = in_turn(measures, min(rounds, MOST_ROUNDS[name]))
    titles = {
        "files": f"a file of {BIG_MB} MB there and back at 100 ms, time",
        "files-cpu": f"a file of {BIG_MB} MB there and back, CPU of who moves it",
        "small-files": f"{SMALL} files of {SMALL_BYTES} bytes there at 100 ms, time",
    }
    unit = "" if name == "files-cpu" else "seconds"
    return Row(titles[name], GOALS[name].against or "scp", seconds, GOALS[name], unit=unit)


def _big(here: Path, to: Machine) -> dict[str, Callable[[], Took]]:
    big, back = here / "big", here / "back"
    big.write_bytes(os.urandom(BIG_MB * 10**6))

    def both(up: Callable[[], Took], down: Callable[[], Took]) -> Callable[[], Took]:
        def there_and_back() -> Took:
            for path in (to.there / "big", back):
                path.unlink(missing_ok=True)
            one, other = up(), down()
            assert back.read_bytes() == big.read_bytes()
            return Took(one.wall_s + other.wall_s, one.cpu_s + other.cpu_s)

        return there_and_back

    there = str(to.there / "big")
    subjects = {
        "ours": both(lambda: to.ours("put", big, there), lambda: to.ours("get", there, back)),
        "scp": both(lambda: to.scp(str(big), f"there:{there}"), lambda: to.scp(f"there:{there}", str(back))),
    }
    if shutil.which("rsync"):
        subjects["rsync"] = both(
            lambda: to.rsync(str(big), f"there:{there}"), lambda: to.rsync(f"there:{there}", str(back))
        )
    return subjects


def _small(here: Path, to: Machine) -> dict[str, Callable[[], Took]]:
    for name, count in (("small", SMALL), ("sample", SAMPLE)):
        (here / name).mkdir()
        for number in range(count):
            (here / name / f"{number:05d}").write_bytes(os.urandom(SMALL_BYTES))

    def anew(move: Callable[[Path], Took], count: int) -> Callable[[], Took]:
        def once() -> Took:
            target = to.there / "small"
            shutil.rmtree(target, ignore_errors=True)
            took = move(target)
            assert len(list(target.iterdir())) == count
            share = SMALL / count
            return Took(took.wall_s * share, took.cpu_s * share)

        return once

    small, sample = here / "small", here / "sample"
    subjects = {
        "ours": anew(lambda target: to.ours("put", small, target), SMALL),
        "one by one": anew(lambda target: to.one_by_one(sample, target), SAMPLE),
        "scp": anew(lambda target: to.scp(str(sample), f"there:{target}"), SAMPLE),
    }
    if shutil.which("rsync"):
        subjects["rsync"] = anew(lambda target: to.rsync(f"{small}/", f"there:{target}"), SMALL)
    return subjects
