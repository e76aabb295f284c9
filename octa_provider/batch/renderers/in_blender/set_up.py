"""What was asked for besides the command line's own arguments; runs before the user's scripts."""

from __future__ import annotations

from typing import Any

import bpy  # type: ignore[import-not-found]

from octa_provider.batch.renderers.in_blender.scene_errors import fail, names


def set_up(options: dict[str, Any]) -> None:
    """Check the scene's name and the add-ons, and set view layers and samples."""
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
