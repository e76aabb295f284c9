"""Images: a name with an environment behind it.

Nothing is pulled. The name decides what a session's commands find on their PATH:

| image (last part of the name, without tag) | environment |
| --- | --- |
| contains `blender` | a `blender` command, and the machine's own commands |
| contains `prefect` | `prefect` and `python` of the emulator's own environment, and the machine's own commands |
| contains `frames` | `octa-fake-renderer`, which renders at once, and the machine's own commands |
| `scratch`, or ends in `-noshell` | no shell: commands fail as in a container without `/bin/sh` |
| anything else | the machine's own commands and `python3` |

A render service session has the environment of a blender image: the API does not say what is inside one, so this is
the emulator's assumption.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from octa_provider.errors import OctaConfigError

BLENDER_PYTHON_VARIABLE = "OCTA_EMULATOR_BLENDER_PYTHON"

_MACHINE_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})


@dataclass(frozen=True)
class ImageEnvironment:
    """What a session's commands find.

    Attributes:
        path: the folders of the PATH, first one first.
        has_shell: whether `/bin/sh` exists in the image.
    """

    path: tuple[str, ...]
    has_shell: bool = True

    def missing_program(self, argv: tuple[str, ...]) -> str | None:
        """The shell that a command needs and the image lacks, or None."""
        if not self.has_shell and Path(argv[0]).name in _SHELLS:
            return argv[0]
        return None


class Images:
    """The environments, with the commands that they need written into `folder`.

    Args:
        folder: where the commands are written.
        blender_python: an interpreter with `bpy`; None takes the variable OCTA_EMULATOR_BLENDER_PYTHON, then our own
            interpreter when it has `bpy`, then a `blender` on the PATH.
    """

    def __init__(self, folder: Path, blender_python: str | None = None) -> None:
        chosen = blender_python or os.environ.get(BLENDER_PYTHON_VARIABLE)
        if chosen and shutil.which(chosen) is None:
            raise OctaConfigError(f"{chosen} is not an interpreter that can be run: give the path of one with bpy.")
        self._machine = _write_command(folder / "machine", "python3", _python_lines())
        self._frames = _write_command(folder / "frames", "octa-fake-renderer", _fake_renderer_lines())
        self._blender = _write_command(folder / "blender", "blender", _blender_lines(chosen))
        self._prefect = _write_command(folder / "prefect", "prefect", _prefect_lines())
        _write_command(folder / "prefect", "python", _python_lines())

    def environment(self, image: str) -> ImageEnvironment:
        """The environment behind an image's name."""
        name = image.rsplit("/", 1)[-1].split("@", 1)[0].split(":", 1)[0].lower()
        if name == "scratch" or name.endswith("-noshell"):
            return ImageEnvironment((), has_shell=False)
        shared = (*_MACHINE_PATH, str(self._machine))
        if "blender" in name:
            return ImageEnvironment((str(self._blender), *shared))
        if "prefect" in name:
            return ImageEnvironment((str(self._prefect), *shared))
        if "frames" in name:
            return ImageEnvironment((str(self._frames), *shared))
        return ImageEnvironment(shared)


def _python_lines() -> str:
    # Last on the PATH: it counts only where the machine has no python3 of its own.
    return f'exec {shlex.quote(sys.executable)} "$@"\n'


def _prefect_lines() -> str:
    if importlib.util.find_spec("prefect") is not None:
        return f'exec {shlex.quote(sys.executable)} -m prefect "$@"\n'
    return "echo 'This machine has no Prefect: start the emulator where Prefect is installed.' >&2\nexit 127\n"


def _fake_renderer_lines() -> str:
    script = Path(__file__).with_name("fake_renderer.py")
    # Without the user's and the environment's packages it starts twice as quickly.
    return f'exec {shlex.quote(sys.executable)} -E -s -S {shlex.quote(str(script))} "$@"\n'


def _blender_lines(blender_python: str | None) -> str:
    command = shlex.quote(str(Path(__file__).with_name("blender_command.py")))
    if blender_python is None and importlib.util.find_spec("bpy") is not None:
        blender_python = sys.executable
    if blender_python is not None:
        # Absolute, and with its links kept: a virtual environment's interpreter is one.
        interpreter = os.path.abspath(shutil.which(blender_python) or blender_python)  # noqa: PTH100
        return f'exec {shlex.quote(interpreter)} {command} "$@"\n'
    installed = shutil.which("blender")
    if installed is not None:
        return f'exec {shlex.quote(installed)} "$@"\n'
    return (
        "echo 'This machine has no Blender: pip install bpy (4.5 for Python 3.11, 5.1 or newer for 3.13) and give that "
        f"interpreter as {BLENDER_PYTHON_VARIABLE}, or install blender.' >&2\nexit 127\n"
    )


def _write_command(folder: Path, name: str, lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.new"
    temporary.write_text("#!/bin/sh\n" + lines)
    temporary.chmod(0o755)
    temporary.replace(folder / name)
    return folder
