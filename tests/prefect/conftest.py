"""Prefect of the tests' own: a home, an API and an emulator that nobody else uses."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import certifi
import pytest

HOME = Path(tempfile.mkdtemp(prefix="octa-prefect-tests-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)


def one_certificate(folder: Path) -> Path:
    """A file with the first of the certificates that are trusted: nothing in these tests is asked over TLS."""
    end = "-----END CERTIFICATE-----\n"
    path = folder / "one-certificate.pem"
    path.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    return path


for name in [name for name in os.environ if name.startswith(("PREFECT_", "OCTA_"))]:
    if name != "OCTA_EMULATOR_BLENDER_PYTHON":
        del os.environ[name]
os.environ.update(
    PREFECT_HOME=str(HOME),
    OCTA_STATE_DIR=str(HOME / "octa-state"),
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_CLI_PROMPT="false",
    DO_NOT_TRACK="1",
    PREFECT_LOGGING_LEVEL="WARNING",
    PREFECT_LOGGING_TO_API_BATCH_INTERVAL="0.2",
    # A busy computer's server may take its time.
    PREFECT_API_REQUEST_TIMEOUT="600",
    # Each of Prefect's clients reads all the world's certificates, a dozen times in a flow run: here one is enough.
    SSL_CERT_FILE=str(one_certificate(HOME)),
)

sys.path.insert(0, str(Path(__file__).parent / "patient"))
import more_time  # noqa: E402

more_time.install()

from flow_process import FlowProcesses  # noqa: E402
from pool import Pool  # noqa: E402
from prefect_server import PrefectServer, start_prefect_server  # noqa: E402
from renting import Renting  # noqa: E402

from octa_provider.emulator.testing import EmulatorHandle, start_emulator  # noqa: E402
from octa_provider.timing.clock import Clock  # noqa: E402

BLENDER_PYTHON = Path(__file__).parents[2] / ".venvs" / "blender" / "bin" / "python"


@pytest.fixture(scope="session")
def shared_emulator() -> Iterator[EmulatorHandle]:
    blender = {"blender_python": str(BLENDER_PYTHON)} if BLENDER_PYTHON.exists() else {}
    # Days are let pass that are billed.
    with start_emulator(machines=12, room=50, balance_octa=10_000_000, **blender) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def server() -> Iterator[PrefectServer]:
    """A real server, with its database, for the whole session; this process talks to it too."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with start_prefect_server(HOME / "server") as server, temporary_settings({PREFECT_API_URL: server.api_url}):
        os.environ["PREFECT_API_URL"] = server.api_url
        yield server
        send_what_waits()


def send_what_waits() -> None:
    """Logs and events on their way to a server that is about to end: they would be tried for a minute."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=10)
    EventsWorker.drain_all(timeout=10)


@pytest.fixture
def renting(shared_emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch) -> Iterator[Renting]:
    """The emulator behind the environment. Nothing may be left running on it, and no key may have had two at once."""
    for name, value in shared_emulator.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OCTA_SSH_KEY_FILE", str(shared_emulator.ssh_private_key))
    renting = Renting(shared_emulator)
    yield renting
    shared_emulator.clear_faults()
    left = renting.running()
    for uuid in left:
        shared_emulator.end_session(uuid)
    assert not left, "sessions were left running"
    assert renting.never_two_at_once(), "two machines were paid for the same work"


@pytest.fixture
def time_passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock by which our own code waits, in this process, forward by so many seconds."""
    ahead_s = [0.0]
    monkeypatch.setattr(Clock, "monotonic", lambda self: time.monotonic() + sum(ahead_s))
    return ahead_s.append


@pytest.fixture
def run_logs() -> Iterator[None]:
    """The tests' own level is WARNING; the log of runs is looked at here."""
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def pool(server: PrefectServer, renting: Renting, tmp_path: Path) -> Iterator[Pool]:
    """A work pool; its workers are killed when the test ends."""
    pool = Pool(server, renting, tmp_path)
    yield pool
    pool.close()


@pytest.fixture
def flows(server: PrefectServer, renting: Renting, tmp_path: Path) -> Iterator[FlowProcesses]:
    """Flow runs as processes; they are killed when the test ends."""
    flows = FlowProcesses(server, renting, tmp_path)
    yield flows
    flows.close()
