"""A line to a machine that is lost at the worst moment: the batch goes on, and waits for nothing that never comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from studio import Studio

from octa_provider.batch.events import BatchEvent
from octa_provider.batch.result import BatchOutcome
from octa_provider.batch.run.parts import Pacing
from octa_provider.errors import OctaSshError
from octa_provider.remote.machine import RemoteMachine
from octa_provider.rental.rental import Rental

#: A batch that waits for ever is ended after so many real seconds.
_END_S = 600.0


def ends() -> Callable[[], bool]:
    end = time.monotonic() + _END_S
    return lambda: time.monotonic() > end


def lose_line(monkeypatch: pytest.MonkeyPatch, word: str) -> list[str]:
    """Lose the line of each machine once, at its first command with a word in it; returns the machines."""
    lost: list[str] = []
    run = RemoteMachine.run

    def run_or_lose(self: RemoteMachine, command: str, **options: Any) -> Any:
        name = repr(self.target)
        if word in command and name not in lost:
            lost.append(name)
            raise OctaSshError("the connection was lost", lost=True)
        return run(self, command, **options)

    monkeypatch.setattr(RemoteMachine, "run", run_or_lose)
    return lost


def test_a_line_lost_while_a_process_is_asked_why_it_ended_loses_no_order(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = studio.scene / "shot.py"
    script.write_text("import sys\nif sys.argv[1] == '2':\n    sys.exit('no such frame')\n" + script.read_text())
    lost = lose_line(monkeypatch, "tail -c 16000")
    batch = studio.batch("1-6", seconds_per_frame=30.0, max_machines=2, tries_per_frame=2)

    result = studio.run(batch, is_cancelled=ends())

    assert lost
    assert result.outcome is BatchOutcome.INCOMPLETE
    assert list(result.failed) == [2]
    assert result.done == 5
    assert studio.nothing_runs()


def test_a_line_lost_while_way_is_made_for_frames_loses_no_order(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose_line(monkeypatch, 'rm -f "$f"')

    result = studio.run(studio.batch("1-6", seconds_per_frame=30.0, max_machines=2), is_cancelled=ends())

    assert lost
    assert result.outcome is BatchOutcome.WHOLE


def test_a_listener_that_takes_long_makes_nothing_of_the_first_machine_unheard(studio: Studio) -> None:
    slow: list[BatchEvent] = []

    def take_long(event: BatchEvent) -> None:
        # Before anything was heard of the machine: meanwhile it is rented, and comes up.
        if event.kind == "progress" and not slow:
            slow.append(event)
            time.sleep(4.0)

    pacing = Pacing(poll_s=0.05, quiet_s=4.0, lost_after_s=200.0)

    result = studio.run(studio.batch("1-4", max_machines=1), on_event=take_long, is_cancelled=ends(), pacing=pacing)

    assert slow
    assert result.outcome is BatchOutcome.WHOLE


def test_the_next_first_machine_is_not_rented_before_the_last_one_is_gone(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[int] = []
    stop = Rental.stop

    def stop_late(self: Rental, *args: Any, **options: Any) -> Any:
        time.sleep(2.0)
        return stop(self, *args, **options)

    def count(event: BatchEvent) -> None:
        if event.kind == "machine rented":
            running.append(studio.emulator.ledger(requests=False)["running"])

    run = RemoteMachine.run
    lost: list[str] = []

    def run_or_fail(self: RemoteMachine, command: str, **options: Any) -> Any:
        if not lost:
            lost.append(command)
            raise OctaSshError("it can't be reached")
        return run(self, command, **options)

    monkeypatch.setattr(Rental, "stop", stop_late)
    monkeypatch.setattr(RemoteMachine, "run", run_or_fail)
    result = studio.run(studio.batch("1-3", max_machines=1), on_event=count, is_cancelled=ends())
    assert result.outcome is BatchOutcome.WHOLE
    assert running == [1, 1]
