"""Rows of the fault table: the scene can't be rendered, wherever, or is not the one that was."""

from __future__ import annotations

import shutil
from typing import Any

from octa_provider.batch.result import BatchOutcome
from octa_provider.errors import OctaConfigError
from tests.chaos.fault_ground import Ground
from tests.chaos.fault_row import Row

__all__ = ["BROKEN_SCENES", "broken_scene", "scene_edited"]

#: Name of the row -> what is to be told, and the options of the batch.
BROKEN_SCENES: dict[str, tuple[str, dict[str, Any]]] = {
    "broken scene: texture missing": ("skin.png", {"scene": "no_texture"}),
    "broken scene: no camera": ("camera", {"scene": "no_camera"}),
    "broken scene: wrong scene name": ("Nope", {"blender": {"scene": "Nope"}}),
    "broken scene: Python error": ("Nobody", {"blender": {"python": ["wrong"]}}),
}


def broken_scene(ground: Ground, name: str) -> Row:
    """A scene that is broken costs two starts at most, and one where the scene itself tells.

    Args:
        ground: where.
        name: one of `BROKEN_SCENES`.
    """
    told, options = BROKEN_SCENES[name]
    changed: dict[str, Any] = {}
    if "scene" in options:
        changed["scene"] = ground.scenes.named(options["scene"])
    own = dict(options.get("blender", {}))
    if "python" in own:
        own["python"] = [ground.scenes.script(script) for script in own["python"]]
    result = ground.run(ground.batch(**changed, blender=own))
    row = ground.row(name, result, told=told, outcomes=(BatchOutcome.SCENE_ERROR,))
    if ground.studio.starts() > 2:
        row.wrong.append(f"{ground.studio.starts()} machines were started")
    return row


def scene_edited(ground: Ground, name: str) -> Row:
    """Somebody works on the scene, and renders into the folder that has frames of the old one.

    Args:
        ground: where.
        name: of the row.
    """
    shot = ground.folder / "scene"
    shutil.copytree(ground.scenes.whole, shot)
    first = ground.run(ground.batch(scene=shot))
    old = {path.name: path.read_bytes() for path in ground.studio.output.glob("frame_*.png")}
    shutil.copy(ground.scenes.named("edited") / "shot.blend", shot / "shot.blend")
    posts = ground.studio.posts()
    refusal = ""
    try:
        ground.run(ground.batch(scene=shot))
    except OctaConfigError as error:
        refusal = str(error)
    row = ground.row(name, first)
    row.seen, row.done = refusal, "refused before anything was rented; the frames of the old scene stay"
    if "shot.blend" not in refusal:
        row.wrong.append(f"it does not say what has changed: {refusal!r}")
    if ground.studio.posts() != posts:
        row.wrong.append("something was rented all the same")
    now = {path.name: path.read_bytes() for path in ground.studio.output.glob("frame_*.png")}
    if now != old:
        row.wrong.append("frames of the old scene are not there any more")
    return row
