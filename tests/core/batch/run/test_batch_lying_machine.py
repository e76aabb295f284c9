"""A machine that talks without end, or tells times that can't be."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any, cast

from studio import Studio

from octa_provider.batch.machine.link import MachineLink
from octa_provider.batch.machine.scripts import MOST_NAMES
from octa_provider.batch.result import BatchOutcome
from octa_provider.remote.command import CommandResult
from octa_provider.remote.machine import RemoteMachine


class Talker:
    """A machine that says much."""

    def __init__(self, lines: int, line: str) -> None:
        self.lines, self.line = lines, line

    def run(self, command: str, *, on_line: Callable[[str], object], **_: Any) -> CommandResult:
        for number in range(self.lines):
            on_line(f"{self.line}{number}")
        return CommandResult(0)


def linked(lines: int, line: str) -> MachineLink:
    return MachineLink(cast(RemoteMachine, Talker(lines, line)), lambda: False)


def test_a_machine_that_names_files_without_end_is_not_listened_to() -> None:
    processes, names = linked(5 * MOST_NAMES, "name ").made()
    assert not processes
    assert len(names) <= 2 * MOST_NAMES


def test_a_machine_that_answers_a_skip_without_end_fills_no_memory() -> None:
    tracemalloc.start()
    try:
        assert linked(1000, "x" * 100_000).skip(["frame_0001.png"]) == []
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_no_frame_counts_as_longer_than_its_order_whatever_its_files_times_say(studio: Studio) -> None:
    with (studio.scene / "shot.py").open("a") as script:
        script.write("os.utime(target, (0, 4e9 + 1e6 * frame))\n")
    result = studio.run(studio.batch("1-6", seconds_per_frame=30.0, max_machines=1))
    assert result.outcome is BatchOutcome.WHOLE
    told = [json.loads(line) for line in (studio.output / "frames.jsonl").read_text().splitlines()]
    assert len(told) == 6
    assert all(line["seconds"] is None or line["seconds"] < 100_000 for line in told)
    assert result.cost_wei is not None
