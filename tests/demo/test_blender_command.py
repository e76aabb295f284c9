"""The emulated machines' `blender` takes Blender's arguments and renders real frames with Blender's own code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from demo.contact_sheet import check_frames
from octa_provider.emulator.container import blender_arguments, blender_command
from tests.forked_python import run_python

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = REPOSITORY / "octa_provider" / "emulator" / "container" / "blender_command.py"
SIZE = (64, 36)


def blender_python() -> str:
    """The interpreter that has bpy: the one the Makefile names, else the one that it makes."""
    return os.environ.get("OCTA_EMULATOR_BLENDER_PYTHON") or str(REPOSITORY / ".venvs" / "blender" / "bin" / "python")


def run_blender(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_python(
        [blender_python(), COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=600, check=False
    )


def frame_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's scene, small and rough."""
    path = tmp_path_factory.mktemp("scene") / "scene.blend"
    make = [blender_python(), REPOSITORY / "demo" / "make_scene.py", path, "--size", *map(str, SIZE), "--samples", "1"]
    run_python([str(part) for part in make], check=True, capture_output=True, timeout=600)
    return path


def test_start_end_output_and_format_stand_before_the_animation(scene: Path) -> None:
    done = run_blender("-b", scene, "-s", 3, "-e", 5, "-o", "//frames/frame_####", "-F", "PNG", "-x", 1, "-a")
    assert done.returncode == 0, done.stderr
    assert frame_names(scene.parent / "frames") == ["frame_0003.png", "frame_0004.png", "frame_0005.png"]
    frames, problems = check_frames(scene.parent / "frames", [3, 4, 5], SIZE)
    assert problems == []
    assert len(frames) == 3
    assert done.stdout.startswith("Blender ")
    assert done.stdout.endswith("Blender quit\n")
    assert done.stdout.count("Saved: ") == 3


def test_what_stands_after_the_animation_comes_too_late(scene: Path, tmp_path: Path) -> None:
    done = run_blender("-b", scene, "-s", 1, "-e", 1, "-o", tmp_path / "a-##", "-a", "-e", 9, "-o", tmp_path / "b-##")
    assert done.returncode == 0, done.stderr
    assert frame_names(tmp_path) == ["a-01.png"]


def test_frames_ranges_and_steps(scene: Path, tmp_path: Path) -> None:
    run_blender("-b", scene, "-o", tmp_path / "##", "-f", "2,5..6", "-s", 20, "-e", 24, "-j", 4, "-t", 1, "-a")
    assert frame_names(tmp_path) == ["02.png", "05.png", "06.png", "20.png", "24.png"]


def test_relative_frames_count_from_the_range(scene: Path, tmp_path: Path) -> None:
    run_blender("-b", scene, "-o", tmp_path / "##", "-f", "+2", "-f", "-1")
    assert frame_names(tmp_path) == ["03.png", "24.png"]


def test_another_format_gets_its_own_ending(scene: Path, tmp_path: Path) -> None:
    run_blender("-b", scene, "-o", tmp_path / "frame_", "-F", "JPEG", "-f", 1)
    assert frame_names(tmp_path) == ["frame_0001.jpg"]
    with Image.open(tmp_path / "frame_0001.jpg") as picture:
        assert picture.format == "JPEG"


def test_an_empty_range_renders_nothing(scene: Path, tmp_path: Path) -> None:
    done = run_blender("-b", scene, "-o", tmp_path / "##", "-s", 9, "-e", 3, "-a")
    assert done.returncode == 0
    assert frame_names(tmp_path) == []


def test_a_missing_file_fails(tmp_path: Path) -> None:
    done = run_blender("-b", tmp_path / "nowhere.blend", "-o", tmp_path / "##", "-a")
    assert done.returncode == 1
    assert f'Error: Cannot read file "{tmp_path / "nowhere.blend"}"' in done.stdout + done.stderr
    assert frame_names(tmp_path) == []


def test_a_place_that_cannot_be_written_fails(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = run_blender("-b", scene, "-o", tmp_path / "file" / "##", "-f", 1)
    assert done.returncode == 1
    assert "Saved" not in done.stdout


def test_a_bad_number_is_told_and_the_rest_goes_on(scene: Path, tmp_path: Path) -> None:
    done = run_blender("-b", scene, "-o", tmp_path / "##", "-s", "one", "-f", "1,,2", "-f", 2)
    assert done.returncode == 0
    assert "Error: not a number '-s / --frame-start one'." in done.stderr
    assert "Error: incorrect comma use" in done.stderr
    assert frame_names(tmp_path) == ["02.png"]


def test_a_script_may_fail_unless_an_exit_code_is_set(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint('after the dashes:', sys.argv[sys.argv.index('--') + 1:])\n1 / 0\n")
    lenient = run_blender("-b", "-P", script, "--", "one", "two")
    assert lenient.returncode == 0
    assert "after the dashes: ['one', 'two']" in lenient.stdout
    assert "ZeroDivisionError" in lenient.stderr
    strict = run_blender("-b", "--python-exit-code", 7, "-P", script, "--python-expr", "print('not reached')", "--")
    assert strict.returncode == 7
    assert "not reached" not in strict.stdout


def test_an_expression_that_fails_is_repeated_in_full(tmp_path: Path) -> None:
    done = run_blender("-b", "--python-exit-code", 3, "--python-expr", "x = 1\n1 / 0")
    assert done.returncode == 3
    assert "Error: script failed, expr: 'x = 1\n1 / 0', exiting." in done.stderr


def test_a_format_is_set_over_a_video_s(scene: Path, tmp_path: Path) -> None:
    video = (
        "import bpy; settings = bpy.context.scene.render.image_settings\n"
        "if hasattr(settings, 'media_type'): settings.media_type = 'VIDEO'\n"
        "settings.file_format = 'FFMPEG'"
    )
    for format, ending in (("PNG", "png"), ("OPEN_EXR_MULTILAYER", "exr"), ("EXR", "exr")):
        out = tmp_path / format
        done = run_blender("-b", scene, "--python-expr", video, "-o", out / "##", "-F", format, "-x", 1, "-f", 1)
        assert done.returncode == 0, done.stderr
        assert frame_names(out) == [f"01.{ending}"]


def test_help_and_version_need_no_scene() -> None:
    assert "Arguments are executed in the order they are given." in run_blender("--help").stdout
    assert run_blender("--version").stdout.startswith("Blender ")


def test_the_scene_moves_in_every_one_of_its_frames(scene: Path, tmp_path: Path) -> None:
    run_blender("-b", scene, "-o", tmp_path / "frame_####", "-a")
    frames, problems = check_frames(tmp_path, range(1, 25), SIZE)
    assert problems == []
    assert len({frame.picture.tobytes() for frame in frames}) == 24


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("3", [3]),
        ("1,3,5..8", [1, 3, 5, 6, 7, 8]),
        ("+2", [12]),
        ("-1", [20]),
        ("+0..-1", list(range(10, 21))),
        ("8..5", []),
    ],
)
def test_frames_are_read_as_blender_reads_them(text: str, frames: list[int]) -> None:
    assert [frame for part in blender_arguments.parse_frames(text, first=10, last=20) for frame in part] == frames


@pytest.mark.parametrize("text", ["", "1,", "a", "1..b", "1.5", "1...3", "--1"])
def test_what_is_no_frame_is_refused(text: str) -> None:
    with pytest.raises(blender_arguments.ArgumentError):
        blender_arguments.parse_frames(text, first=1, last=2)


def test_frames_stay_within_blender_s_limits() -> None:
    assert blender_arguments.parse_frame("99999999", forward_from=1, back_from=1) == 1048574


def test_the_range_that_was_asked_for_is_kept_when_bpy_moves_its_end() -> None:
    scene = SimpleNamespace(frame_start=1, frame_end=24)
    bpy = SimpleNamespace(context=SimpleNamespace(scene=scene, window=None))
    blender = blender_command.BlenderCommand(bpy)
    blender.run(["-s", "30", "-e", "40"])
    assert (blender.first, blender.last) == (30, 40)
    assert (scene.frame_start, scene.frame_end) == (30, 40)


def test_negative_frames_are_rendered_and_named(scene: Path, tmp_path: Path) -> None:
    done = run_blender("-b", scene, "-o", tmp_path / "####", "-s", "-3", "-e", 2, "-a", "-s", 1, "-f", "0")
    assert done.returncode == 0, done.stderr
    assert frame_names(tmp_path) == ["-0001.png", "-0002.png", "0000.png", "0001.png", "0002.png"]
    assert done.stdout.count("Saved: ") == 6
    pictures = {name: (tmp_path / name).read_bytes() for name in frame_names(tmp_path)}
    assert len(set(pictures.values())) == 5


def test_negative_frames_keep_the_step_the_ending_and_the_output_path(scene: Path, tmp_path: Path) -> None:
    run_blender(
        *("-b", scene, "-o", tmp_path / "a##b", "-F", "JPEG", "-s", "-4", "-e", 1, "-j", 2, "-a"),
        *("-x", 0, "-s", "+5", "-e", 3, "-j", 1, "-a"),
    )
    assert frame_names(tmp_path) == ["a-01b.jpg", "a-03b.jpg", "a01b.jpg", "a02b", "a03b"]


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory, scene: Path) -> Path:
    """The scene with a text that registers itself and one that does not; each narrows the picture."""
    path = tmp_path_factory.mktemp("scripted") / "scripted.blend"
    make = (
        "import bpy\n"
        "for name, width, marked in (('itself', 32, True), ('asked', 16, False)):\n"
        "    text = bpy.data.texts.new(name)\n"
        "    text.write(f'import bpy\\nbpy.context.scene.render.resolution_x = {width}\\n')\n"
        "    text.use_module = marked\n"
        "bpy.data.texts['itself'].name = 'itself.py'\n"
        f"bpy.ops.wm.save_as_mainfile(filepath={str(path)!r})\n"
    )
    run_blender("-b", scene, "--python-expr", make)
    return path


def width(path: Path) -> int:
    with Image.open(path) as picture:
        return int(picture.width)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), SIZE[0]),
        (("-Y",), SIZE[0]),
        (("-y",), 32),
        (("--enable-autoexec",), 32),
        (("-y", "-Y"), SIZE[0]),
        (("--python-text", "asked"), 16),
        (("--python-text", "itself.py"), 32),
    ],
)
def test_scripts_of_the_file_run_when_they_are_allowed_or_asked_for(
    scripted: Path, tmp_path: Path, words: tuple[str, ...], expected: int
) -> None:
    done = run_blender("-b", scripted, *words, "-o", tmp_path / "##", "-f", 1)
    assert done.returncode == 0, done.stderr
    assert width(tmp_path / "01.png") == expected


def test_a_text_that_is_not_there_fails_if_scripts_may_not(scripted: Path, tmp_path: Path) -> None:
    lenient = run_blender("-b", scripted, "--python-text", "nobody", "-o", tmp_path / "##", "-f", 1)
    assert (lenient.returncode, frame_names(tmp_path)) == (0, ["01.png"])
    assert "text block not found nobody" in lenient.stderr
    strict = run_blender("-b", scripted, "--python-exit-code", 9, "--python-text", "nobody", "-f", 1)
    assert strict.returncode == 9


@pytest.mark.parametrize(
    "words",
    [
        ("--log-level", "1", "--verbose", "2", "--debug-cycles", "-d", "--addons", "io_scene_fbx,nobody_s_addon"),
        ("--log", "*", "--log-file", "/dev/null", "--log-show-backtrace", "--debug-memory", "--debug-value", "3"),
        ("-p", "0", "0", "640", "480", "-w", "--gpu-backend", "opengl", "-setaudio", "None", "-noaudio"),
        ("-E", "BLENDER_EEVEE", "--app-template", "2D_Animation", "--online-mode", "--python-use-system-env"),
        ("-E", "BLENDER_EEVEE_NEXT", "--debug", "--debug-depsgraph-eval", "--no-window-focus", "-q"),
    ],
)
def test_blenders_other_arguments_are_taken(scene: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run_blender("-b", scene, *words, "-o", tmp_path / "##", "-f", 1)
    assert done.returncode == 0, done.stderr
    assert "unknown argument" not in done.stderr
    assert frame_names(tmp_path) == ["01.png"]


def test_without_the_background_there_is_no_display_to_open(scene: Path, tmp_path: Path) -> None:
    done = run_blender(scene, "-o", tmp_path / "##", "-f", 1, "--", "-b")
    assert done.returncode == 1
    assert "display" in done.stderr
    assert frame_names(tmp_path) == []
    behind = run_blender(scene, "-o", tmp_path / "##", "-f", 1, "--background")
    assert (behind.returncode, frame_names(tmp_path)) == (0, ["01.png"])


def test_an_argument_that_blender_has_not_is_loaded_as_a_file_and_fails(scene: Path, tmp_path: Path) -> None:
    done = run_blender("-b", scene, "--no-such-thing", "-o", tmp_path / "##", "-f", 1)
    assert done.returncode == 1
    assert "unknown argument, loading as file: --no-such-thing" in done.stderr
    assert run_blender("-b", "-c", "extension").returncode == 1


def test_the_console_reads_its_standard_input(tmp_path: Path) -> None:
    done = subprocess.run(
        [blender_python(), COMMAND, "-b", "--python-console"],
        input=f"open({str(tmp_path / 'said')!r}, 'w').close()\n",
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert frame_names(tmp_path) == ["said"]
