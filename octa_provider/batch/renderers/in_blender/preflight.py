"""What the scene says of itself, as one line of JSON: read only, in place of the frames."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

import bpy  # type: ignore[import-not-found]

from octa_provider.batch.renderers.in_blender.file_outputs import files_of, output_nodes
from octa_provider.batch.renderers.in_blender.missing_files import file_problems
from octa_provider.batch.renderers.in_blender.scene_errors import shows_strips
from octa_provider.batch.renderers.in_blender.simulations import unbaked

_WITH_STAMP = ("PNG", "JPEG", "OPEN_EXR", "OPEN_EXR_MULTILAYER")


def preflight(options: dict[str, Any]) -> None:
    """Print it."""
    scene = bpy.context.scene
    problems: list[str] = []
    warnings: list[str] = []
    (warnings if options["allow_missing"] else problems).extend(file_problems(os.environ.get("OCTA_SENT") or None))
    if scene.camera is None and not shows_strips(scene):
        problems.append(f"the scene {scene.name!r} has no camera")
    _look_at_format(scene, options, problems, warnings)
    _look_at_layers(scene, problems)
    simulations = unbaked(scene)
    if simulations:
        warnings.append(f"not baked, so that frames need those before them: {', '.join(simulations[:20])}")
    extra = _look_at_outputs(scene, options, problems)
    if len(bpy.data.scenes) > 1 and options["scene"] is None:
        others = ", ".join(repr(one.name) for one in bpy.data.scenes if one != scene)
        warnings.append(f"the scene {scene.name!r} is rendered, not {others[:300]}")
    said = {
        "problems": problems,
        "warnings": warnings,
        "size": _size(scene.render),
        "scene": scene.name,
        "engine": options["engine"] or scene.render.engine,
        "camera": scene.camera.name if scene.camera is not None else None,
        "format": options["format"],
        "version": bpy.app.version_string,
        "view_layers": [layer.name for layer in scene.view_layers if layer.use],
        "must_be_in_order": bool(simulations),
        # Our set-up turns the stamps in the file on, except where they are drawn into the picture.
        "has_stamp": options["format"] in _WITH_STAMP
        and (not scene.render.use_stamp or (scene.render.use_stamp_frame and scene.render.use_stamp_scene)),
        "extra_outputs": extra,
    }
    print("\nocta-preflight " + json.dumps(said), flush=True)
    # An add-on can keep Blender alive, and a machine bills meanwhile: all has been said.
    with contextlib.suppress(OSError):
        os.rmdir(bpy.app.tempdir)  # noqa: PTH106 - only where it is empty
    os._exit(0)


def _look_at_format(scene: Any, options: dict[str, Any], problems: list[str], warnings: list[str]) -> None:
    said = scene.render.image_settings.file_format
    if scene.render.image_settings.file_format in ("FFMPEG", "AVI_JPEG", "AVI_RAW"):
        if not options["format_given"]:
            warnings.append("the scene says video: pictures are rendered, octa-provider video makes one of them")
    elif said != options["format"] and not options["format_given"]:
        problems.append(f"the scene says {said}, and {options['format']} would be rendered: say the format")


def _look_at_layers(scene: Any, problems: list[str]) -> None:
    if not any(layer.use for layer in scene.view_layers) and not shows_strips(scene):
        problems.append("no view layer is switched on for rendering")
    if scene.render.use_multiview and scene.render.image_settings.views_format == "INDIVIDUAL":
        problems.append(
            "each view (left, right) would be a file of its own: set Views Format to Stereo 3D, or Multi-View in EXR"
        )


def _look_at_outputs(scene: Any, options: dict[str, Any], problems: list[str]) -> list[str]:
    extra: list[str] = []
    for node in output_nodes(scene):
        for name in files_of(node):
            extra.append(name)
            if "{" in name.replace("{frame", ""):
                problems.append(
                    f"the File Output node {node.name!r} writes to a path with {{...}} in it: write it without"
                )
            elif name not in options["files"][1:]:
                problems.append(
                    f"the File Output node {node.name!r} also writes {name}: name it in files, or mute the node"
                )
    if not options["has_scripts"]:
        problems.extend(f"no File Output node writes {name}" for name in options["files"][1:] if name not in extra)
    return extra


def _size(render: Any) -> list[int] | None:
    if render.use_border and render.use_crop_to_border:
        return None
    percent = render.resolution_percentage
    return [render.resolution_x * percent // 100, render.resolution_y * percent // 100]
