"""How a scene that can't be rendered is told: one line of the log, and the end of Blender."""

from __future__ import annotations

from typing import Any, NoReturn

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


def shows_strips(scene: Any) -> bool:
    """Whether the frames come from the video editor, which needs no camera."""
    editor = scene.sequence_editor
    if editor is None or not scene.render.use_sequencer:
        return False
    return len(editor.strips if hasattr(editor, "strips") else editor.sequences) > 0
