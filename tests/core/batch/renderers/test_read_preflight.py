"""What a scene says of itself is a stranger's text: read, bounded, made plain, and never a crash."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octa_provider.batch.renderers.preflight import MARK, Preflight, read_preflight
from octa_provider.batch.renderers.renderer import Renderer

SAID = Preflight(
    problems=("the image 'wood' is missing: /a/wood.png",),
    warnings=("not baked",),
    size=(1920, 1080),
    scene="Shot ü",
    engine="CYCLES",
    camera="Camera",
    format="PNG",
    version="4.5.15 LTS",
    view_layers=("ViewLayer", "Fog"),
    must_be_in_order=True,
    has_stamp=True,
    extra_outputs=("z_{frame:04d}.exr",),
)


def line(data: object) -> str:
    return f"Blender 5.2.3 LTS\n{MARK}{json.dumps(data)}\n00:01.022  render | bye\n\nBlender quit\n"


def test_what_was_said_is_read_among_all_else() -> None:
    assert read_preflight(line(SAID.to_dict())) == SAID
    assert read_preflight("x" * 3_000_000 + "\n" + line(SAID.to_dict())) == SAID


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("", "the scene did not say anything of itself: nothing was printed"),
        ("Error: no\n\n", "the scene did not say anything of itself: Error: no"),
        (f"{MARK}{{\n", f"the scene did not say anything of itself: {MARK}{{"),
        (f"{MARK}[1]\n", f"the scene did not say anything of itself: {MARK}[1]"),
        ("\nocta-scene-error: there is no scene 'A'\nTraceback\n", "there is no scene 'A'"),
        (MARK + "[" * 200_000, "the scene did not say anything of itself: " + MARK),
    ],
)
def test_what_can_t_be_read_is_a_problem(output: str, problem: str) -> None:
    said = read_preflight(output)
    assert len(said.problems) == 1
    assert said.problems[0].startswith(problem.strip())
    assert said == Preflight(problems=said.problems)


@pytest.mark.parametrize(
    "size", [[0, 1], [1], [1, 2, 3], [True, 1], ["1", 1], [1.5, 2], [10**9, 1], "12", None, {"a": 1}]
)
def test_a_size_that_is_none_is_left_out(size: object) -> None:
    assert read_preflight(line({"size": size})).size is None


def test_what_is_long_or_odd_is_cut_and_made_plain() -> None:
    said = read_preflight(
        line({"problems": ["x" * 600] * 1000, "scene": "a\x1b[2J\u202eb\nc", "view_layers": [1, None, "a"]})
    )
    assert len(said.problems) == 201
    assert said.problems[-1] == "and 800 more"
    assert all(len(problem) <= 500 for problem in said.problems)
    assert said.scene == "ab c"
    assert said.view_layers == ("a",)
    assert read_preflight(line({"must_be_in_order": 1, "has_stamp": "yes"})).must_be_in_order is False


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*SAID.to_dict(), "x"]), inner),
)


@given(st.text() | anything.map(line))
def test_nothing_that_is_said_raises_and_all_of_it_is_plain(output: str) -> None:
    said = read_preflight(output)
    texts = [*said.problems, *said.warnings, *said.view_layers, *said.extra_outputs, said.scene, said.engine]
    assert all(text is None or (len(text) <= 500 and "\n" not in text and "\x1b" not in text) for text in texts)
    json.dumps(said.to_dict())


def test_a_command_can_t_be_asked() -> None:
    assert Renderer("i", "render {frame}").preflight_script("a.pov") is None
    assert Renderer("i", "render {frame}").read_preflight(line(SAID.to_dict())) == SAID
