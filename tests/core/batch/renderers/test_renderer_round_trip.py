"""A renderer is kept in the batch's folder as JSON and comes back the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from octa_provider.batch.renderers.blender import blender
from octa_provider.batch.renderers.log_rule import LogRule
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.errors import OctaConfigError


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "tune.py"
    path.write_text("import bpy\nbpy.context.scene.cycles.samples = 3  # ü\n")
    return path


def test_it_comes_back_the_same(script: Path) -> None:
    for renderer in (
        Renderer("povray:3.7", "povray {scene} +O{output}/f_{frame:04d}.png"),
        Renderer(
            "i",
            ["render", "a b", "{frames:-}"],
            files=("x{frame}.png", "y{frame}.exr"),
            progress=r"(?P<percent>\d+)",
            log_rules=(LogRule("bad", "scene error"),),
            can_skip=True,
            max_frames_per_process=5,
        ),
        blender(),
        blender(
            "blender:5.2",
            scene="Shot ü",
            device="OPTIX+CPU",
            format="exr",
            python=[script],
            addons=["io_scene_fbx"],
            view_layers=["a", "b"],
            engine="CYCLES",
            samples=12,
            ocio="ocio://default",
            files=["a/b_{frame:05d}.exr", "z_{frame:04d}.exr"],
            scripts_of_the_file=False,
            allow_missing=True,
            max_frames_per_process=3,
        ),
    ):
        again = Renderer.from_dict(json.loads(json.dumps(renderer.to_dict())))
        assert again == renderer
        assert hash(again) == hash(renderer)
        assert again.process_script([1, 2], "a.blend") == renderer.process_script([1, 2], "a.blend")
        assert json.loads(json.dumps(again.settings())) == json.loads(json.dumps(renderer.settings()))


def test_settings_differ_by_what_decides_about_the_pictures_and_by_nothing_else(script: Path) -> None:
    plain = blender().settings()
    for other in (
        blender("blender:5.2"),
        blender(scene="B"),
        blender(samples=1),
        blender(python=[script]),
        blender(format="JPEG"),
        blender(engine="CYCLES"),
        blender(ocio="c.ocio"),
        blender(view_layers=["a"]),
        blender(device="CPU"),
    ):
        assert other.settings() != plain
    assert blender(max_frames_per_process=3, allow_missing=True).settings() == plain


def test_a_script_that_changed_on_disk_afterwards_changes_nothing(script: Path) -> None:
    before = blender(python=[script])
    script.write_text("print('other')\n")
    assert "samples = 3" in before.process_script([1], "a.blend")
    assert blender(python=[script]).settings() != before.settings()


@pytest.mark.parametrize("data", [{}, {"kind": "other"}, {"kind": "command"}, {"kind": "blender", "log_rules": [1]}])
def test_what_another_version_wrote_is_refused_in_one_sentence(data: dict[str, object]) -> None:
    with pytest.raises(OctaConfigError, match="another version"):
        Renderer.from_dict(data)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"format": "FFMPEG"}, "FFMPEG is a video"),
        ({"format": "BMP"}, "format must be one of"),
        ({"device": "GPU"}, "device must be auto or one of"),
        ({"device": "CPU+CPU"}, "device must be"),
        ({"samples": 0}, "samples must be"),
        ({"scene": ""}, "scene must be"),
        ({"engine": "a\nb"}, "engine must be"),
        ({"addons": ["a'b"]}, "addons must be"),
        ({"addons": ["a,b"]}, "addons must be"),
        ({"view_layers": [""]}, "view_layers must be"),
        ({"files": ["a_{frame}.png"], "format": "EXR"}, "must end in .exr"),
        ({"python": ["nowhere.py"]}, "nowhere.py"),
        ({"python": 7}, "python must be"),
    ],
)
def test_what_blender_can_t_do_is_refused_before_anything_is_rented(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(OctaConfigError, match=said) if said != "nowhere.py" else pytest.raises(Exception, match=said):
        blender(**arguments)  # type: ignore[arg-type]


def test_a_python_file_with_an_error_in_it_is_refused_here(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def f(:\n")
    with pytest.raises(OctaConfigError, match="no Python file"):
        blender(python=[tmp_path / "bad.py"])
    (tmp_path / "bad.py").write_bytes(b"\xff\xfe")
    with pytest.raises(OctaConfigError, match="not UTF-8"):
        blender(python=[tmp_path / "bad.py"])
    (tmp_path / "bad.py").write_text("#" * 100_000)
    with pytest.raises(OctaConfigError, match="bytes"):
        blender(python=[tmp_path / "bad.py"])


def test_frames_that_blender_can_t_render_are_refused_in_one_sentence() -> None:
    with pytest.raises(OctaConfigError, match="can't render frame -2: it takes a negative number as one from the end"):
        blender().process_script([1, -2], "a.blend")
    with pytest.raises(OctaConfigError, match="its highest is 1048574"):
        blender().check_frames([2_000_000])


def test_the_devices_are_tried_in_order_and_only_where_cycles_renders() -> None:
    assert blender().devices == ("OPTIX", "CUDA")
    assert blender(device="CPU").devices == ("CPU",)
    assert blender(engine="BLENDER_EEVEE_NEXT").devices == ()
    assert "-- --cycles-device OPTIX ||" in blender().process_script([1], "a.blend", device="OPTIX")
    assert "cycles-device" not in blender().process_script([1], "a.blend")


def test_scenes_of_a_folder(tmp_path: Path) -> None:
    for name in ("b/shot.blend", "a.BLEND", "notes.txt", "a.blend1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.blend").mkdir()
    assert blender().scenes_in(tmp_path) == ["a.BLEND", "b/shot.blend"]
    assert Renderer("i", "r {frame}").scenes_in(tmp_path) == ["a.BLEND", "a.blend1", "b/shot.blend", "notes.txt"]
