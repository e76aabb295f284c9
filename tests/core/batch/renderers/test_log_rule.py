"""Why a renderer failed, from the logs of real ones: what is the machine's is told apart from what is the scene's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from growth import slow_text

from octa_provider.batch.renderers import log_rule
from octa_provider.batch.renderers.blender import blender
from octa_provider.batch.renderers.blender_log import BLENDER_RULES
from octa_provider.batch.renderers.log_rule import LogRule
from octa_provider.batch.renderers.renderer import RULES_OF_ALL, Renderer
from octa_provider.errors import OctaConfigError

DATA = Path(__file__).resolve().parents[3] / "data"
LOGS = DATA / "blender_failures"


@pytest.mark.parametrize("version", ["4.5", "5.2"])
@pytest.mark.parametrize(
    ("log", "exit_code", "kind", "said"),
    [
        ("no_device", 1, "no device", "Error: Found no Cycles device of the specified type"),
        ("no_device", 0, "no device", "Error: Found no Cycles device of the specified type"),
        ("no_file", 1, "scene error", 'Error: Cannot read file "/home/render/octa-batch/scene/nowhere.blend"'),
        ("cut_file", 1, "scene error", "Missing DNA block"),
        ("python_error", 1, "scene error", 'bad_script.py: KeyError: \'bpy_prop_collection[key]: key "Hero" not found'),
        ("no_engine", 1, "scene error", "Error: engine not found 'LUXCORE'"),
    ],
)
def test_a_failure_of_blender_is_read_from_its_log(
    version: str, log: str, exit_code: int, kind: str, said: str
) -> None:
    failure = blender().failure_of((LOGS / f"{version}_{log}.log").read_text(), exit_code)
    assert failure is not None
    assert failure.kind == kind
    assert said in failure.message


@pytest.mark.parametrize("log", sorted(path.name for path in DATA.glob("blender_*.log")))
def test_a_log_of_frames_that_were_rendered_has_no_failure(log: str) -> None:
    text = (DATA / log).read_text()
    assert blender().failure_of(text, 0) is None
    failure = blender().failure_of(text, 139)
    assert failure is not None
    assert (failure.kind, failure.message.partition(":")[0]) == ("failed", "exit code 139")


@pytest.mark.parametrize("version", ["4.5", "5.2"])
def test_a_full_disk_that_blender_does_not_see_is_no_failure_of_the_log(version: str) -> None:
    assert blender().failure_of((LOGS / f"{version}_disk_full.log").read_text(), 0) is None


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Error: System is out of GPU and shared host memory", "out of memory"),
        ("00:12.345  cycles           | ERROR System is out of GPU memory", "out of memory"),
        ("Out of memory in cuStreamCreate(&cuda_stream_, CU_STREAM_NON_BLOCKING)", "out of memory"),
        ("Failed to create CUDA context (Out of memory)", "out of memory"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "out of memory"),
        ("Failed to create CUDA context (Unknown error)", "no device"),
        ("OPTIX_ERROR_UNSUPPORTED_ABI_VERSION in optixInit", "no device"),
        ("Error: OPTX is not a valid Cycles device.", "no device"),
        ("00:00.828  cycles           | ERROR NONSENSE is not a valid Cycles device.", "no device"),
        ("cp: error writing 'frame_0001.png': No space left on device", "disk full"),
        ("Error: Cannot render, no camera", "scene error"),
    ],
)
def test_lines_that_mean_something(line: str, kind: str) -> None:
    failure = blender().failure_of(f"Blender 4.5.15 LTS\n{line}\n\nBlender quit\n", 1)
    assert failure is not None
    assert (failure.kind, failure.message) == (kind, line)


def test_a_process_that_was_killed_had_no_memory_left() -> None:
    for renderer_ in (blender(), Renderer("i", "render {frame}")):
        failure = renderer_.failure_of("Fra:1 Mem:8.40M\n", 137)
        assert failure is not None
        assert failure.kind == "out of memory"


def test_the_user_s_rules_come_first_and_hold_for_any_renderer() -> None:
    povray = Renderer("povray:3.7", "povray {scene} +K{frame}", log_rules=(LogRule("Parse Error: ", "scene error"),))
    failure = povray.failure_of("File 'a.pov' line 3: Parse Error: Expected 'object'\nFatal error in parser\n", 1)
    assert failure is not None
    assert failure.kind == "scene error"
    mine = Renderer("i", "r {frame}", log_rules=(LogRule("No space left", "out of memory"),))
    failure = mine.failure_of("No space left on device", 0)
    assert failure is not None
    assert failure.kind == "out of memory"


def test_what_nobody_saw_end_is_told_as_that() -> None:
    failure = Renderer("i", "r {frame}").failure_of("", None)
    assert failure is not None
    assert failure.message == "ended in a way nobody saw: it wrote no log"


def test_what_is_told_is_one_plain_line_however_hostile_the_log() -> None:
    failure = blender().failure_of('\x1b]0;x\x07octa\n\nError: Loading "\x1b[2J\u202eabc' + "y" * 5000, 1)
    assert failure is not None
    assert failure.kind == "scene error"
    assert len(failure.message) <= 300
    assert failure.message.isprintable()


def test_our_own_source_in_a_log_is_not_taken_for_an_error_of_the_scene() -> None:
    echoed = "Error: something, expr: 'import os\n    print(\"octa-scene-error: \" + x)'\n"
    failure = Renderer("i", "r {frame}").failure_of(echoed, 1)
    assert failure is not None
    assert failure.kind == "failed"


@pytest.mark.parametrize("rule", [*BLENDER_RULES, *RULES_OF_ALL])
def test_no_rule_of_ours_is_slower_than_linear(rule: LogRule) -> None:
    assert slow_text(re.compile(rule.pattern), log_rule.MOST_LINE_CHARS) is None


@pytest.mark.parametrize(
    ("pattern", "kind", "said"), [("(", "scene error", "no regular expression"), ("a", "other", "kind must be one of")]
)
def test_a_rule_that_is_none_is_refused(pattern: str, kind: str, said: str) -> None:
    with pytest.raises(OctaConfigError, match=said):
        LogRule(pattern, kind)


@pytest.mark.parametrize("pattern", ["(a+)+$", r"(?:\d*,?)*x", r"(a)\1+", "(x{1,9}y?){2,}"])
def test_a_rule_that_a_hostile_log_could_hang_is_refused(pattern: str) -> None:
    with pytest.raises(OctaConfigError, match="could take for ever"):
        LogRule(pattern, "scene error")


@pytest.mark.parametrize("pattern", [r"(?:Parse|Fatal) Error: .*", r"a{2,3}(b|c)", r"\(x+\)+", "[(+]+(x)", "(ab)+"])
def test_an_ordinary_rule_is_taken(pattern: str) -> None:
    assert LogRule(pattern, "scene error").pattern == pattern
