"""One machine is killed, once, in the middle, and it is one that renders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.emulator_process import Emulator
from demo.machine_killer import MachineKiller
from octa_provider import MachineRequest, OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with start_emulator(state=tmp_path / "state", start_delay_s=0.1, quirks=False) as handle:
        yield of(handle, tmp_path / "state")


def of(handle: EmulatorHandle, state: Path) -> Emulator:
    return Emulator(handle.base_url, handle.api_key, str(handle.ssh_private_key), state)


def rented(emulator: Emulator, count: int) -> list[str]:
    """Sessions that run."""
    with OctaClient(emulator.api_key, base_url=emulator.base_url) as octa:
        request = MachineRequest(image="ubuntu:24.04", start_command="sleep 600")
        started = [octa.rentals.start(request, key=f"demo/{number}") for number in range(count)]
        for rental in started:
            rental.wait_until_ready(poll_s=0.1)
        return [rental.uuid for rental in started]


def draw(emulator: Emulator, uuid: str, frames: int) -> None:
    """Let a session have begun frames."""
    folder = emulator.state / "sessions" / uuid / "out"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(frames):
        (folder / f"frame_{number:04d}.png").touch()


def test_it_waits_for_the_middle_and_for_all_machines_at_work_and_kills_one(emulator: Emulator) -> None:
    killer = MachineKiller(emulator, at_frames=8, machines=2)
    first, *_ = rented(emulator, 1)
    draw(emulator, first, 5)
    assert not killer.look(9), "the other machine is not there yet"
    (second,) = set(rented(emulator, 2)) - {first}
    assert not killer.look(7), "too early"
    node_id = emulator.running()[first]
    assert killer.look(8), "the one that renders; the other has begun nothing"
    assert (killer.killed, killer.node_id) == (first, node_id)
    assert list(emulator.running()) == [second]
    draw(emulator, second, 5)
    assert not killer.look(20), "one is enough"
    assert list(emulator.running()) == [second]
