"""A fraction out of what tools print."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octa_provider.errors import OctaConfigError
from octa_provider.render.progress import ProgressTracker


def fractions(tracker: ProgressTracker, *lines: str) -> list[float | None]:
    return [tracker.feed(line) for line in lines]


def test_blender_counts_frames_that_are_saved() -> None:
    tracker = ProgressTracker("blender", total=4)
    assert fractions(
        tracker,
        "Blender 4.5.0 (hash 8cb6b388974a built 2025-07-15)",
        "Fra:10 Mem:12.30M (Peak 14.01M) | Time:00:00.10 | Mem:0.00M | Scene, ViewLayer | Synchronizing object | Cube",
        "Fra:10 Mem:12.30M (Peak 14.01M) | Time:00:00.52 | Remaining:00:01.2 | Scene, ViewLayer | Sample 32/64",
        "Saved: '/tmp/out/0010.png'",
        "Time: 00:01.21 (Saving: 00:00.08)",
        "Fra:12 Mem:12.30M (Peak 14.01M) | Time:00:00.52 | Rendering 16 / 64 samples",
        "Saved: '/tmp/out/0012.png'",
    ) == [None, 0.0, 0.125, 0.25, None, 0.3125, 0.5]


def test_blender_counts_a_frame_once_whatever_it_saves() -> None:
    tracker = ProgressTracker("blender", total=2)
    lines = ["Fra:1 Mem:1M", "Saved: '/tmp/1.png'", "Saved: '/tmp/1_depth.exr'", "Fra:1 Mem:1M | Sample 1/2"]
    assert fractions(tracker, *lines) == [0.0, 0.5, None, None]


def test_blender_counts_a_frame_when_another_one_begins() -> None:
    tracker = ProgressTracker("blender", total=4)
    assert fractions(tracker, "Fra:1 Mem:1M", "Fra:2 Mem:1M", "Fra:3 Mem:1M", "Append frame 3") == [
        0.0,
        0.25,
        0.5,
        0.75,
    ]


def test_blender_counts_saved_files_when_it_is_quiet() -> None:
    tracker = ProgressTracker("blender", total=2)
    assert fractions(tracker, "Saved: 'a'", "Saved: 'b'", "Saved: 'c'") == [0.5, 1.0, None]


def test_blender_without_a_total_tells_nothing() -> None:
    tracker = ProgressTracker("blender")
    assert fractions(tracker, "Fra:1 Mem:1M", "Saved: 'a'") == [None, None]
    assert tracker.fraction is None


@pytest.mark.parametrize(
    ("line", "fraction"),
    [
        ("45%", 0.45),
        ("Progress: 12.5 % done", 0.125),
        (" 45%|████▌     | 45/100 [00:01<00:02, 30.1it/s]", 0.45),
        ("frame 3/4", 0.75),
        ("[ 30 / 40 ] linking", 0.75),
        ("1/4 2/4 3/4", 0.75),
        ("0%", 0.0),
        ("100%", 1.0),
        ("100.0%", 1.0),
        ("300%", None),
        ("-5%", None),
        ("5/4", None),
        ("3/0", None),
        ("12/31/2024", None),
        ("2024/12", None),
        ("/usr/2/4/bin", None),
        ("v1.2/3", None),
        ("eth0 10.0.0.1/24", None),
        ("99999999999999999999%", None),
        ("50%" + " " * 10_000, 0.5),
        (" " * 10_000 + "50%", None),
        ("nothing", None),
        ("", None),
    ],
)
def test_what_many_tools_print(line: str, fraction: float | None) -> None:
    assert ProgressTracker().feed(line) == fraction


@pytest.mark.parametrize(
    ("pattern", "total", "line", "fraction"),
    [
        (r"epoch (?P<done>\d+) of (?P<total>\d+)", None, "epoch 3 of 12", 0.25),
        (r"step (?P<done>\d+)", 10, "step 4", 0.4),
        (r"step (?P<done>\d+)(?: of (?P<total>\d+))?", 10, "step 4", 0.4),
        (r"(?P<percent>[\d.]+) percent", None, "12.5 percent", 0.125),
        (r"(?P<percent>\S+) percent", None, "nan percent", None),
        (r"(?P<percent>\S+) percent", None, "many percent", None),
        (r"(?P<percent>\d+)?x", None, "x", None),
        (r"(?P<done>\d+)(?:/(?P<total>\d+))?", None, "7", None),
    ],
)
def test_a_pattern_of_ones_own(pattern: str, total: int | None, line: str, fraction: float | None) -> None:
    assert ProgressTracker(pattern, total=total).feed(line) == fraction


@pytest.mark.parametrize("pattern", ["(", "blendr", r"(?P<done>\d+)", r"(\d+)%"])
def test_a_pattern_that_cannot_work_is_refused(pattern: str) -> None:
    with pytest.raises(OctaConfigError, match="progress pattern"):
        ProgressTracker(pattern)


@pytest.mark.parametrize("total", [0, -1, True, "4"])
def test_a_total_that_cannot_be_is_refused(total: object) -> None:
    with pytest.raises(OctaConfigError, match="total"):
        ProgressTracker(None, total=total)  # type: ignore[arg-type]


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.text(max_size=20), st.from_regex(r"\d{1,4}%|\d{1,3}/\d{1,3}|Fra:\d\d|Saved: '"))),
    st.booleans(),
)
def test_it_never_falls_and_stays_within_0_and_1(lines: list[str], blender: bool) -> None:
    tracker = ProgressTracker("blender", total=3) if blender else ProgressTracker()
    told = [fraction for fraction in map(tracker.feed, lines) if fraction is not None]
    assert told == sorted(set(told))
    assert all(0 <= fraction <= 1 for fraction in told)


def test_another_process_carries_on() -> None:
    first = ProgressTracker("blender", total=4)
    fractions(first, "Fra:1 Mem:1M", "Saved: 'a'", "Fra:2 Mem:1M")
    second = ProgressTracker("blender", total=4).restore(json.loads(json.dumps(first.to_dict())))
    assert second.fraction == 0.25
    assert fractions(second, "Fra:2 Mem:1M", "Saved: 'b'") == [None, 0.5]


def test_a_state_that_is_nonsense_is_left_out() -> None:
    tracker = ProgressTracker().restore({"fraction": 7, "frame": "x", "frames_done": -1})
    assert tracker.to_dict() == ProgressTracker().to_dict()


SEEN = {
    "fraction": 0.5,
    "frame": 7,
    "frame_saved": True,
    "frames_done": 3,
    "steps_done": 1,
    "of_step": 0.25,
    "in_percent": True,
    "saved_as": "7",
    "unfinished": "50%",
}


def test_a_state_of_the_release_before_is_carried_on_with_whole() -> None:
    assert ProgressTracker().restore(SEEN).to_dict() == SEEN


@pytest.mark.parametrize(
    ("name", "nonsense"),
    [
        *(("fraction", odd) for odd in (-0.1, 1.1, float("nan"), "0.5", True)),
        *(("frame", odd) for odd in ("7", 7.5, [7], False)),
        *(("frame_saved", odd) for odd in (1, None, "yes")),
        *(("frames_done", odd) for odd in (-1, 10**9 + 1, None, 0.5)),
        *(("steps_done", odd) for odd in (-1, 10**9 + 1, None, "1")),
        *(("of_step", odd) for odd in (-1, 2, None, float("inf"))),
        *(("in_percent", odd) for odd in (0, None)),
        *(("saved_as", odd) for odd in (7, {}, "7" * 5000)),
        *(("unfinished", odd) for odd in (7, None, "x" * 5000)),
    ],
)
def test_of_a_state_only_what_does_not_fit_is_left_out(name: str, nonsense: object) -> None:
    fresh = ProgressTracker().to_dict()
    assert ProgressTracker().restore(SEEN | {name: nonsense}).to_dict() == SEEN | {name: fresh[name]}
    assert ProgressTracker().restore({name: nonsense, "novelty": 1}).to_dict() == fresh


def test_blender_5_is_read_behind_what_it_writes_in_front_of_its_lines() -> None:
    tracker = ProgressTracker("blender", total=4)
    assert fractions(
        tracker,
        '00:00.312  blend            | Read blend: "/scene.blend"',
        "00:01.204  render           | Fra: 1 | Mem: 12.30M | Sample 32/64",
        "00:05.489  render           | Saved: '/tmp/out/0001.png'",
        "00:05.490  render.pipeline WARNING | something else",
        "01:00:05.489  render           | Fra: 2 | Mem: 12.30M",
        "01:00:06.489  render           | Saved: '/tmp/out/0002.png'",
    ) == [None, 0.125, 0.25, None, None, 0.5]


def test_blender_5_that_says_saved_alone_counts_its_frames() -> None:
    tracker = ProgressTracker("blender", total=2)
    assert fractions(tracker, "00:05.489  render           | Saved: 'a'", "00:06.1  render | Saved: 'b'") == [0.5, 1.0]


def test_a_percentage_that_starts_again_is_one_of_several_steps() -> None:
    tracker = ProgressTracker(None, total=4)
    assert fractions(tracker, "50%", "100%", "0%", "50%", "49%", "100%", "1%") == [
        *(0.125, 0.25, None, 0.375, None, 0.5, 0.5025),
    ]
    carried_on = ProgressTracker(None, total=4).restore(json.loads(json.dumps(tracker.to_dict())))
    assert carried_on.feed("99%") == 0.7475


def test_a_count_that_starts_again_is_one_of_several_steps_too() -> None:
    tracker = ProgressTracker(None, total=2)
    assert fractions(tracker, "5/10", "10/10", "5/10", "10/10") == [0.25, 0.5, 0.75, 1.0]


def test_a_percentage_of_one_thing_alone_is_what_it_says() -> None:
    tracker = ProgressTracker()
    assert fractions(tracker, "50%", "100%", "10%") == [0.5, 1.0, None]


@pytest.mark.parametrize(
    ("tool", "line"),
    [
        (None, "frame 3/25"),
        (None, " 12%|#2        | 3/25 [00:01<00:07,  3.1it/s]"),
        (None, "12 % (3 / 25)"),
        (r"frame (?P<done>\d+) of (?P<total>\d+)", "frame 3 of 25"),
        (r"frame (?P<done>\d+) of (?P<total>\d+)", "frame 03 of 025"),
    ],
)
def test_what_counts_up_to_the_total_is_of_all_and_no_step(tool: str | None, line: str) -> None:
    assert ProgressTracker(tool, total=25).feed(line) == 0.12


@pytest.mark.parametrize(
    ("tool", "lines"),
    [
        (None, ["5%", "100%", "5%", "100%"]),
        (None, ["5/100", "100/100", "5/100", "100/100"]),
        (r"row (?P<done>\d+) of (?P<total>\d+)", ["row 5 of 100", "row 100 of 100", "row 5 of 100", "row 100 of 100"]),
        (r"at (?P<percent>\d+)", ["at 5", "at 100", "at 5", "at 100"]),
    ],
)
def test_a_total_is_never_ignored_what_counts_up_to_another_end_is_a_step(tool: str | None, lines: list[str]) -> None:
    assert fractions(ProgressTracker(tool, total=4), *lines) == [0.0125, 0.25, 0.2625, 0.5]


def test_where_steps_come_in_percent_a_count_among_their_lines_is_none() -> None:
    tracker = ProgressTracker(None, total=5)
    # As POV-Ray says of each frame.
    lines = ["pixels (50%)", "pixels (100%)", "Rays: 12  Saved: 4  Max Level: 5/5", "pixels (50%)", "pixels (100%)"]
    assert fractions(tracker, *lines) == [0.1, 0.2, None, pytest.approx(0.3), 0.4]


def test_a_line_that_has_not_ended_counts_and_its_end_does_not_count_again() -> None:
    tracker = ProgressTracker(None, total=2)
    assert tracker.feed_unfinished("10% ") == 0.05
    assert tracker.feed_unfinished("10% 50% ") == 0.25
    carried_on = ProgressTracker(None, total=2).restore(json.loads(json.dumps(tracker.to_dict())))
    for one in (tracker, carried_on):
        assert one.feed_unfinished("10% 50% 90% 100%") == 0.5
        assert one.feed("10% 50% 90% 100%") is None
        assert one.fraction == 0.5
        # The next line is a line of its own.
        assert one.feed("10% 50%") == 0.75


def test_states_of_a_bar_are_each_looked_at_so_that_a_short_step_counts() -> None:
    tracker = ProgressTracker(None, total=3)
    for _ in range(3):
        for state in ("0%", "50%", "100%"):
            tracker.feed_unfinished(state)
        tracker.feed("100%")
    assert tracker.fraction == 1.0


def test_a_frame_of_blender_is_saved_when_its_line_has_ended() -> None:
    tracker = ProgressTracker("blender", total=2)
    assert tracker.feed_unfinished("Saved: '/tmp/frames/fr") is None
    assert tracker.feed("Saved: '/tmp/frames/frame_0001.png'") == 0.5
    assert tracker.feed_unfinished("Fra:2 Mem:1M | Sample 8/16 ") == 0.75
    assert tracker.feed("Fra:2 Mem:1M | Sample 8/16 | done") is None
    assert tracker.feed("Saved: '/tmp/frames/frame_0002.png'") == 1.0


def test_several_files_of_a_frame_of_blender_5_count_once_by_the_numbers_in_their_names() -> None:
    tracker = ProgressTracker("blender", total=4)
    said = "00:01.0  render           | Saved: '"
    paths = ["/f/depth/0001.exr", "/f/rgb/0001.png", "/f/depth/0002.exr", "/f/rgb/0002.png", "/f/3/cam.png"]
    assert fractions(tracker, *(f"{said}{path}'" for path in paths)) == [0.25, None, 0.5, None, 0.75]
    carried_on = ProgressTracker("blender", total=4).restore(json.loads(json.dumps(tracker.to_dict())))
    assert fractions(carried_on, f"{said}/f/3/depth.exr'", f"{said}/f/4/cam.png'") == [None, 1.0]


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.text(st.sampled_from("0125%/ Fra:Saved'"), max_size=30))), st.booleans())
def test_with_lines_that_have_not_ended_it_never_falls_either(lines: list[tuple[bool, str]], blender: bool) -> None:
    tracker = ProgressTracker("blender" if blender else None, total=3)
    told = [tracker.feed(text) if is_line else tracker.feed_unfinished(text) for is_line, text in lines]
    fractions = [fraction for fraction in told if fraction is not None]
    assert fractions == sorted(set(fractions))
    assert all(0 <= fraction <= 1 for fraction in fractions)
