"""Scenes that can't be rendered, made of one that can: `python make_broken_scenes.py shot.blend FOLDER`, with `bpy`.

Each lies in a folder of its own below FOLDER, named after what is wrong with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import bpy  # type: ignore[import-not-found]


def without_a_texture() -> None:
    """A picture that a material needs is not there."""
    image = bpy.data.images.new("skin", 8, 8)
    image.source = "FILE"
    image.filepath = "//textures/skin.png"
    material = bpy.data.materials.new("textured")
    material.use_nodes = True
    node = material.node_tree.nodes.new("ShaderNodeTexImage")
    node.image = image
    shader = material.node_tree.nodes["Principled BSDF"]
    material.node_tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    mesh = next(thing for thing in bpy.context.scene.objects if thing.type == "MESH")
    mesh.data.materials.append(material)


def without_a_camera() -> None:
    """Nothing looks at it."""
    bpy.context.scene.camera = None
    for camera in list(bpy.data.cameras):
        bpy.data.cameras.remove(camera)


def edited() -> None:
    """The same scene, after somebody worked on it."""
    bpy.data.worlds[0].node_tree.nodes["Background"].inputs["Strength"].default_value = 0.9


BROKEN: dict[str, Callable[[], None]] = {
    "no_texture": without_a_texture,
    "no_camera": without_a_camera,
    "edited": edited,
}


def main() -> int:
    """Write them all."""
    scene, target = sys.argv[1], Path(sys.argv[2])
    for name, spoil in BROKEN.items():
        bpy.ops.wm.open_mainfile(filepath=scene)
        spoil()
        (target / name).mkdir(parents=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(target / name / "shot.blend"), relative_remap=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
