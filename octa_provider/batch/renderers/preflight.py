"""What a scene says of itself before anything is rendered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from octa_provider.text.plain_text import plain_words

__all__ = ["MARK", "Preflight", "read_preflight"]

#: Stands in front of the one line that a preflight script prints.
MARK = "octa-preflight "
_ERROR = "octa-scene-error: "
MOST_CHARS = 1_000_000
MOST_ENTRIES = 200
MOST_TEXT = 500
MOST_PIXELS_A_SIDE = 1_000_000


@dataclass(frozen=True)
class Preflight:
    """What a scene says of itself. None and empty are for what it does not say.

    Attributes:
        problems: why it must not be rendered as it is, a sentence each.
        warnings: what may be meant so, a sentence each.
        size: width and height of a frame in pixels.
        scene: the scene's name.
        engine: the render engine.
        camera: the camera's name.
        format: the file format.
        version: of the renderer.
        view_layers: those that are rendered.
        must_be_in_order: whether a frame needs those before it, as a simulation does that is not baked.
        has_stamp: whether each picture says its frame and scene.
        extra_outputs: files of a frame besides the first, as `files` would name them.
    """

    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    scene: str | None = None
    engine: str | None = None
    camera: str | None = None
    format: str | None = None
    version: str | None = None
    view_layers: tuple[str, ...] = ()
    must_be_in_order: bool = False
    has_stamp: bool = False
    extra_outputs: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "problems": list(self.problems),
            "warnings": list(self.warnings),
            "size": list(self.size) if self.size else None,
            "scene": self.scene,
            "engine": self.engine,
            "camera": self.camera,
            "format": self.format,
            "version": self.version,
            "view_layers": list(self.view_layers),
            "must_be_in_order": self.must_be_in_order,
            "has_stamp": self.has_stamp,
            "extra_outputs": list(self.extra_outputs),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Preflight:
        """Read what `to_dict` gave, or a stranger: what makes no sense is left out, what is long is cut."""
        return cls(
            problems=_texts(data.get("problems")),
            warnings=_texts(data.get("warnings")),
            size=_size(data.get("size")),
            scene=_text(data.get("scene")),
            engine=_text(data.get("engine")),
            camera=_text(data.get("camera")),
            format=_text(data.get("format")),
            version=_text(data.get("version")),
            view_layers=_texts(data.get("view_layers")),
            must_be_in_order=data.get("must_be_in_order") is True,
            has_stamp=data.get("has_stamp") is True,
            extra_outputs=_texts(data.get("extra_outputs")),
        )


def read_preflight(output: str) -> Preflight:
    """Read what a preflight script printed, among all else that the renderer says.

    Args:
        output: a stranger's text; of a long one the end is looked at.

    Returns:
        What it says; with a problem that says so when nothing can be read.
    """
    for line in reversed(output[-MOST_CHARS:].split("\n")):
        _, mark, text = line.partition(MARK)
        if not mark:
            continue
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict):
            return Preflight.from_dict(data)
    error = next((text for line in output[-MOST_CHARS:].split("\n") if (text := line.partition(_ERROR)[2])), None)
    if error is not None and (told := _text(error)):
        return Preflight(problems=(told,))
    last = next((told for line in reversed(output[-MOST_CHARS:].split("\n")) if (told := _text(line))), None)
    return Preflight(problems=(f"the scene did not say anything of itself: {last or 'nothing was printed'}",))


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return plain_words(value[: 2 * MOST_TEXT]).strip()[:MOST_TEXT] or None


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    found = tuple(text for item in value[:MOST_ENTRIES] if (text := _text(item)))
    left = len(value) - MOST_ENTRIES
    return (*found, f"and {left} more") if left > 0 else found


def _size(value: object) -> tuple[int, int] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    if any(isinstance(s, bool) or not isinstance(s, int) or not 1 <= s <= MOST_PIXELS_A_SIDE for s in value):
        return None
    return (value[0], value[1])
