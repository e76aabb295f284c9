"""What our way of rendering needs, whatever the scene and the user's scripts did; runs last before the frames."""

from __future__ import annotations

import os
from typing import Any

import bpy  # type: ignore[import-not-found]

from octa_provider.batch.renderers.in_blender.file_outputs import output_nodes, redirect
from octa_provider.batch.renderers.in_blender.scene_errors import fail, shows_strips


def make_sure(options: dict[str, Any]) -> None:
    """Check the scene and its camera; make frames that have begun visible, and those that are there skipped."""
    scene = bpy.context.scene
    if options["scene"] is not None and scene.name != options["scene"]:
        fail(f"a script has left the scene {options['scene']!r} for {scene.name!r}")
    if scene.camera is None and not shows_strips(scene):
        fail(f"the scene {scene.name!r} has no camera")
    render, out = scene.render, os.environ["OUT"]
    # An empty file when a frame begins, and a file that is there skips its frame: so frames can be taken over.
    render.use_overwrite = False
    render.use_placeholder = True
    if not render.use_stamp:
        # They go into the file and not into the picture: which frame of which scene it is, how long it took.
        for stamp in ("frame", "scene", "camera", "render_time"):
            setattr(render, f"use_stamp_{stamp}", True)
        render.use_stamp_filename = False
    settings = render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "MULTI_LAYER_IMAGE" if options["format"] == "OPEN_EXR_MULTILAYER" else "IMAGE"
    settings.file_format = options["format"]
    for node in output_nodes(scene):
        redirect(node, out)
    os.makedirs(os.path.join(out, options["folder"]), exist_ok=True)  # noqa: PTH103, PTH118
