"""Names of frames' files are read once, and say the same to Python, to a shell and to Blender."""

from __future__ import annotations

import subprocess

import pytest

from octa_provider.batch.renderers.file_pattern import FilePattern
from octa_provider.batch.renderers.shell_words import beginning
from octa_provider.errors import OctaConfigError


@pytest.mark.parametrize(
    ("pattern", "frame", "name", "for_blender"),
    [
        ("frame_{frame:04d}.png", 7, "frame_0007.png", "frame_####"),
        ("frame_{frame:04d}.png", 123456, "frame_123456.png", "frame_####"),
        ("{frame}.exr", 7, "7.exr", "#"),
        ("it's a/deep $(x)/f-{frame:06d}-b.exr", 12, "it's a/deep $(x)/f-000012-b.exr", "it's a/deep $(x)/f-######-b"),
        ("frame_{frame:04d}.png", -3, "frame_-003.png", "frame_####"),
        ("v1.2_{frame:03d}", 0, "v1.2_000", "v1.2_###"),
    ],
)
def test_a_name_is_the_same_for_python_for_a_shell_and_for_blender(
    pattern: str, frame: int, name: str, for_blender: str
) -> None:
    read = FilePattern.parse(pattern)
    script = beginning("main", 0, 1, None) + f"pad {frame} {read.width}; printf %s {read.in_shell()}"
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == name
    assert read.name(frame) == name
    assert read.for_blender() == for_blender


@pytest.mark.parametrize(
    "pattern",
    [
        *("frame.png", "{frame}{frame}.png", "{frame:4}.png", "{frame:x}.png", "{other}.png", "{frame}{x}.png"),
        *("/frame_{frame}.png", "../{frame}.png", "a/../{frame}.png", "a//{frame}.png", ".octa/{frame}.png"),
        *("{frame}/a.png", "-{frame}.png", "a#{frame}.png", "a\n{frame}.png", "a\\{frame}.png", "x" * 300 + "{frame}"),
        *(7, None, ["{frame}.png"], ""),
    ],
)
def test_what_is_no_name_below_the_folder_is_refused(pattern: object) -> None:
    with pytest.raises(OctaConfigError) as refused:
        FilePattern.parse(pattern)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
