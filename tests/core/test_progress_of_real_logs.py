"""What renderers really print, looked at in pieces of any size: the fraction is near the truth all the time.

The logs below `tests/data` were recorded: Cycles (16 samples) and Workbench of `bpy` 4.5.15, Cycles of `bpy` 5.2.3
(also in stereo), `povray +KFI1 +KFF5` 3.7, and a loop of 60 steps of tqdm. The first line of POV-Ray's and what
graphics drivers said of the machine was taken out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.logs.cursor import LogCursor
from octa_provider.logs.log_stream import SpooledText
from octa_provider.logs.new_lines import LogFollower
from octa_provider.render.progress import ProgressTracker
from octa_provider.text.plain_text import plain

DATA = Path(__file__).parents[1] / "data"


@dataclass(frozen=True)
class RealLog:
    """A recorded log.

    Attributes:
        name: its file.
        tool, total: as for `ProgressTracker`.
        frames: how many there are.
        done: what stands in it once a frame, or says how many are done.
    """

    name: str
    tool: str | None
    total: int | None
    frames: int
    done: re.Pattern[str]

    def text(self) -> str:
        # As it is: `\r` is no line end here.
        return (DATA / self.name).read_bytes().decode()

    def frames_done(self, text: str) -> int:
        """How many frames are done at the end of this much of the log."""
        said = self.done.findall(text)
        return int(said[-1]) if self.done.groups and said else len(said)


SAVED = re.compile(r"Saved: '[^']*'\n")
STEP = re.compile(r"\| (\d+)/60 [^\r\n]*(?=[\r\n])")
LOGS = [
    RealLog("blender_4.5_cycles.log", "blender", 3, 3, SAVED),
    RealLog("blender_4.5_workbench.log", "blender", 3, 3, SAVED),
    RealLog("blender_5.2_cycles.log", "blender", 3, 3, SAVED),
    RealLog("povray_3.7.log", None, 5, 5, re.compile(r"\(100%\)\r")),
    # Two files a frame.
    RealLog("blender_5.2_stereo.log", "blender", 3, 3, re.compile(r"Saved: '[^']*_L.png'\n")),
    RealLog("tqdm.log", None, None, 60, STEP),
    RealLog("tqdm.log", None, 60, 60, STEP),
]


class Watcher:
    """Follows a log and tells how far it is, as whoever runs the job does."""

    def __init__(self, log: RealLog) -> None:
        self._log = log
        self.lines: list[str] = []
        self.told: list[float] = []
        self._begin(None, ProgressTracker(log.tool, log.total))

    @property
    def fraction(self) -> float:
        return self._tracker.fraction or 0.0

    def look(self, text: str) -> None:
        for line in self._follower.feed(SpooledText.of(text)):
            self.lines.append(plain(line))
            self._tell(self._tracker.feed(plain(line)))

    def hand_over(self) -> None:
        """Another process goes on."""
        cursor = LogCursor.from_dict(json.loads(json.dumps(self._follower.cursor.to_dict())))
        tracked = json.loads(json.dumps(self._tracker.to_dict()))
        self._begin(cursor, ProgressTracker(self._log.tool, self._log.total).restore(tracked))

    def _begin(self, cursor: LogCursor | None, tracker: ProgressTracker) -> None:
        self._tracker = tracker
        self._follower = LogFollower(
            cursor, on_unfinished=lambda state: self._tell(self._tracker.feed_unfinished(plain(state)))
        )

    def _tell(self, fraction: float | None) -> None:
        if fraction is not None:
            self.told.append(fraction)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LOGS), st.lists(st.floats(0, 1), max_size=12), st.booleans())
def test_wherever_looks_cut_a_real_log_the_fraction_rises_and_is_near_the_truth(
    log: RealLog, cuts: list[float], hand_over: bool
) -> None:
    text, watcher = log.text(), Watcher(log)
    for end in [*sorted(int(cut * len(text)) for cut in cuts), len(text)]:
        watcher.look(text[:end])
        done = log.frames_done(text[:end])
        assert done / log.frames <= watcher.fraction + 0.01  # tqdm rounds
        assert watcher.fraction <= (done + 1) / log.frames + 0.05
        if hand_over:
            watcher.hand_over()
    assert watcher.fraction == 1.0
    assert watcher.told == sorted(set(watcher.told))
    assert watcher.lines == [plain(line) for line in text.split("\n")[:-1]]


@pytest.mark.parametrize("log", LOGS[:5], ids=lambda log: log.name)
def test_each_frame_of_a_real_log_is_worth_its_share(log: RealLog) -> None:
    text, watcher, after = log.text(), Watcher(log), []
    for match in log.done.finditer(text):
        watcher.look(text[: match.end()])
        after.append(watcher.fraction)
    assert after == pytest.approx([number / log.frames for number in range(1, log.frames + 1)])


def test_a_percentage_of_povray_that_starts_again_is_the_next_frame_also_within_one_look() -> None:
    log = LOGS[3]
    watcher = Watcher(log)
    watcher.look(log.text())
    assert watcher.fraction == 1.0
    # Not at its end after the first frame of five.
    assert [round(fraction, 2) for fraction in watcher.told if round(fraction * 5, 9) % 1 == 0] == [
        *(0.2, 0.4, 0.6, 0.8, 1.0)
    ]


def test_of_povrays_many_states_of_a_line_the_last_one_is_the_line() -> None:
    log = LOGS[3]
    watcher = Watcher(log)
    watcher.look(log.text())
    rendered = [line for line in watcher.lines if line.startswith("Rendered")]
    assert rendered == ["Rendered 19200 of 19200 pixels (100%)"] * 5
