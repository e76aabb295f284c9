"""What runs inside of Blender, as text behind `--python-expr`: it imports nothing of ours."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import bpy  # type: ignore[import-not-found]

SCENE_ERROR = "octa-scene-error: "


class SceneError(Exception):
    """The scene can't be rendered as it was asked for, on no machine."""


def fail(message: str) -> NoReturn:
    """Say it in one line of the log, and end Blender by `--python-exit-code`."""
    print("\n" + SCENE_ERROR + " ".join(message.split()), flush=True)
    raise SceneError(message)


def names(things: Any) -> str:
    """Their names, for a message."""
    return ", ".join(sorted(thing.name for thing in things)[:20]) or "none"


def set_up(options: dict[str, Any]) -> None:
    """What was asked for besides the command line's own arguments, before the user's scripts run."""
    import addon_utils  # type: ignore[import-not-found]

    scene = bpy.context.scene
    if options["scene"] is not None and scene.name != options["scene"]:
        # Blender says so and renders another one.
        fail(f"there is no scene {options['scene']!r}; there are: {names(bpy.data.scenes)}")
    for addon in options["addons"]:
        if not addon_utils.check(addon)[1]:
            fail(f"the add-on {addon!r} can't be enabled on this image")
    if options["view_layers"] is not None:
        for wanted in options["view_layers"]:
            if wanted not in scene.view_layers:
                fail(f"there is no view layer {wanted!r} in the scene; there are: {names(scene.view_layers)}")
        for layer in scene.view_layers:
            layer.use = layer.name in options["view_layers"]
    if options["samples"] is not None:
        if hasattr(scene, "cycles"):
            scene.cycles.samples = options["samples"]
        scene.eevee.taa_render_samples = options["samples"]


def make_sure(options: dict[str, Any]) -> None:
    """After the user's scripts: what our way of rendering needs, whatever they did."""
    scene = bpy.context.scene
    if options["scene"] is not None and scene.name != options["scene"]:
        fail(f"a script has left the scene {options['scene']!r} for {scene.name!r}")
    if scene.camera is None and not shows_strips(scene):
        fail(f"the scene {scene.name!r} has no camera")
    render = scene.render
    # An empty file when a frame begins, and a file that is there skips its frame: so frames can be taken over.
    render.use_overwrite = False
    render.use_placeholder = True
    if not render.use_stamp:
        # They go into the file, not into the picture: which frame of which scene it is.
        for stamp in ("frame", "scene", "camera", "render_time"):
            setattr(render, f"use_stamp_{stamp}", True)
        render.use_stamp_filename = False
    if hasattr(render.image_settings, "media_type"):
        multilayer = options["format"] == "OPEN_EXR_MULTILAYER"
        render.image_settings.media_type = "MULTI_LAYER_IMAGE" if multilayer else "IMAGE"
    render.image_settings.file_format = options["format"]
    os.makedirs(os.path.join(os.environ["OUT"], options["folder"]), exist_ok=True)  # noqa: PTH103, PTH118


def shows_strips(scene: Any) -> bool:
    """Whether the frames come from the video editor, which needs no camera."""
    editor = scene.sequence_editor
    if editor is None or not scene.render.use_sequencer:
        return False
    return len(editor.strips if hasattr(editor, "strips") else editor.sequences) > 0
