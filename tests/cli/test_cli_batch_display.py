"""What is shown while a batch runs: plain lines in a pipe, and nothing of it can steer a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest

from octa_provider.batch.events import EVENT_KINDS, BatchEvent, BatchProgress
from octa_provider.cli.output.batch_display import TELL_EVERY_S, BatchDisplay


class HandClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def progress(done: int = 0, **fields: Any) -> BatchProgress:
    values = {"frames": 240, "failed": 0, "machines": 6, "rendering": 5, "spent_wei": 10**18, "spent_usd": 1.318}
    return BatchProgress(**{**values, "done": done, "elapsed_s": 60.0, "left_s": 3725.0, **fields})


def event(kind: str, done: int = 0, **fields: Any) -> BatchEvent:
    return BatchEvent(kind, progress(done), **fields)


def shown(*events: BatchEvent, planned_usd: float | None = None) -> list[str]:
    out = io.StringIO()
    with BatchDisplay(out, planned_usd) as display:
        for one in events:
            display.event(one)
    return out.getvalue().splitlines()


def test_a_line_tells_frames_machines_money_beside_the_plan_and_time() -> None:
    assert shown(event("progress", 37), planned_usd=2.24) == [
        "37 of 240 frames, 6 machines, 1.32 of 2.24 USD, 1h 2m left"
    ]


def test_what_is_not_known_is_not_told() -> None:
    one = BatchEvent("progress", progress(37, left_s=None, machines=1, failed=2))
    assert shown(one) == ["37 of 240 frames, 2 given up, 1 machine, 1.32 USD"]


def test_what_happens_to_machines_and_frames_is_a_line_each() -> None:
    lines = shown(
        event("started", 3),
        event("machine rented", 3, node_id=118, slot=2, uuid="u"),
        event("machine refused", 3, node_id=119, reason="its price is 1.48 USD/h now, above max_price_usd=0.08"),
        event("machine ready", 3, node_id=118, slot=2),
        event("frame refused", 3, node_id=118, slot=2, frame=17, reason="is cut off"),
        event("frame given up", 3, frame=17, reason="three machines sent it cut off"),
        event("scene error", 3, reason="rock.png is missing (the same on nodes 7, 8)"),
        event("machine ended", 3, node_id=118, slot=2, reason="its disk is full"),
    )
    assert lines == [
        "3 of 240 frames, 6 machines, 1.32 USD, 1h 2m left",
        "node 118 (m2) is rented",
        "node 119 was not rented: its price is 1.48 USD/h now, above --max-price-usd 0.08",
        "node 118 (m2) is ready",
        "frame 17 of node 118 (m2) was refused: is cut off",
        "frame 17 was given up: three machines sent it cut off",
        "the scene can't be rendered: rock.png is missing (the same on nodes 7, 8)",
        "node 118 (m2) was let go: its disk is full",
    ]


def test_progress_comes_now_and_then_and_only_when_it_has_changed() -> None:
    clock, out = HandClock(), io.StringIO()
    display = BatchDisplay(out, clock=clock)
    for done in range(100):
        display.event(event("frame accepted", done))
        clock.now += TELL_EVERY_S / 10
    for _ in range(100):
        display.event(event("progress", 100))
        clock.now += TELL_EVERY_S
    display.event(event("frame accepted", 240))
    assert [line.split(",")[0] for line in out.getvalue().splitlines()] == [
        *[f"{done} of 240 frames" for done in range(0, 101, 10)],
        "240 of 240 frames",
    ]


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_what_a_stranger_says_cant_steer_the_terminal(kind: str) -> None:
    text = "\n".join(shown(event(kind, 1, node_id=1, slot=1, frame=1, reason="\x1b[2J\nwhole: 240 of 240 frames")))
    assert "\x1b" not in text
    assert not any(line.startswith("whole") for line in text.splitlines())


class Closed(io.StringIO):
    """A pipe that nobody reads, or a disk without room."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


def test_a_pipe_that_nobody_reads_is_noticed_and_the_display_goes_on() -> None:
    display = BatchDisplay(Closed(BrokenPipeError()))
    assert display.has_reader
    display.event(event("machine ready", 1))
    display.event(event("progress", 2))
    assert not display.has_reader


def test_a_full_disk_behind_the_lines_does_not_end_the_batch() -> None:
    display = BatchDisplay(Closed(OSError(28, "No space left on device")))
    display.event(event("machine ready", 1))
    assert display.has_reader


def test_it_knows_how_many_machines_wait_for_an_answer() -> None:
    display = BatchDisplay(io.StringIO())
    assert display.machines == 0
    display.event(event("machine rented", 0, node_id=1))
    assert display.machines == 6


def test_what_a_scene_warns_of_is_told_while_it_can_be_ended() -> None:
    lines = shown(event("scene warning", node_id=118, reason="rock.png is missing"))
    assert lines[0] == "the scene may not be as you want it: rock.png is missing"
