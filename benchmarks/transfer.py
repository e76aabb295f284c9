"""How quick files move, beside `scp` to the same machine in the same run: a long line of 100 ms, made by the emulator.

make bench-transfer, or with another size: make bench-transfer BENCH="--big-mb 200 --small 1000"

What is told are ratios: the machine is this one, and `scp` shares it with us. One small file after the other, each with
its own look, is how this library moved them up to its first release; it is measured on a few of them and multiplied.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import asyncssh

from octa_provider import MachineRequest, OctaClient
from octa_provider.emulator.testing import start_emulator
from octa_provider.remote.machine import RemoteMachine
from octa_provider.remote.target import SshTarget

SMALL_BYTES = 2000
ONE_BY_ONE = 10
#: What takes one file after the other is measured on so many, and multiplied.
SAMPLE = 50


def took(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def scp(target: SshTarget, *words: str) -> None:
    """Copy with OpenSSH's `scp -r`."""
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
    command = ["scp", "-q", "-r", "-P", str(target.port), "-i", str(target.private_key), "-F", "none"]
    command += [word for option in options for word in ("-o", option)]
    # The emulator's SFTP ends without an exit status, which scp takes for a failure; what arrived is compared below.
    subprocess.run([*command, *words], check=False)


async def one_by_one(target: SshTarget, folder: Path, back: Path) -> tuple[float, float]:
    """Seconds a file, there and back, as the first release did it."""
    async with (
        asyncssh.connect(
            *(target.host, target.port),
            username="root",
            client_keys=[str(target.private_key)],
            known_hosts=None,
            config=None,
        ) as connection,
        connection.start_sftp_client() as sftp,
    ):
        names = sorted(path.name for path in folder.iterdir())[:ONE_BY_ONE]
        begun = time.monotonic()
        for name in names:
            await sftp.makedirs("one-by-one", exist_ok=True)
            await sftp.put(str(folder / name), f"one-by-one/{name}")
            await sftp.stat(f"one-by-one/{name}")
        sent = time.monotonic()
        for name in names:
            await sftp.get(f"one-by-one/{name}", str(back / name))
        return (sent - begun) / len(names), (time.monotonic() - sent) / len(names)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--big-mb", type=int, default=64)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--round-trip", type=float, default=0.1, metavar="SECONDS")
    arguments = parser.parse_args()
    if shutil.which("scp") is None:
        parser.error("there is no scp here to compare with")
    with (
        tempfile.TemporaryDirectory() as folder,
        start_emulator(machines=4, quirks=False) as emulator,
        OctaClient(emulator.api_key, base_url=emulator.base_url) as octa,
    ):
        here = Path(folder)
        (here / "big").write_bytes(os.urandom(arguments.big_mb * 10**6))
        (here / "small").mkdir()
        for number in range(arguments.small):
            (here / "small" / f"{number:05d}").write_bytes(os.urandom(SMALL_BYTES))
        (here / "sample").mkdir()
        for path in sorted((here / "small").iterdir())[:SAMPLE]:
            (here / "sample" / path.name).write_bytes(path.read_bytes())
        for name in ("a", "b", "c"):
            (here / name).mkdir()
        emulator.ssh(round_trip_s=arguments.round_trip)
        with octa.rentals.rent(
            MachineRequest("ubuntu:24.04", start_command="sleep 86400"), key="bench/transfer"
        ) as rental:
            target = SshTarget.of(rental.wait_until_ready(poll_s=0.2), private_key=str(emulator.ssh_private_key))
            there = f"root@{target.host}:"

            def ours(work: Callable[[RemoteMachine], object]) -> float:
                # As scp does: the connection is a part of it.
                def whole() -> None:
                    with RemoteMachine(target) as machine:
                        work(machine)

                return took(whole)

            up, down = asyncio.run(one_by_one(target, here / "small", here / "c"))
            rows = [
                (
                    f"one file of {arguments.big_mb} MB, there",
                    ours(lambda machine: machine.put(here / "big", "big")),
                    took(lambda: scp(target, str(here / "big"), f"{there}big-scp")),
                    None,
                ),
                (
                    f"one file of {arguments.big_mb} MB, back",
                    ours(lambda machine: machine.get("big", here / "a" / "big")),
                    took(lambda: scp(target, f"{there}big", str(here / "b" / "big"))),
                    None,
                ),
                (
                    f"{arguments.small} files of {SMALL_BYTES} bytes, there",
                    ours(lambda machine: machine.put(here / "small", "small")),
                    took(lambda: scp(target, str(here / "sample"), f"{there}sample-scp")) * arguments.small / SAMPLE,
                    up * arguments.small,
                ),
                (
                    f"{arguments.small} files of {SMALL_BYTES} bytes, back",
                    ours(lambda machine: machine.get("small", here / "a" / "small")),
                    took(lambda: scp(target, f"{there}sample-scp", str(here / "b" / "sample")))
                    * arguments.small
                    / SAMPLE,
                    down * arguments.small,
                ),
            ]
            folder_there = emulator.state / "sessions" / rental.uuid
            for big in (here / "a" / "big", here / "b" / "big", folder_there / "big", folder_there / "big-scp"):
                assert big.read_bytes() == (here / "big").read_bytes(), big
            for small in (here / "a", folder_there):
                assert len(list((small / "small").iterdir())) == arguments.small, small
            for sample in (folder_there / "sample-scp", here / "b" / "sample"):
                assert len(list(sample.iterdir())) == SAMPLE, sample
    print(f"round trip {arguments.round_trip * 1000:.0f} ms; what came back was checked by SHA-256 in ours, not by scp")
    print(f"{'':40} {'ours':>8} {'scp':>8} {'scp/ours':>9} {'before/ours':>12}")
    for what, our_s, scp_s, before_s in rows:
        before = "" if before_s is None else f"{before_s / our_s:.0f}"
        print(f"{what:40} {our_s:7.1f}s {scp_s:7.1f}s {scp_s / our_s:9.2f} {before:>12}")


if __name__ == "__main__":
    main()
