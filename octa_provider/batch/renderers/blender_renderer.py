"""The renderer that `blender(...)` makes: its command line is ours, so that frames can be taken over."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from octa_provider.batch.renderers.blender_log import BLENDER_RULES
from octa_provider.batch.renderers.blender_source import blender_source
from octa_provider.batch.renderers.frame_words import frame_arguments, own_first
from octa_provider.batch.renderers.log_rule import LogRule
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.batch.renderers.shell_words import beginning, each, forget_empty
from octa_provider.errors import OctaConfigError
from octa_provider.text.plain_text import plain

__all__ = ["FORMATS", "BlenderRenderer"]

#: The formats of pictures, as Python in Blender calls them, and the endings that Blender gives them.
FORMATS = {
    "PNG": ".png",
    "OPEN_EXR": ".exr",
    "OPEN_EXR_MULTILAYER": ".exr",
    "JPEG": ".jpg",
    "TIFF": ".tif",
}
_DEVICES = ("OPTIX", "CUDA", "HIP", "ONEAPI", "METAL", "CPU")
#: Blender knows no higher frame; a negative one is clamped to 0 in a range, and counted from the end behind `-f`.
HIGHEST_FRAME = 1_048_574
#: Linux has 2 MiB for all variables and the arguments.
MOST_SCRIPTS_BYTES = 400_000
#: Of 100 kB each, in one command.
_MOST_ARGUMENTS = 5
_LAST = {
    "make_sure": ("scene_errors", "file_outputs", "make_sure"),
    "preflight": ("scene_errors", "file_outputs", "missing_files", "simulations", "preflight"),
}
_ADDON = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}", re.ASCII)


@dataclass(frozen=True)
class BlenderRenderer(Renderer):
    """Blender; made by `blender(...)`, which says what the arguments mean.

    Attributes:
        python: scripts as (name, source).
    """

    command: str | Sequence[str] = "blender"
    progress: str | None = "blender"
    scene: str | None = None
    device: str = "auto"
    format: str | None = None
    python: tuple[tuple[str, str], ...] = ()
    addons: tuple[str, ...] = ()
    view_layers: tuple[str, ...] | None = None
    engine: str | None = None
    samples: int | None = None
    ocio: str | None = None
    scripts_of_the_file: bool = True
    allow_missing: bool = False

    kind: ClassVar[str] = "blender"

    def _settle(self) -> None:
        put = object.__setattr__
        put(self, "can_skip", True)
        put(self, "python", tuple((str(name), str(source)) for name, source in self.python))
        if sum(len(source.encode()) for _, source in self.python) > MOST_SCRIPTS_BYTES:
            raise OctaConfigError(f"the Python files have over {MOST_SCRIPTS_BYTES} bytes: put some into the scene")
        put(self, "addons", tuple(self.addons))
        put(self, "view_layers", None if self.view_layers is None else tuple(self.view_layers))
        picture = self.main_file
        if picture.suffix != FORMATS[self.file_format]:
            raise OctaConfigError(
                f"the first of files must end in {FORMATS[self.file_format]} for the format {self.file_format}, not "
                f"{self.files[0]!r}"
            )
        for name in ("scene", "engine", "ocio"):
            text = getattr(self, name)
            if text is not None and (not isinstance(text, str) or not text or plain(text) != text):
                raise OctaConfigError(f"{name} must be a name, or left out, not {text!r}")
        for addon in self.addons:
            # Blender pastes them into Python.
            if not isinstance(addon, str) or not _ADDON.fullmatch(addon):
                raise OctaConfigError(f"addons must be names of modules such as io_scene_fbx, not {addon!r}")
        if self.samples is not None and (
            isinstance(self.samples, bool) or not isinstance(self.samples, int) or not 1 <= self.samples <= 2**24
        ):
            raise OctaConfigError(f"samples must be a whole number above 0, not {self.samples!r}")
        if self.device != "auto":
            first, plus, second = str(self.device).partition("+")
            if first not in _DEVICES or (plus and (first == "CPU" or second != "CPU")):
                raise OctaConfigError(f"device must be auto or one of {', '.join(_DEVICES)}, not {self.device!r}")

    @property
    def file_format(self) -> str:
        """The format of the frames, as Python in Blender calls it."""
        return self.format or "PNG"

    @property
    def devices(self) -> tuple[str, ...]:
        """What Cycles is told to render on, one after the other until one works."""
        if self.engine not in (None, "CYCLES"):
            return ()
        return ("OPTIX", "CUDA") if self.device == "auto" else (self.device,)

    def check_frames(self, frames: Iterable[int]) -> None:
        """Refuse frames that Blender's command line can't render: those below 0, and above 1,048,574."""
        for frame in frames:
            if frame < 0:
                raise OctaConfigError(
                    f"Blender's command line can't render frame {frame}: it takes a negative number as one from the "
                    "end; move the animation so that it begins at 0 or later"
                )
            if frame > HIGHEST_FRAME:
                raise OctaConfigError(f"Blender can't render frame {frame}: its highest is {HIGHEST_FRAME}")

    def scenes_in(self, folder: Path) -> list[str]:
        """The `.blend` files of a folder, relative."""
        return sorted(
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.suffix.lower() == ".blend" and path.is_file()
        )

    def skip_file(self, frame: int) -> str:
        """The picture itself: Blender lays it empty when it begins a frame."""
        return self.main_file.name(frame)

    def process_script(
        self, frames: Sequence[int], main: str, *, device: str | None = None, turn: int = 0, turns: int = 1
    ) -> str:
        """The shell script of a process; see `Renderer.process_script`."""
        self.check_frames(frames)
        picture = self.main_file
        lines = [
            self._beginning(main, turn, turns, "make_sure"),
            forget_empty(picture, frames[turn::turns]),
            f'look() {{ pad "$1" {picture.width}; if ! [ -e "$OUT"/{picture.in_shell()} ]; then left=1; fi; }}\n',
        ]
        ordered = own_first(frames, turn, turns)
        step = self.max_frames_per_process or len(ordered) or 1
        for at in range(0, len(ordered), step):
            arguments = frame_arguments(ordered[at : at + step])
            for first in range(0, len(arguments), _MOST_ARGUMENTS):
                some = arguments[first : first + _MOST_ARGUMENTS]
                rendering = " ".join(f"-f {argument}" for argument in some)
                if at or first:
                    # Another process may have begun them all: the scene is not loaded for nothing.
                    lines.append(f"left=0; {each('look', _numbers(some))}\n[ $left = 0 ] || ")
                lines.append(f"{self._line(rendering, device)} || exit\n")
        return "".join(lines)

    def _beginning(self, main: str, turn: int, turns: int, last: str) -> str:
        """The first lines of a script: what runs inside of Blender is in the environment.

        Blender repeats the whole of an expression when it fails, which would push what went wrong out of the end of
        the log; and a script of a process is sent, files beside it are not.
        """
        sources = {
            "OCTA_SET_UP": blender_source("scene_errors", "set_up"),
            "OCTA_LAST": blender_source(*_LAST[last]),
            "OCTA_OPTIONS": json.dumps(self._options()),
        }
        if self.python:
            sources["OCTA_RUN"] = blender_source("scene_errors", "user_script")
        sources.update({f"OCTA_SCRIPT_{at}": source for at, (_, source) in enumerate(self.python)})
        exports = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in sources.items())
        return beginning(shlex.quote(main), turn, turns, self._ocio) + exports

    @property
    def _ocio(self) -> str | None:
        if self.ocio is None:
            return None
        outside = self.ocio.startswith("/") or "://" in self.ocio
        return shlex.quote(self.ocio) if outside else f'"$PWD"/{shlex.quote(self.ocio)}'

    def _options(self) -> dict[str, Any]:
        return {
            "scene": self.scene,
            "addons": list(self.addons),
            "view_layers": None if self.view_layers is None else list(self.view_layers),
            "samples": self.samples,
            "format": self.file_format,
            "folder": self.main_file.folder,
            "files": list(self.files),
            "format_given": self.format is not None,
            "engine": self.engine,
            "has_scripts": bool(self.python),
            "allow_missing": self.allow_missing,
        }

    def _words(self, last: str) -> str:
        """The command line up to what is rendered, as words for the shell."""
        # The user's settings that an image may hold are left out: the same add-ons and devices on every machine.
        words = ["blender -b --factory-startup -noaudio"]
        words.append('"${OCTA_AUTOEXEC:--y}"' if self.scripts_of_the_file else "-Y")
        words.append("--python-exit-code 1")
        if self.addons:
            words.append(f"--addons {shlex.quote(','.join(self.addons))}")
        words.append('"$SCENE"')
        if self.scene is not None:
            words.append(f"-S {shlex.quote(self.scene)}")
        words.append(_expression("OCTA_SET_UP", "set_up(json.loads(os.environ['OCTA_OPTIONS']))"))
        for at, (name, _) in enumerate(self.python):
            words.append(_expression("OCTA_RUN", f"run_user_script(os.environ['OCTA_SCRIPT_{at}'], {name!r})"))
        if self.engine is not None:
            words.append(f"-E {shlex.quote(self.engine)}")
        words.append(_expression("OCTA_LAST", f"{last}(json.loads(os.environ['OCTA_OPTIONS']))"))
        return " ".join(words)

    def _line(self, rendering: str, device: str | None) -> str:
        picture = self.main_file
        behind = f" -- --cycles-device {shlex.quote(device)}" if device is not None else ""
        return (
            f'{self._words("make_sure")} -o "$OUT"/{shlex.quote(picture.for_blender())} '
            f"-F {self.file_format} -x 1 {rendering}{behind}"
        )

    def preflight_script(self, main: str) -> str:
        """A shell script that asks the scene, without rendering, what it says of itself."""
        return self._beginning(main, 0, 1, "preflight") + f"{self._words('preflight')}\n"

    def _rules(self) -> tuple[LogRule, ...]:
        return BLENDER_RULES

    def settings(self) -> dict[str, Any]:
        """All that decides about the pictures, as JSON: two that are equal render the same."""
        return {
            **super().settings(),
            "scene": self.scene,
            "device": self.device,
            "format": self.format,
            "python": [list(script) for script in self.python],
            "addons": list(self.addons),
            "view_layers": None if self.view_layers is None else list(self.view_layers),
            "engine": self.engine,
            "samples": self.samples,
            "ocio": self.ocio,
            "scripts_of_the_file": self.scripts_of_the_file,
        }

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; see `Renderer.from_dict`."""
        return {**super().to_dict(), "allow_missing": self.allow_missing}


def _expression(source: str, call: str) -> str:
    """Words that run a source of the environment, and a call of what it has; short, since Blender repeats them."""
    return f"--python-expr {shlex.quote(f'import json, os; exec(os.environ[{source!r}]); {call}')}"


def _numbers(arguments: Sequence[str]) -> list[int]:
    numbers: list[int] = []
    for word in ",".join(arguments).split(","):
        first, _, last = word.partition("..")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers
