"""A task that is killed while its files move: it moves no more of them, however many are left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow_runs import Renting
from test_fails_on_its_way_back import TaskInstance

from airflow_provider.operators.job import OctaRunJobOperator
from octa_provider.remote.machine import RemoteMachine

#: What never answers would be waited for as long as the transfer may take.
STUCK = {"send": {"writes": "stuck"}, "get": {"reads": "stuck"}}


@pytest.fixture(params=["send", "get"])
def stuck(renting: Renting, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Set once files move over an SSH connection on which nothing arrives."""
    begun, move = threading.Event(), getattr(RemoteMachine, request.param)

    def moves(self: RemoteMachine, *arguments: Any, **options: Any) -> Any:
        renting.emulator.ssh(**STUCK[request.param])
        begun.set()
        return move(self, *arguments, **options)

    monkeypatch.setattr(RemoteMachine, request.param, moves)
    yield begun
    renting.emulator.ssh()


@pytest.mark.parametrize("on_kill_action", ["stop", "keep"])
def test_a_killed_task_moves_no_more_files(
    renting: Renting, tmp_path: Path, stuck: threading.Event, on_kill_action: str
) -> None:
    (tmp_path / "in.bin").write_bytes(b"\0" * 4_000_000)
    operator = OctaRunJobOperator(
        task_id="job",
        image="alpine:3",
        command="cat in.bin in.bin > out.bin",
        inputs={str(tmp_path / "in.bin"): "in.bin"},
        outputs={"out.bin": str(tmp_path / "out.bin")},
        poll_interval=0.2,
        on_kill_action=on_kill_action,
        deferrable=False,
    )

    def kill() -> None:
        if stuck.wait(800):
            operator.on_kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(AirflowException, match="OctaCancelledError"):
            operator.execute({"ti": TaskInstance()})
    finally:
        killer.join()
    assert not (tmp_path / "out.bin").exists()
    kept = renting.running()
    with renting.client() as client:
        for uuid in kept:
            client.rentals.open(uuid).stop()
    assert len(kept) == (1 if on_kill_action == "keep" else 0)
    assert len(renting.sessions) == 1
