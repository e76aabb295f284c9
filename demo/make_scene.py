"""Make the demo's ``.blend``: an octopus with eight waving arms, a lantern on each, a camera that goes round it once.

Run by a Python that has bpy, ``python make_scene.py scene.blend``, or by Blender itself,
``blender -b --python make_scene.py -- scene.blend``. Around the octopus stand as many studs as there are frames, and
one more is lit in each frame: a frame in the wrong place shows.

Everything moves by driver expressions of the frame number, so that any machine can render any frame by itself. With
``--least-s`` each frame takes at least so many seconds, most of them asleep: many machines fit on one computer then.
"""

from __future__ import annotations

import argparse
import colorsys
import math
import sys
from collections.abc import Sequence
from typing import Any

import bpy  # type: ignore[import-not-found]

ARMS = 8
ARM_POINTS = 7
RING = 3.3
TURN = 2 * math.pi

Colour = tuple[float, float, float]

SLEEP = """
import time
import bpy

begun = 0.0

@bpy.app.handlers.persistent
def begin(scene, *_):
    global begun
    begun = time.monotonic()

@bpy.app.handlers.persistent
def take_a_while(scene, *_):
    time.sleep(max(0.0, {least_s} - (time.monotonic() - begun)))

bpy.app.handlers.render_pre.append(begin)
bpy.app.handlers.render_post.append(take_a_while)
"""


def hue(turn: float, saturation: float = 0.75, value: float = 1.0) -> Colour:
    """A colour of the circle; ``turn`` goes round it once from 0 to 1."""
    return colorsys.hsv_to_rgb(turn % 1.0, saturation, value)


def glossy(name: str, colour: Colour, roughness: float, metallic: float = 0.0) -> Any:
    """A material with a polished surface."""
    shader = shader_of(name)
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Metallic"].default_value = metallic
    return bpy.data.materials[name]


def glowing(name: str, colour: Colour, strength: float) -> Any:
    """A material that gives light."""
    shader = shader_of(name)
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    shader.inputs["Emission Color"].default_value = (*colour, 1.0)
    shader.inputs["Emission Strength"].default_value = strength
    material = bpy.data.materials[name]
    # Small lights that are found by chance, not looked for: a third of the rendering time otherwise.
    material.cycles.emission_sampling = "NONE"
    return material


def shader_of(name: str) -> Any:
    """The shader node of a new material."""
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    return material.node_tree.nodes["Principled BSDF"]


def add(name: str, data: Any, location: Sequence[float] = (0, 0, 0), parent: Any = None) -> Any:
    """A new object in the scene."""
    thing = bpy.data.objects.new(name, data)
    thing.location = location
    thing.parent = parent
    bpy.context.scene.collection.objects.link(thing)
    return thing


def ball(name: str, radius: float, material: Any, location: Sequence[float], parent: Any = None) -> Any:
    """A smooth sphere."""
    segments, rings = 32, 16
    corners = [
        (
            radius * math.sin(math.pi * ring / rings) * math.cos(TURN * segment / segments),
            radius * math.sin(math.pi * ring / rings) * math.sin(TURN * segment / segments),
            radius * math.cos(math.pi * ring / rings),
        )
        for ring in range(rings + 1)
        for segment in range(segments)
    ]
    faces = [
        (
            ring * segments + segment,
            (ring + 1) * segments + segment,
            (ring + 1) * segments + (segment + 1) % segments,
            ring * segments + (segment + 1) % segments,
        )
        for ring in range(rings)
        for segment in range(segments)
    ]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners, [], faces)
    mesh.shade_smooth()
    mesh.materials.append(material)
    return add(name, mesh, location, parent)


def drive(owner: Any, path: str, expression: str, index: int = -1) -> None:
    """Let a value follow an expression of ``frame``; such simple ones need no permission to run scripts."""
    owner.driver_add(path, index).driver.expression = expression


def add_octopus(frames: int) -> None:
    """The body that faces the camera, and the arms that stay where they are and wave."""
    skin = glossy("skin", (0.62, 0.10, 0.16), 0.28)
    white = glossy("white", (0.9, 0.9, 0.88), 0.15)
    black = glossy("black", (0.01, 0.01, 0.015), 0.05)
    angle = f"frame*{TURN / frames:.6f}"

    body = add("body", None)
    # The head turns a little less and more than the camera goes, as if it looked around.
    drive(body, "rotation_euler", f"{angle}+0.25*sin({angle}*2)", 2)
    head = ball("head", 1.0, skin, (0, 0, 1.45), body)
    head.scale = (0.92, 0.92, 1.12)
    drive(head, "location", f"1.45+0.07*sin({angle}*2)", 2)
    for side in (-1, 1):
        eye = ball(f"eye {side}", 0.25, white, (side * 0.36, -0.74, 0.12), head)
        ball(f"pupil {side}", 0.135, black, (side * 0.02, -0.15, 0.0), eye)

    for arm in range(ARMS):
        add_arm(arm, frames)


def add_arm(arm: int, frames: int) -> None:
    """One tapering arm that waves a phase later than the one before, with a lantern at its tip."""
    direction = TURN * (arm + 0.5) / ARMS
    curve = bpy.data.curves.new(f"arm {arm}", "CURVE")
    curve.dimensions = "3D"
    curve.bevel_depth = 0.27
    curve.bevel_resolution = 5
    curve.resolution_u = 6
    curve.materials.append(glossy(f"arm {arm}", hue(arm / ARMS, 0.9, 0.62), 0.25))
    spline = curve.splines.new("NURBS")
    spline.points.add(ARM_POINTS - 1)
    spline.use_endpoint_u = True
    spline.order_u = 4
    add(f"arm {arm}", curve)
    for number, point in enumerate(spline.points):
        along = number / (ARM_POINTS - 1)
        out = 0.35 + 2.3 * along
        # Down from the body, along the floor, and up again at the tip.
        height = 0.95 - 2.2 * along + 2.35 * along**2
        point.co = (out * math.cos(direction), out * math.sin(direction), height, 1.0)
        point.radius = 1.0 - 0.72 * along
        wave = f"frame*{TURN / frames:.6f}*2+{TURN * arm / ARMS * 3 - 3.2 * along:.4f}"
        path = f"splines[0].points[{number}].co"
        sway = 0.42 * along
        drive(curve, path, f"{point.co[0]:.4f}-{sway * math.sin(direction):.4f}*sin({wave})", 0)
        drive(curve, path, f"{point.co[1]:.4f}+{sway * math.cos(direction):.4f}*sin({wave})", 1)
        drive(curve, path, f"{height:.4f}+{0.30 * along:.4f}*cos({wave})", 2)

    lantern = ball(f"lantern {arm}", 0.2, glowing(f"lantern {arm}", hue(arm / ARMS, 0.72), 1.15), (0, 0, 0))
    tip = spline.points[ARM_POINTS - 1].co
    drive(lantern, "location", f"{tip[0] * 1.03:.4f}-{0.42 * math.sin(direction):.4f}*sin({wave})", 0)
    drive(lantern, "location", f"{tip[1] * 1.03:.4f}+{0.42 * math.cos(direction):.4f}*sin({wave})", 1)
    drive(lantern, "location", f"{tip[2] + 0.16:.4f}+0.30*cos({wave})", 2)


def add_stage(frames: int) -> None:
    """The polished floor, and a ring of studs: one a frame, lit from its frame on."""
    floor = bpy.data.meshes.new("floor")
    floor.from_pydata([(-40, -40, 0), (40, -40, 0), (40, 40, 0), (-40, 40, 0)], [], [(0, 1, 2, 3)])
    floor.materials.append(glossy("floor", (0.018, 0.028, 0.05), 0.22))
    add("floor", floor, (0, 0, -0.28))
    for frame in range(1, frames + 1):
        direction = TURN * frame / frames - math.pi / 2
        material = glowing(f"stud {frame}", (0.25, 0.85, 1.0), 0.0)
        shader = material.node_tree.nodes["Principled BSDF"]
        shader.inputs["Base Color"].default_value = (0.02, 0.05, 0.08, 1.0)
        drive(shader.inputs["Emission Strength"], "default_value", f"1.3 if frame>={frame} else 0.0")
        ball(f"stud {frame}", 0.1, material, (RING * math.cos(direction), RING * math.sin(direction), -0.19))


def add_lights(frames: int) -> None:
    """A warm and a cool lamp that go round against the camera, and a faint sky."""
    pivot = add("lamps", None)
    drive(pivot, "rotation_euler", f"-frame*{TURN / frames:.6f}", 2)
    for name, colour, energy, location in (
        ("warm", (1.0, 0.62, 0.32), 520.0, (4.2, -3.0, 4.6)),
        ("cool", (0.30, 0.55, 1.0), 560.0, (-4.4, 2.6, 4.2)),
    ):
        lamp = bpy.data.lights.new(name, "AREA")
        lamp.color, lamp.energy, lamp.size = colour, energy, 2.6
        aim(add(name, lamp, location, pivot), (0, 0, 0.8))
    sky = bpy.data.worlds.new("sky")
    if bpy.app.version < (5, 0, 0):
        sky.use_nodes = True
    background = sky.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (0.055, 0.085, 0.16, 1.0)
    background.inputs["Strength"].default_value = 0.45
    bpy.context.scene.world = sky


def add_camera(frames: int) -> None:
    """The camera on its way round."""
    pivot = add("orbit", None)
    drive(pivot, "rotation_euler", f"frame*{TURN / frames:.6f}", 2)
    lens = bpy.data.cameras.new("camera")
    lens.lens = 36
    camera = add("camera", lens, (0, -8.6, 4.2), pivot)
    aim(camera, (0, 0, 0.55))
    bpy.context.scene.camera = camera


def aim(thing: Any, target: Sequence[float]) -> None:
    """Turn a lamp or camera towards a point, both in the frame of its parent."""
    from mathutils import Vector  # type: ignore[import-not-found]

    thing.rotation_euler = (Vector(target) - thing.location).to_track_quat("-Z", "Y").to_euler()


def set_rendering(frames: int, width: int, height: int, samples: int) -> None:
    """Cycles on the processor, cheap enough for a second a frame."""
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, frames
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = True
    scene.cycles.denoising_quality = "FAST"
    scene.cycles.max_bounces = 3
    scene.cycles.sample_clamp_indirect = 2.0
    scene.render.use_persistent_data = True
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.view_settings.view_transform = "Standard"
    scene.render.filepath = "//frames/####"


def add_sleep(least_s: float) -> None:
    """A script in the file, which Blender runs when it loads the file."""
    script = bpy.data.texts.new("take_a_while.py")
    script.from_string(SLEEP.format(least_s=least_s))
    script.use_module = True


def make_scene(path: str, frames: int, width: int, height: int, samples: int, least_s: float) -> None:
    """Write the ``.blend``.

    Args:
        path: where to.
        frames: length of the animation, which starts at frame 1 and loops.
        width: pixels across.
        height: pixels down.
        samples: light paths a pixel.
        least_s: what a frame takes at least, in seconds; 0 for what it takes.
    """
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    add_octopus(frames)
    add_stage(frames)
    add_lights(frames)
    add_camera(frames)
    set_rendering(frames, width, height, samples)
    if least_s > 0:
        add_sleep(least_s)
    bpy.ops.wm.save_as_mainfile(filepath=path, compress=True)


def main(arguments: list[str]) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="make_scene.py", description="Make the demo's .blend.")
    parser.add_argument("path")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, nargs=2, default=(320, 180), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--least-s", type=float, default=0.0, metavar="SECONDS")
    options = parser.parse_args(arguments)
    width, height = options.size
    make_scene(options.path, options.frames, width, height, options.samples, options.least_s)
    return 0


if __name__ == "__main__":
    # Inside Blender the arguments before `--` are Blender's own.
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]))
