"""A command's places are known ones, and a Blender line that would render something else is refused."""

from __future__ import annotations

import pytest

from octa_provider.batch.renderers.command_template import CommandTemplate
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.errors import OctaConfigError


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("render {scene}", "no place for the frames"),
        ("", "empty"),
        ([], "empty"),
        ("render '{frame}", "can't be split into words"),
        ("render {frames} {frame}", "one of the three"),
        ("render {start}", "needs both"),
        ("render {frame} {fraem}", "{fraem} is not known"),
        ("render {frame:x}", "{frame:x} is not known"),
        ("render {frames:+}", "{frames:+} is not known"),
        ("render {frame} {", "single brace"),
        ("render {frame} {0}", "single brace"),
        (["render", "{frame}\0"], "NUL"),
        (["render", "{frame}", "x" * 100_001], "100000 bytes"),
        ("blender -b {scene} -f {frames} -o {output}/f_####", "-o stands after -f"),
        ("/opt/blender-4.5/blender -b {scene} --render-frame {frame} -F PNG -- x", "-F stands after --render-frame"),
        ("blender -b {scene} -s {start} -e {end} -a -x 1", "-x stands after -a"),
        ("blender -b {scene} -a -S Other -s {start} -e {end}", "-S stands after -a"),
        ("blender -b {scene} -o {output}/f_#### -F FFMPEG -f {frames}", "FFMPEG is a video"),
        (7, "text or a list of words"),
        (["render", 7], "text or a list of words"),
    ],
)
def test_a_command_that_can_t_render_the_frames_is_refused_in_one_sentence(command: object, said: str) -> None:
    with pytest.raises(OctaConfigError) as refused:
        Renderer("image", command)  # type: ignore[arg-type]
    assert said in str(refused.value)


def test_what_stands_behind_the_two_dashes_is_left_to_scripts() -> None:
    CommandTemplate.parse("blender -b {scene} -o {output}/f_#### -f {frames} -- -o mine")


def test_braces_that_are_meant_so_are_written_twice() -> None:
    assert CommandTemplate.parse(["awk", "{{print}}", "{frame}"]).parts[1] == ("{", "print", "}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"image": ""}, "image must be"),
        ({"image": 7}, "image must be"),
        ({"files": ()}, "files must be"),
        ({"files": "frame_{frame}.png"}, "files must be"),
        ({"files": ("a{frame}.png", "a{frame}.png")}, "each name once"),
        ({"max_frames_per_process": 0}, "max_frames_per_process"),
        ({"max_frames_per_process": True}, "max_frames_per_process"),
        ({"log_rules": ("Error",)}, "log_rules"),
    ],
)
def test_other_arguments_that_can_t_work_are_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(OctaConfigError, match=said):
        Renderer(**{"image": "image", "command": "render {frame}", **arguments})  # type: ignore[arg-type]


def test_only_a_command_of_one_frame_can_skip_by_itself() -> None:
    assert Renderer("i", "render {frame}", can_skip=False).can_skip is True
    assert Renderer("i", "render {start} {end}").can_skip is False
    assert Renderer("i", "render {frames}", can_skip=True).can_skip is True
