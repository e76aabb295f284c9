"""What the tests of jobs share: clocks that do not wait, a connection that can be cut, a worker that dies."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from octa_provider import OctaClient
from octa_provider.emulator.container.process import SESSION_MARK, marked_pids
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.job.spec import JobSpec
from octa_provider.job.state import JobPhase, JobState
from octa_provider.timing.clock import Clock

PATIENCE_S = 600.0
#: Of the clocks, however long nobody asked them.
MOST_UNSEEN_S = 0.5


class ShortClock(Clock):
    """The real time, shifted by `shift_s`; whoever sleeps is woken after a moment.

    While nobody looks, little of it passes: a computer that is busy, or was held, is no reason for a deadline to pass.
    """

    def __init__(self) -> None:
        self.shift_s = 0.0
        self._lock = threading.Lock()
        self._wall_s = time.time() - time.monotonic()
        self._passed_s = self._looked_at = time.monotonic()

    def monotonic(self) -> float:
        with self._lock:
            now = time.monotonic()
            self._passed_s += min(now - self._looked_at, MOST_UNSEEN_S)
            self._looked_at = now
            return self._passed_s + self.shift_s

    def time(self) -> float:
        return self._wall_s + self.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(min(max(seconds, 0.0), 0.03))


class LeapingClock(ShortClock):
    """Who sleeps is woken at once, and the whole time has passed."""

    def sleep(self, seconds: float) -> None:
        time.sleep(0.001)
        self.shift_s += max(seconds, 0.0)


class Bench:
    """An emulator, and a client of it.

    Attributes:
        emulator: the emulator.
        clock: the client's clock.
        client: the client.
        key: the rental key of this test.
    """

    def __init__(self, emulator: EmulatorHandle, key: str, clock: ShortClock | None = None) -> None:
        self.emulator = emulator
        self.key = re.sub(r"[^a-z0-9_/-]+", "-", key)[:200]
        self.clock = clock or ShortClock()
        self.client = self.connect()

    def connect(self) -> OctaClient:
        """A client as another worker would have it, on the same clock."""
        return OctaClient(self.emulator.api_key, base_url=self.emulator.base_url, clock=self.clock, retries=0)

    @property
    def ssh_key(self) -> Path:
        return self.emulator.ssh_private_key

    def sessions(self) -> list[dict[str, Any]]:
        """Every session ever of this test's key, as the ledger has it."""
        every = self.emulator.ledger(requests=False)["sessions"]
        return [session for session in every if session["rental_key"] == self.key]

    def running(self) -> int:
        return sum(session["stopped_ms"] is None for session in self.sessions())

    def folder(self, uuid: str) -> Path:
        """A session's home folder on the machine."""
        return self.emulator.state / "sessions" / uuid

    def log(self, uuid: str) -> Path:
        return self.emulator.state / "logs" / f"{uuid}.log"

    def polled(self, state: JobState, until: Callable[[JobState], bool] | None = None, **options: Any) -> JobState:
        """Look until the job has ended, or until something else holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not (state.ended or (until is not None and until(state))):
            assert time.monotonic() < deadline, f"still {state}"
            state = self.client.jobs.poll(state, **options)
            time.sleep(0.02)
        return state

    def running_state(self, spec: JobSpec, **options: Any) -> JobState:
        """A job whose command runs, or has ended already if it is short."""
        began = self.client.jobs.start(spec, self.key)
        state = self.polled(began, lambda s: s.phase is not JobPhase.STARTING, **options)
        if state.phase is JobPhase.READY:
            state = self.client.jobs.begin(state, spec, private_key=self.ssh_key)
        assert state.phase in (JobPhase.RUNNING, JobPhase.EXITED), state
        return state

    def begun_in_vain(self, spec: JobSpec) -> JobState:
        """A job over SSH whose machine is up, and can't begin its command."""
        state = self.polled(self.client.jobs.start(spec, self.key), lambda s: s.phase is JobPhase.READY)
        folder = self.folder(state.rental.uuid) / "octa-job"
        eventually(folder.exists, "the log keeper's folder")
        folder.rename(folder.with_name("moved"))
        folder.write_text("in the way")
        return self.client.jobs.begin(state, spec, private_key=self.ssh_key)

    def stop(self) -> None:
        self.emulator.clear_faults()
        self.client.rentals.stop(self.key)
        self.client.close()


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    with start_emulator(start_delay_s=0.05) as emulator:
        yield emulator


@pytest.fixture
def bench(emulator: EmulatorHandle, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A key of the test's own; what it started is stopped."""
    bench = Bench(emulator, f"{request.module.__name__}/{request.node.name}")
    yield bench
    bench.stop()


def session_pids(uuid: str) -> list[int]:
    """The processes of a session on the emulated machine."""
    return marked_pids(SESSION_MARK, uuid)


def eventually(true: Callable[[], Any], what: str) -> Any:
    """What `true` returns, once it is something."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
    return found


def in_fork(work: Callable[[], object]) -> int:
    """Do something in a process of its own, which may kill itself; returns its exit status, -N for signal N."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work()
            status = 0
        except SystemExit as error:
            status = int(error.code or 0)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_9() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class CuttableProxy:
    """Forwards a loopback port to another, until it is told to cut.

    Args:
        port: where to.
        cut_after: cut each connection when it has carried so many bytes from the client, as long as `cuts` last.
        cuts: how often.

    Attributes:
        cut_after, cuts_left: what is left of them; both may be set anew.
    """

    def __init__(self, port: int, *, cut_after: int | None = None, cuts: int = 0) -> None:
        self.connections = 0
        self.cuts_left = cuts
        self.cut_after = cut_after
        self._target = port
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._carriers: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for carrier in self._carriers:
            carrier.join(60)
        for pair in self._pairs:
            for end in pair:
                end.close()

    def cut(self) -> None:
        """Drop every connection."""
        for pair in self._pairs:
            _drop(pair)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                pair = (near, socket.create_connection(("127.0.0.1", self._target)))
            except OSError:
                near.close()
                continue
            self._pairs.append(pair)
            for arguments in ((near, pair[1], pair, True), (pair[1], near, pair, False)):
                self._carriers.append(threading.Thread(target=self._carry, args=arguments, daemon=True))
                self._carriers[-1].start()

    def _carry(self, source: socket.socket, to: socket.socket, pair: tuple[Any, Any], upwards: bool) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                carried += len(data)
                if upwards and self.cut_after is not None and carried > self.cut_after and self.cuts_left > 0:
                    self.cuts_left -= 1
                    break
                to.sendall(data)
        _drop(pair)


def _drop(pair: tuple[socket.socket, socket.socket]) -> None:
    for end in pair:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cuttable(port: int, **options: Any) -> Iterator[CuttableProxy]:
    proxy = CuttableProxy(port, **options)
    try:
        yield proxy
    finally:
        proxy.close()
