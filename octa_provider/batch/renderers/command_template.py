"""A command with places for frames and paths, such as `povray {scene} +O{output}/f_{frame:04d}.png +K{frame}`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from octa_provider.errors import OctaConfigError

__all__ = ["CommandTemplate", "Place"]

_PLACE = re.compile(r"\{\{|\}\}|\{([a-z]{1,20})(?::([^{}]{0,10}))?\}|[{}]", re.ASCII)
_WIDTH = re.compile(r"0([1-9])d", re.ASCII)
_SPECS = {"scene": ("",), "output": ("",), "start": ("",), "end": ("",), "frames": ("..", "-")}
_OF_FRAMES = ("frame", "start", "end", "frames")
MOST_BYTES = 100_000
# Blender carries out its arguments in their order: what stands behind the frames comes too late.
_BLENDER_RENDERS = ("-f", "--render-frame", "-a", "--render-anim")
_BLENDER_SETS = (
    *("-o", "--render-output", "-F", "--render-format", "-x", "--use-extension", "-E", "--engine", "-S", "--scene"),
    *("-s", "--frame-start", "-e", "--frame-end", "-j", "--frame-jump", "-t", "--threads", "-P", "--python"),
    *("--python-expr", "--python-text", "--addons"),
)
VIDEO_FORMATS = ("FFMPEG", "MPEG", "AVIJPEG", "AVIRAW", "FRAMESERVER", "THEORA", "H264", "XVID")


@dataclass(frozen=True)
class Place:
    """A place in a word: `frame` with its width, `frames` with the mark of its runs, or another name."""

    name: str
    spec: str = ""


@dataclass(frozen=True)
class CommandTemplate:
    """A command's words, each of texts and places.

    Attributes:
        words: as they were given.
        parts: each word's parts.
    """

    words: tuple[str, ...]
    parts: tuple[tuple[str | Place, ...], ...]

    @classmethod
    def parse(cls, command: object) -> CommandTemplate:
        """Read a command.

        Raises:
            OctaConfigError: it can't render frames.
        """
        return _parsed(_words(command))

    @property
    def places(self) -> list[Place]:
        """All places, in order."""
        return [part for word in self.parts for part in word if isinstance(part, Place)]

    @property
    def is_of_one_frame(self) -> bool:
        """Whether the command renders a single frame."""
        return any(place.name == "frame" for place in self.places)

    @property
    def is_of_a_range(self) -> bool:
        """Whether the command renders frames that follow each other."""
        return any(place.name == "start" for place in self.places)


@lru_cache
def _parsed(words: tuple[str, ...]) -> CommandTemplate:
    template = CommandTemplate(words, tuple(_parts(word) for word in words))
    used = {place.name for place in template.places}
    if not used & set(_OF_FRAMES):
        raise OctaConfigError("the command has no place for the frames: {frame}, or {start} and {end}, or {frames}")
    if ("start" in used) != ("end" in used):
        raise OctaConfigError("the command has {start} or {end}, and needs both: a range ends where it says")
    if sum((bool(used & {"start", "end"}), "frame" in used, "frames" in used)) > 1:
        raise OctaConfigError("the command must have {frame}, or {start} and {end}, or {frames}: one of the three")
    if sum(len(word.encode(errors="surrogatepass")) for word in words) > MOST_BYTES:
        raise OctaConfigError(f"the command has more than {MOST_BYTES} bytes: put it into a file of the scene")
    _refuse_late_arguments(words)
    return template


def _words(command: object) -> tuple[str, ...]:
    if isinstance(command, str):
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise OctaConfigError(f"the command can't be split into words ({error}): {command!r}") from None
    elif isinstance(command, Sequence) and all(isinstance(word, str) for word in command):
        words = list(command)
    else:
        raise OctaConfigError(f"command must be text or a list of words, not {type(command).__name__}")
    if not words or not words[0]:
        raise OctaConfigError("the command is empty")
    if any("\0" in word for word in words):
        raise OctaConfigError("the command must not have a NUL in it")
    return tuple(words)


def _parts(word: str) -> tuple[str | Place, ...]:
    parts: list[str | Place] = []
    at = 0
    for match in _PLACE.finditer(word):
        parts.append(word[at : match.start()])
        at = match.end()
        if match[0] in ("{{", "}}"):
            parts.append(match[0][0])
        elif match[1] is None:
            raise OctaConfigError(f"{word!r} has a single brace: write {{{{ and }}}} for braces that are meant so")
        else:
            parts.append(_place(match[1], match[2], match[0]))
    parts.append(word[at:])
    return tuple(part for part in parts if part != "")


def _place(name: str, spec: str | None, shown: str) -> Place:
    if name == "frame":
        width = _WIDTH.fullmatch(spec) if spec is not None else None
        if spec is not None and width is None:
            raise OctaConfigError(f"{shown} is not known: write {{frame}} or {{frame:04d}}")
        return Place(name, width[1] if width else "1")
    if name not in _SPECS:
        raise OctaConfigError(
            f"{shown} is not known: there are {{frame}}, {{start}} and {{end}}, {{frames}}, {{scene}}, {{output}}"
        )
    if spec is not None and spec not in _SPECS[name]:
        raise OctaConfigError(f"{shown} is not known: write {{{name}}}")
    return Place(name, spec or _SPECS[name][0])


def _refuse_late_arguments(words: tuple[str, ...]) -> None:
    if "blender" not in PurePosixPath(words[0]).name.lower():
        return
    own = words[: words.index("--")] if "--" in words else words
    renders: str | None = None
    for at, word in enumerate(own):
        if renders and word in _BLENDER_SETS:
            raise OctaConfigError(
                f"{word} stands after {renders}: Blender carries out its arguments in their order, so it would come "
                f"too late; put it before {renders}"
            )
        if word in _BLENDER_RENDERS:
            renders = word
        if word in ("-F", "--render-format") and own[at + 1 : at + 2] and own[at + 1].upper() in VIDEO_FORMATS:
            raise OctaConfigError(
                f"{own[at + 1]} is a video: render pictures, and make the video of them with octa-provider video"
            )
