"""Airflow's triggerer, forked from a process that has loaded what it needs: a new one takes some ten seconds of a core.

Its triggers resume their tasks at once: the executor of these tests forgives it. With others they wait a while, which
`tests/airflow/test_triggers.py` shows, and which no job of these tests is to wait.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from demo.child_processes import Child, ChildProcesses

COMMAND = (sys.executable, "-m", "tests.airflow.e2e.nursery")


class Forked:
    """One of the processes: what is used of a `Popen`.

    Args:
        pid: its id; whoever forked it reaps it.
    """

    stdout = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._file = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """None while it lives."""
        return 0 if select.select([self._file], [], [], 0)[0] else None

    def wait(self) -> int:
        """Until it has ended."""
        select.select([self._file], [], [])
        return 0

    def send_signal(self, number: int) -> None:
        """As `Popen` does."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._file, number)


@dataclass(frozen=True)
class ForkedChild(Child):
    """One of them among the processes of an Airflow."""

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.process.poll() is not None


class Nursery:
    """Where the triggerers of one Airflow come from.

    Args:
        children: what ends all of them.
        log: what it says itself.
        environment: of that Airflow.
    """

    def __init__(self, children: ChildProcesses, log: Path, environment: dict[str, str]) -> None:
        self._children = children
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._told, tells = os.pipe()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*COMMAND, str(tells)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=[tells],
                start_new_session=True,
            )
        os.close(tells)
        children.children.append(Child("the nursery", self._process, log))  # type: ignore[arg-type]

    def start(self, name: str, arguments: Sequence[str], log: Path) -> None:
        """Start one, as `ChildProcesses.start` does.

        Args:
            name: for the tests.
            arguments: of `airflow`.
            log: where all goes that it prints.
        """
        assert self._process.stdin is not None
        self._process.stdin.write("\t".join([str(log), *arguments]).encode() + b"\n")
        self._process.stdin.flush()
        told = os.read(self._told, 100)
        assert told, f"the nursery has ended: see {self._log}"
        pid = int(told)
        self._children.children.append(ForkedChild(name, Forked(pid), log))  # type: ignore[arg-type]


def load() -> None:
    """What a triggerer imports, and what its supervisor makes for the first answer that a trigger waits for."""
    import asyncio

    import asyncssh  # noqa: F401
    import httpx
    from airflow.jobs import triggerer_job_runner

    import airflow_provider.triggers.batch
    import airflow_provider.triggers.job  # noqa: F401
    import octa_provider.client  # noqa: F401

    with suppress(ImportError, AttributeError):
        server = triggerer_job_runner.in_process_api_server()
        # Each triggerer makes one of its own, which takes some seconds of a core.
        triggerer_job_runner.in_process_api_server = lambda: server  # type: ignore[assignment]

        async def answered_once() -> None:
            # In no thread, as it is when triggers ask: a fork would be without.
            transport = httpx.ASGITransport(app=server.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://in-this-process") as client:
                await client.get("/health/ping")

        asyncio.run(answered_once())


def serve(told: int) -> None:
    """Fork one for each line of the standard input, and tell its id once it has a session and a log of its own.

    Args:
        told: where to.
    """
    load()
    signal.signal(signal.SIGCHLD, lambda *_: reap())
    for line in sys.stdin:
        log, *arguments = line.rstrip("\n").split("\t")
        if os.fork() == 0:
            os.setsid()
            become(Path(log))
            os.write(told, str(os.getpid()).encode())
            os.close(told)
            triggerer(arguments)


def reap() -> None:
    """Those that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def become(log: Path) -> None:
    """A process of its own: nothing of the one that it is forked from is left in it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    with log.open("wb") as output:
        for number in (1, 2):
            os.dup2(output.fileno(), number)


def triggerer(arguments: list[str]) -> None:
    """Run Airflow, and end."""
    from airflow import settings
    from airflow.__main__ import main

    from airflow_provider.triggers import resume_pace

    # What runs the triggers is forked from this process.
    resume_pace.SOONEST_S = 1.0
    # A connection of the database is no other process's.
    settings.reconfigure_orm()
    sys.argv = ["airflow", *arguments]
    status = 1
    try:
        main()
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - it is told, and nothing of the nursery's goes on here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
