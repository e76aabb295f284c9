"""The real command line against a real emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from octa_provider.cli import main
from octa_provider.client import OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator


class Shown:
    """What a command printed, and its exit status."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err


@pytest.fixture(scope="session")
def shared_emulator() -> Iterator[EmulatorHandle]:
    with start_emulator(in_process=True, start_delay_s=0.05, room=50) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorHandle]:
    """The emulator, with the environment pointing at it; every session is stopped afterwards."""
    for name, value in shared_emulator.env().items():
        monkeypatch.setenv(name, value)
    yield shared_emulator
    shared_emulator.clear_faults()
    for uuid in shared_emulator.ledger(requests=False)["running_uuids"]:
        shared_emulator.end_session(uuid)


@pytest.fixture
def octa(emulator: EmulatorHandle) -> Iterator[OctaClient]:
    with OctaClient(emulator.api_key, base_url=emulator.base_url) as client:
        yield client


@pytest.fixture
def cli(emulator: EmulatorHandle, capsys: pytest.CaptureFixture[str]) -> Callable[..., Shown]:
    """Runs the command line in this process. Whatever it prints never holds the key."""

    def run(*words: Any) -> Shown:
        capsys.readouterr()
        status = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert emulator.api_key not in out + err
        assert "Traceback" not in err
        return Shown(status, out, err)

    return run


@pytest.fixture
def start(octa: OctaClient) -> Callable[..., str]:
    """Starts a session under a key and returns its uuid."""

    def begin(key: str, command: str = "sleep 300") -> str:
        from octa_provider import MachineRequest

        return octa.rentals.start(MachineRequest(image="ubuntu:24.04", start_command=command), key=key).uuid

    return begin
