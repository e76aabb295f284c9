"""A batch's process renders with Blender's own code: frames can be taken over, and nothing else is rendered."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from test_blender_command import COMMAND, blender_python

from octa_provider.batch.renderers.blender import blender
from octa_provider.batch.renderers.blender_renderer import BlenderRenderer
from octa_provider.batch.renderers.local_preflight import local_preflight
from octa_provider.batch.renderers.preflight import Preflight
from octa_provider.errors import OctaConfigError
from tests.forked_python import run_python

SIZE = (48, 27)
#: Made once, each a small scene: the code that changes Blender's own.
SCENES = {
    "plain": "",
    "two": "two = bpy.data.scenes.new('Two'); two.camera = scene.camera; two.render.resolution_x = 10",
    "bare": "scene.camera = None",
    "exr": "scene.render.image_settings.file_format = 'OPEN_EXR'",
    "missing": (
        "image = bpy.data.images.new('wood', 4, 4); image.source = 'FILE'; image.filepath = '//textures/wood.png'\n"
        "other = bpy.data.images.new('sky', 4, 4); other.source = 'FILE'; other.filepath = '/home/anna/sky.exr'\n"
        "near = bpy.data.images.new('near', 4, 4); near.source = 'FILE'; near.filepath = '//../near.png'\n"
        "tiles = bpy.data.images.new('tiles', 4, 4, tiled=True); tiles.filepath = '//t.<UDIM>.png'\n"
        "tiles.tiles.new(1002)\n"
        "for one in bpy.data.images: one.use_fake_user = False\n"
        "tree = bpy.data.materials['Material'].node_tree\n"
        "for one in (image, other, near, tiles): tree.nodes.new('ShaderNodeTexImage').image = one\n"
        "unused = bpy.data.images.new('unused', 4, 4); unused.source = 'FILE'; unused.filepath = '//unused.png'\n"
        "unused.use_fake_user = True\n"
    ),
    "layers": "scene.view_layers.new('Fog')",
    "cloth": "bpy.data.objects['Cube'].modifiers.new('c', 'CLOTH')",
    "simulations": (
        "def add(name, kind):\n"
        "    thing = bpy.data.objects.new(name, bpy.data.meshes.new(name)); scene.collection.objects.link(thing)\n"
        "    return thing.modifiers.new('m', kind)\n"
        "add('Flag', 'CLOTH'); add('Jelly', 'SOFT_BODY'); add('Hidden', 'CLOTH').show_render = False\n"
        "add('Dust', 'PARTICLE_SYSTEM').particle_system.settings.count = 5\n"
        "add('Fur', 'PARTICLE_SYSTEM').particle_system.settings.type = 'HAIR'\n"
        "add('Still', 'PARTICLE_SYSTEM').particle_system.settings.physics_type = 'NO'\n"
        "add('Sea', 'FLUID').fluid_type = 'DOMAIN'; add('Source', 'FLUID').fluid_type = 'FLOW'\n"
        "tree = bpy.data.node_groups.new('Grow', 'GeometryNodeTree')\n"
        "one, two = tree.nodes.new('GeometryNodeSimulationInput'), tree.nodes.new('GeometryNodeSimulationOutput')\n"
        "one.pair_with_output(two); outer = bpy.data.node_groups.new('Outer', 'GeometryNodeTree')\n"
        "outer.nodes.new('GeometryNodeGroup').node_tree = tree\n"
        "add('Moss', 'NODES').node_group = outer\n"
        "bpy.ops.rigidbody.world_add(); bricks = bpy.data.collections.new('b')\n"
        "scene.rigidbody_world.collection = bricks; bricks.objects.link(bpy.data.objects['Flag'])\n"
        "bpy.context.view_layer.objects.active = bpy.data.objects['Cube']\n"
        "bpy.ops.rigidbody.object_add()\n"
    ),
    "braces": (
        "scene.render.use_compositing = True\n"
        "old = bpy.app.version < (5, 0)\n"
        "if old: scene.use_nodes = True; tree = scene.node_tree\n"
        "else: tree = scene.compositing_node_group = bpy.data.node_groups.new('c', 'CompositorNodeTree')\n"
        "layers = tree.nodes.new('CompositorNodeRLayers'); node = tree.nodes.new('CompositorNodeOutputFile')\n"
        "node.name = 'Passes'\n"
        "if old: node.base_path = '//{shot}'\n"
        "else: node.directory = '//{shot}'; node.file_output_items.new('RGBA', 'z')\n"
        "tree.links.new(layers.outputs[0], node.inputs[0])\n"
    ),
    "video": (
        "settings = scene.render.image_settings\n"
        "if hasattr(settings, 'media_type'): settings.media_type = 'VIDEO'\n"
        "settings.file_format = 'FFMPEG'"
    ),
    "outputs": (
        "scene.view_layers[0].use_pass_z = True\n"
        "old = bpy.app.version < (5, 0)\n"
        "if old: scene.use_nodes = True; tree = scene.node_tree\n"
        "else: tree = scene.compositing_node_group = bpy.data.node_groups.new('c', 'CompositorNodeTree')\n"
        "layers = tree.nodes.new('CompositorNodeRLayers'); node = tree.nodes.new('CompositorNodeOutputFile')\n"
        "node.name = 'Passes'\n"
        "if old: node.base_path = '//deep/z'; node.file_slots[0].path = 'z_'; node.file_slots.new('unlinked')\n"
        "else:\n"
        "    tree.interface.new_socket('Image', in_out='OUTPUT', socket_type='NodeSocketColor')\n"
        "    tree.links.new(layers.outputs[0], tree.nodes.new('NodeGroupOutput').inputs[0])\n"
        "    node.directory = '//deep/z'; node.file_name = ''; node.format.media_type = 'IMAGE'\n"
        "    node.file_output_items.new('RGBA', 'z_'); node.file_output_items.new('RGBA', 'unlinked')\n"
        "node.format.file_format = 'OPEN_EXR'\n"
        "tree.links.new(layers.outputs['Depth'], node.inputs[0])\n"
    ),
}
MAKE = """
import bpy, os
bpy.ops.wm.read_homefile(use_factory_startup=True)
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.cycles.samples = 1
scene.cycles.use_denoising = False
scene.render.resolution_x, scene.render.resolution_y = 2 * {size[0]}, 2 * {size[1]}
scene.render.resolution_percentage = 50
for frame, x in ((1, -2), (40, 2)):
    bpy.data.objects["Cube"].location.x = x
    bpy.data.objects["Cube"].keyframe_insert("location", frame=frame)
{change}
bpy.ops.wm.save_as_mainfile(filepath={path!r})
"""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenes, a folder each, made by one Blender."""
    folder = tmp_path_factory.mktemp("scenes")
    lines = []
    for name, change in SCENES.items():
        (folder / name).mkdir()
        lines.append(f"exec({MAKE.format(size=SIZE, change=change, path=str(folder / name / 'my shot.blend'))!r})")
    (folder / "make.py").write_text("\n".join(lines) + "\nimport os\nos._exit(0)\n")
    run_python([blender_python(), folder / "make.py"], check=True, capture_output=True, timeout=600)
    return folder


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is `blender` on an emulated machine."""
    path = tmp_path_factory.mktemp("bin") / "blender"
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(blender_python())} {shlex.quote(str(COMMAND))} "$@"\n')
    path.chmod(0o755)
    return path


class Machine:
    """A folder as a rented machine has it, and processes in it."""

    def __init__(self, folder: Path, scene: Path, command: Path) -> None:
        self.out = folder / "out"
        self.out.mkdir()
        self._scene, self._command, self._folder = scene, command, folder
        self._started: list[subprocess.Popen[str]] = []

    def start(self, renderer: BlenderRenderer, frames: list[int], **arguments: int) -> subprocess.Popen[str]:
        script = self._folder / f"script-{len(self._started)}"
        script.write_text(renderer.process_script(frames, "my shot.blend", **arguments))  # type: ignore[arg-type]
        process = subprocess.Popen(
            ["sh", script],
            cwd=self._scene,
            env={
                "PATH": f"{self._command.parent}:{os.environ['PATH']}",
                "OUT": str(self.out),
                "HOME": str(self._folder),
                "OCIO": "/nowhere/config.ocio",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run(self, renderer: BlenderRenderer, frames: list[int], **arguments: int) -> tuple[int, str]:
        process = self.start(renderer, frames, **arguments)
        said, _ = process.communicate(timeout=800)
        return process.returncode, said

    def files(self) -> dict[str, int]:
        found = (path for path in self.out.rglob("*") if path.is_file())
        return {path.relative_to(self.out).as_posix(): path.stat().st_size for path in found}

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.communicate()


@pytest.fixture
def machine(tmp_path: Path, scenes: Path, command: Path) -> Iterator[Machine]:
    one = Machine(tmp_path, scenes / "plain", command)
    yield one
    one.end()


def on(name: str, tmp_path: Path, scenes: Path, command: Path) -> Machine:
    return Machine(tmp_path, scenes / name, command)


def waiting(tmp_path: Path, frame: int) -> Path:
    """A script that stops Blender within a frame, after it has begun, until the file `go` is there."""
    path = tmp_path / "wait.py"
    path.write_text(
        "import bpy, os, time\n"
        "def wait(*_):\n"
        f"    while bpy.context.scene.frame_current == {frame} and not os.path.exists({str(tmp_path / 'go')!r}):\n"
        "        time.sleep(0.02)\n"
        "bpy.app.handlers.render_pre.append(wait)\n"
        "bpy.context.scene.render.use_overwrite = True\n"
        "bpy.context.scene.render.use_placeholder = False\n"
    )
    return path


def lay(path: Path) -> bool:
    """What a thief does over SSH; whether the frame had not begun."""
    done = subprocess.run(["sh", "-c", f"set -C; : > {shlex.quote(str(path))}"], capture_output=True, check=False)
    return done.returncode == 0


def wait_for(path: Path) -> None:
    until = time.monotonic() + 800
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_the_frames_asked_for_are_rendered_with_their_stamps(machine: Machine) -> None:
    status, said = machine.run(blender(), [3, 5, 6])
    assert status == 0, said
    assert sorted(machine.files()) == ["frame_0003.png", "frame_0005.png", "frame_0006.png"]
    with Image.open(machine.out / "frame_0005.png") as picture:
        assert picture.size == SIZE
        # Pillow reads them as they are, and Blender pads the number.
        assert picture.info["Frame"].strip().lstrip("0") == "5"
        assert picture.info["Scene"] == "Scene"
        assert "File" not in picture.info


def test_an_empty_file_skips_a_frame_of_a_running_blender_and_can_t_be_laid_once_it_has_begun(
    machine: Machine, tmp_path: Path
) -> None:
    # What the script sets against us is set back.
    renderer = blender(python=[waiting(tmp_path, 2)])
    process = machine.start(renderer, [1, 2, 3, 4])
    wait_for(machine.out / renderer.skip_file(2))
    assert machine.files()["frame_0002.png"] == 0
    assert not lay(machine.out / renderer.skip_file(2))
    assert lay(machine.out / renderer.skip_file(3))
    (tmp_path / "go").touch()
    said, _ = process.communicate(timeout=800)
    assert process.returncode == 0, said
    sizes = machine.files()
    assert sizes["frame_0003.png"] == 0
    assert all(sizes[f"frame_000{frame}.png"] > 0 for frame in (1, 2, 4))


def test_two_processes_of_a_machine_render_each_frame_once(machine: Machine) -> None:
    frames = [1, 2, 3, 4, 5, 6, 7, 8]
    said: list[str] = ["", ""]

    def go(turn: int) -> None:
        status, said[turn] = machine.run(blender(), frames, turn=turn, turns=2)
        assert status == 0, said[turn]

    threads = [threading.Thread(target=go, args=(turn,)) for turn in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    saved = [line.rpartition("/")[2][:14] for text in said for line in text.splitlines() if "Saved: '" in line]
    assert sorted(saved) == [f"frame_{frame:04d}.png" for frame in frames]
    assert "frame_0001.png" in said[0] or "frame_0001.png" in said[1]


def test_a_killed_blender_leaves_an_empty_file_that_the_next_process_begins_again(
    machine: Machine, tmp_path: Path
) -> None:
    renderer = blender(python=[waiting(tmp_path, 2)])
    process = machine.start(renderer, [1, 2])
    wait_for(machine.out / renderer.skip_file(2))
    os.killpg(process.pid, 9)
    process.communicate()
    assert machine.files()["frame_0002.png"] == 0
    status, said = machine.run(blender(), [1, 2])
    assert status == 0, said
    assert machine.files()["frame_0002.png"] > 0
    assert said.count("Saved: '") == 1


def test_memory_is_given_back_every_so_many_frames(machine: Machine) -> None:
    (machine.out / "frame_0003.png").write_text("another process has made it")
    (machine.out / "frame_0004.png").write_text("another process has made it")
    status, said = machine.run(blender(max_frames_per_process=2), [1, 2, 3, 4, 5])
    assert status == 0, said
    # The second one would have had nothing to do.
    assert said.count("Blender quit") == 2
    assert len(machine.files()) == 5


@pytest.mark.parametrize(
    ("scene", "arguments", "said"),
    [
        ("two", {"scene": "Three"}, "there is no scene 'Three'; there are: Scene, Two"),
        ("bare", {}, "the scene 'Scene' has no camera"),
        ("plain", {"addons": ["nobody_s_addon"]}, "the add-on 'nobody_s_addon' can't be enabled"),
        ("plain", {"view_layers": ["Fog"]}, "there is no view layer 'Fog' in the scene; there are: ViewLayer"),
        ("plain", {"engine": "LUXCORE"}, "Error: engine not found 'LUXCORE'"),
    ],
)
def test_what_would_render_something_else_fails_and_says_why(
    scene: str, arguments: dict[str, object], said: str, tmp_path: Path, scenes: Path, command: Path
) -> None:
    renderer = blender(**arguments)  # type: ignore[arg-type]
    machine = on(scene, tmp_path, scenes, command)
    status, log = machine.run(renderer, [1])
    assert status == 1
    failure = renderer.failure_of(log[-16_000:], status)
    assert failure is not None
    assert failure.kind == "scene error"
    assert said in failure.message
    assert machine.files() == {}


def test_a_script_that_fails_is_told_by_its_name_although_it_is_long(machine: Machine, tmp_path: Path) -> None:
    script = tmp_path / "tune it.py"
    script.write_text(
        "# " + "x" * 60_000 + "\nimport os\nassert __file__ == 'tune it.py'\nraise ValueError('no Hero')\n"
    )
    renderer = blender(python=[script])
    status, log = machine.run(renderer, [1])
    failure = renderer.failure_of(log[-16_000:], status)
    assert failure is not None
    assert (status, failure.kind) == (1, "scene error")
    assert failure.message == "octa-scene-error: tune it.py: ValueError: no Hero"


def test_another_scene_is_rendered_by_its_name(tmp_path: Path, scenes: Path, command: Path) -> None:
    machine = on("two", tmp_path, scenes, command)
    status, said = machine.run(blender(scene="Two"), [1])
    assert status == 0, said
    with Image.open(machine.out / "frame_0001.png") as picture:
        assert picture.info["Scene"] == "Two"


def test_layers_samples_and_scripts_are_what_was_asked_for(tmp_path: Path, scenes: Path, command: Path) -> None:
    script = tmp_path / "tell.py"
    script.write_text(
        "import bpy\nscene = bpy.context.scene\n"
        "print('asked', scene.cycles.samples, [layer.name for layer in scene.view_layers if layer.use])\n"
        "import os\nprint('colours', os.environ.get('OCIO'))\n"
    )
    machine = on("layers", tmp_path, scenes, command)
    status, said = machine.run(blender(python=[script], samples=7, view_layers=["Fog"]), [1])
    assert status == 0, said
    assert "asked 7 ['Fog']" in said
    # Whatever the image has set.
    assert "colours None" in said
    status, said = machine.run(blender(python=[script], ocio="my colours.ocio"), [2])
    assert f"colours {scenes}/layers/my colours.ocio" in said


def test_a_video_s_scene_is_rendered_as_pictures_and_exr_as_exr(tmp_path: Path, scenes: Path, command: Path) -> None:
    machine = on("video", tmp_path, scenes, command)
    assert machine.run(blender(), [1])[0] == 0
    assert machine.run(blender(format="MULTILAYER", files=["a b/x_{frame:03d}.exr"]), [2])[0] == 0
    assert sorted(machine.files()) == ["a b/x_002.exr", "frame_0001.png"]
    assert (machine.out / "a b" / "x_002.exr").read_bytes()[:4] == b"\x76\x2f\x31\x01"


def test_what_file_output_nodes_write_comes_below_the_folder_of_the_frames(
    tmp_path: Path, scenes: Path, command: Path
) -> None:
    machine = on("outputs", tmp_path, scenes, command)
    status, said = machine.run(blender(), [7])
    assert status == 0, said
    assert sorted(machine.files()) == ["deep/z/z_0007.exr", "frame_0007.png"]


def preflight(renderer: BlenderRenderer, scene: Path, command: Path) -> Preflight:
    return local_preflight(renderer, scene, "my shot.blend", blender=str(command))


def test_a_scene_says_what_it_is(scenes: Path, command: Path) -> None:
    said = preflight(blender(), scenes / "plain", command)
    assert said.problems == ()
    assert said.warnings == ()
    assert (said.size, said.scene, said.camera, said.engine, said.format) == (SIZE, "Scene", "Camera", "CYCLES", "PNG")
    assert said.view_layers == ("ViewLayer",)
    assert said.version is not None
    assert said.version[0] in "45"
    assert (said.has_stamp, said.must_be_in_order, said.extra_outputs) == (True, False, ())


def test_blender_ends_when_the_scene_has_said_all_whatever_an_add_on_still_does(scenes: Path, command: Path) -> None:
    script = f'blender() {{ {shlex.quote(str(command))} "$@"; }}\n{blender().preflight_script("my shot.blend")}'
    done = subprocess.run(
        ["/bin/sh", "-s"], input=script, cwd=scenes / "plain", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    # Blender's own end, which waits for an add-on's threads, does not come.
    assert done.stdout.rstrip().splitlines()[-1].startswith("octa-preflight ")


def test_files_that_are_missing_or_not_sent_are_named(scenes: Path, command: Path) -> None:
    folder = scenes / "missing"
    (scenes / "near.png").touch()
    (folder / "t.1001.png").touch()
    said = preflight(blender(), folder, command).problems
    assert len(said) == 4
    assert f"the image 'wood' is missing: {folder}/textures/wood.png" in said
    assert "the image 'sky' is an absolute path, which is not sent: /home/anna/sky.exr" in said
    assert f"the image 'near' lies outside of what is sent: {scenes}/near.png" in said
    assert f"the image 'tiles' is missing: {folder}/t.1002.png" in said
    allowed = preflight(blender(allow_missing=True), folder, command)
    assert (allowed.problems, len(allowed.warnings)) == ((), 4)
    # A single file is sent without those that lie beside it.
    alone = preflight(blender(), folder / "my shot.blend", command).problems
    assert f"the image 'tiles' lies outside of what is sent: {folder}/t.1001.png" in alone


@pytest.mark.parametrize(
    ("scene", "arguments", "said"),
    [
        ("bare", {}, "the scene 'Scene' has no camera"),
        ("exr", {}, "the scene says OPEN_EXR, and PNG would be rendered: say the format"),
        ("two", {"scene": "Three"}, "there is no scene 'Three'; there are: Scene, Two"),
        (
            "outputs",
            {},
            "the File Output node 'Passes' also writes deep/z/z_{frame:04d}.exr: name it in files, or mute the node",
        ),
        ("braces", {}, "the File Output node 'Passes' writes to a path with {...} in it: write it without"),
        ("plain", {"files": ["a_{frame:04d}.png", "z_{frame}.exr"]}, "no File Output node writes z_{frame}.exr"),
    ],
)
def test_what_can_t_be_rendered_as_asked_is_a_problem(
    scene: str, arguments: dict[str, object], said: str, scenes: Path, command: Path
) -> None:
    assert preflight(blender(**arguments), scenes / scene, command).problems == (said,)  # type: ignore[arg-type]


def test_what_may_be_meant_so_is_a_warning(scenes: Path, command: Path) -> None:
    assert preflight(blender(), scenes / "two", command).warnings == ("the scene 'Scene' is rendered, not 'Two'",)
    video = preflight(blender(), scenes / "video", command)
    assert video.problems == ()
    assert video.warnings[0].startswith("the scene says video")
    cloth = preflight(blender(), scenes / "cloth", command)
    assert cloth.must_be_in_order
    assert cloth.warnings == ("not baked, so that frames need those before them: cloth of 'Cube'",)
    simulations = preflight(blender(), scenes / "simulations", command)
    assert simulations.problems == ()
    assert simulations.warnings == (
        "not baked, so that frames need those before them: cloth of 'Flag', fluid of 'Sea', particles of 'Dust', "
        "simulation nodes of 'Moss', soft body of 'Jelly', the rigid bodies",
    )
    assert preflight(blender(format="EXR"), scenes / "exr", command).problems == ()
    named = blender(files=["a_{frame:04d}.png", "deep/z/z_{frame:04d}.exr"])
    outputs = preflight(named, scenes / "outputs", command)
    assert (outputs.problems, outputs.extra_outputs) == ((), ("deep/z/z_{frame:04d}.exr",))


def test_a_blender_that_is_not_there_or_says_nothing_is_told(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(OctaConfigError, match="is not to be found here"):
        preflight(blender(), scenes / "plain", tmp_path / "nothing")
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\necho hello >&2\nexit 3\n")
    silent.chmod(0o755)
    assert preflight(blender(), scenes / "plain", silent).problems == (
        "the scene did not say anything of itself: hello",
    )
    hanging = tmp_path / "hanging"
    hanging.write_text("#!/bin/sh\nexec sleep 1000\n")
    hanging.chmod(0o755)
    with pytest.raises(OctaConfigError, match="did not say within 1 s"):
        local_preflight(blender(), scenes / "plain", "my shot.blend", blender=str(hanging), timeout_s=1)
