"""Blender's command line on top of ``bpy``, for emulated machines.

Run it with a Python that has ``bpy``; the arguments are Blender's own and are carried out in the order given, so a
frame range or an output path must stand before the ``-a`` that uses it::

    python blender_command.py -b scene.blend -s 1 -e 24 -o //frames/#### -F PNG -a

This file imports nothing from the rest of the package: the interpreter that has ``bpy`` does not have the package.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Python puts the script's folder first; a neighbour of ours must not be taken for a module of the standard library.
    sys.path.pop(0)

import ctypes
import os
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

LOWEST_FRAME, HIGHEST_FRAME = -1048574, 1048574
HIGHEST_THREADS = 1024

# The command line has its own spelling of some formats.
FORMATS = {
    "TGA": "TARGA",
    "RAWTGA": "TARGA_RAW",
    "JP2": "JPEG2000",
    "EXR": "OPEN_EXR",
    "MULTILAYER": "OPEN_EXR_MULTILAYER",
    "MPEG": "FFMPEG",
}

HELP = """\
Usage: blender [args ...] [file] [args ...]

  -b, --background        Run in background (always so here).
  -a, --render-anim       Render frames from start to end (inclusive).
  -S, --scene <name>      Set the active scene <name> for rendering.
  -f, --render-frame <frame>
                          Render frames and save them: 3 or 1,3,5..8; +<n> from the start, -<n> from the end.
  -s, --frame-start <frame>
  -e, --frame-end <frame>
  -j, --frame-jump <frames>
  -o, --render-output <path>
                          // is the folder of the blend file, # the frame number.
  -E, --engine <engine>   "help" lists them.
  -t, --threads <threads> 0 uses every processor.
  -F, --render-format <format>
  -x, --use-extension <bool>
  -P, --python <file>     Run a Python script.
      --python-expr <expression>
      --python-exit-code <code>
                          Exit with this code when a script raises.
      --factory-startup   Skip the user's settings (always so here).
  -v, --version
  -h, --help
  --                      What follows is left to scripts.

Arguments are executed in the order they are given.
"""


class ArgumentError(Exception):
    """An argument that cannot be used; Blender says so and goes on with the next one."""


class Stop(Exception):
    """Ends the command with an exit code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Option(NamedTuple):
    """What an argument does and whether a value follows it."""

    names: tuple[str, ...]
    run: Callable[[str], None]
    has_value: bool


def parse_frame(text: str, *, forward_from: int, back_from: int) -> int:
    """Read a frame number: ``12``, or ``+3`` and ``-3`` counted from either end of the range.

    Raises:
        ArgumentError: it is not a number.
    """
    if not re.fullmatch(r"[+-]?\d+", text):
        raise ArgumentError("not a number")
    if text[0] == "+":
        frame = forward_from + int(text[1:])
    elif text[0] == "-":
        frame = back_from - int(text[1:]) + 1
    else:
        frame = int(text)
    return min(max(frame, LOWEST_FRAME), HIGHEST_FRAME)


def parse_frames(text: str, *, first: int, last: int) -> list[range]:
    """Read what follows ``-f``: frames and inclusive ranges, such as ``1,3,5..8``.

    Raises:
        ArgumentError: a part is empty or not a number.
    """
    ranges = []
    for part in text.split(","):
        if not part:
            raise ArgumentError("incorrect comma use")
        start, dots, stop = part.partition("..")
        begin = parse_frame(start, forward_from=first, back_from=last)
        end = parse_frame(stop, forward_from=first, back_from=last) if dots else begin
        ranges.append(range(begin, end + 1))
    return ranges


class BlenderCommand:
    """Carries out Blender's arguments, one after another, on the scene that is loaded."""

    def __init__(self, bpy: Any) -> None:
        self.bpy = bpy
        self.python_exit_code = 0
        self.threads = 0
        self.use_scene(bpy.context.scene)
        self.options = {
            name: option
            for option in (
                Option(("-b", "--background"), self.ignore, False),
                Option(("--factory-startup",), self.ignore, False),
                Option(("-noaudio",), self.ignore, False),
                Option(("-q", "--quiet"), self.ignore, False),
                Option(("-y", "--enable-autoexec"), self.ignore, False),
                Option(("-Y", "--disable-autoexec"), self.ignore, False),
                Option(("--offline-mode",), self.ignore, False),
                Option(("--disable-crash-handler",), self.ignore, False),
                Option(("-a", "--render-anim"), self.render_animation, False),
                Option(("-f", "--render-frame"), self.render_frames, True),
                Option(("-s", "--frame-start"), self.set_frame_start, True),
                Option(("-e", "--frame-end"), self.set_frame_end, True),
                Option(("-j", "--frame-jump"), self.set_frame_jump, True),
                Option(("-o", "--render-output"), self.set_output, True),
                Option(("-F", "--render-format"), self.set_format, True),
                Option(("-x", "--use-extension"), self.set_extension, True),
                Option(("-S", "--scene"), self.set_scene, True),
                Option(("-E", "--engine"), self.set_engine, True),
                Option(("-t", "--threads"), self.set_threads, True),
                Option(("-P", "--python"), self.run_script, True),
                Option(("--python-expr",), self.run_expression, True),
                Option(("--python-exit-code",), self.set_python_exit_code, True),
            )
            for name in option.names
        }

    def run(self, arguments: list[str]) -> None:
        """Carry out ``arguments`` in order.

        Raises:
            Stop: the command ends early, with an exit code.
        """
        pending = list(arguments)
        while pending:
            argument = pending.pop(0)
            if argument == "--":
                return
            option = self.options.get(argument)
            if option is None:
                if argument.startswith("-"):
                    complain(f"unknown argument, loading as file: {argument}")
                self.load(argument)
            elif not option.has_value:
                option.run("")
            elif not pending:
                complain(f"\nError: a value must follow '{' / '.join(option.names)}'.")
            else:
                value = pending.pop(0)
                try:
                    option.run(value)
                except ArgumentError as error:
                    complain(f"\nError: {error} '{' / '.join(option.names)} {value}'.")

    def ignore(self, _: str) -> None:
        """Accept an argument that changes nothing here."""

    def use_scene(self, scene: Any) -> None:
        self.scene = scene
        if self.bpy.context.window is not None:
            self.bpy.context.window.scene = scene
        # Kept here too because bpy moves the end along when the start passes it, and Blender's command line does not.
        self.first, self.last = int(scene.frame_start), int(scene.frame_end)

    def show_range(self, first: int, last: int) -> None:
        self.scene.frame_start, self.scene.frame_end = first, last

    def load(self, path: str) -> None:
        try:
            self.bpy.ops.wm.open_mainfile(filepath=str(Path(path).absolute()), load_ui=False)
        except RuntimeError:
            raise Stop(1) from None  # bpy has printed why: Error: Cannot read file ...
        self.use_scene(self.bpy.context.scene)

    def set_frame_start(self, text: str) -> None:
        self.first = parse_frame(text, forward_from=self.first, back_from=self.first - 1)
        self.show_range(self.first, self.last)

    def set_frame_end(self, text: str) -> None:
        self.last = parse_frame(text, forward_from=self.last, back_from=self.last - 1)
        self.show_range(self.first, self.last)

    def set_frame_jump(self, text: str) -> None:
        self.scene.frame_step = max(1, number(text, LOWEST_FRAME, HIGHEST_FRAME))

    def set_output(self, path: str) -> None:
        self.scene.render.filepath = path

    def set_format(self, name: str) -> None:
        try:
            self.scene.render.image_settings.file_format = FORMATS.get(name, name)
        except TypeError:
            raise ArgumentError("format not known or not compiled in this release,") from None

    def set_extension(self, text: str) -> None:
        if text[:1] not in ("0", "1"):
            raise ArgumentError("1 or 0 must follow, not")
        self.scene.render.use_file_extension = text[0] == "1"

    def set_scene(self, name: str) -> None:
        scene = self.bpy.data.scenes.get(name)
        if scene is None:
            complain(f"Can't find scene: '{name}'")
        else:
            self.use_scene(scene)

    def set_engine(self, name: str) -> None:
        if name == "help":
            say("Blender Engine Listing:\n\tCYCLES")
            raise Stop(0)
        try:
            self.scene.render.engine = name
        except TypeError:
            complain(f"\nError: engine not found '{name}'")
            raise Stop(1) from None

    def set_threads(self, text: str) -> None:
        self.threads = number(text, 0, HIGHEST_THREADS)

    def set_python_exit_code(self, text: str) -> None:
        self.python_exit_code = number(text, 0, 255)

    def run_script(self, path: str) -> None:
        try:
            source = Path(path).read_bytes()
        except OSError as error:
            complain(f"Python: cannot read {path}: {error.strerror}")
            self.script_failed("file", path)
        else:
            self.execute(source, path, "file")

    def run_expression(self, expression: str) -> None:
        self.execute(expression.encode(), "<string>", "expr")

    def execute(self, source: bytes, name: str, kind: str) -> None:
        try:
            exec(compile(source, name, "exec"), {"__name__": "__main__", "__file__": name})
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            raise Stop(code) from None
        except Exception as error:  # noqa: BLE001 - a user's script may raise anything, and Blender goes on
            flush()
            traceback.print_exception(type(error), error, error.__traceback__ and error.__traceback__.tb_next)
            self.script_failed(kind, name)
        # The script may have opened another file, which ends the life of the scene we knew.
        self.use_scene(self.bpy.context.scene)

    def script_failed(self, kind: str, name: str) -> None:
        if self.python_exit_code:
            complain(f"\nError: script failed, {kind}: '{name}', exiting.")
            raise Stop(self.python_exit_code)

    def render_animation(self, _: str) -> None:
        self.render(self.first, self.last)

    def render_frames(self, text: str) -> None:
        for frames in parse_frames(text, first=self.first, last=self.last):
            if not frames:
                complain(f"\nWarning: negative range ignored '-f / --render-frame {text}'.")
            for frame in frames:
                self.render(frame, frame)

    def render(self, first: int, last: int) -> None:
        """Render and save the frames from ``first`` to ``last`` of the scene.

        Raises:
            Stop: a frame could not be rendered or written.
        """
        if first > last:
            return
        scene = self.scene
        if scene.render.engine != "CYCLES":
            # The other engines draw with a graphics card's context, which a Python process has not.
            say(f"Engine {scene.render.engine} needs a graphics card: rendering with CYCLES on the processor")
            scene.render.engine = "CYCLES"
        scene.cycles.device = "CPU"
        if self.threads:
            scene.render.threads_mode, scene.render.threads = "FIXED", self.threads
        self.show_range(first, last)
        try:
            self.bpy.ops.render.render(animation=True, scene=scene.name)
        except RuntimeError:
            raise Stop(1) from None  # bpy has printed why
        finally:
            self.show_range(self.first, self.last)
            flush()


def number(text: str, lowest: int, highest: int) -> int:
    """Read a whole number between two others, both allowed.

    Raises:
        ArgumentError: it is not one.
    """
    if not re.fullmatch(r"-?\d+", text):
        raise ArgumentError("not a number")
    if not lowest <= int(text) <= highest:
        raise ArgumentError(f"not between {lowest} and {highest}:")
    return int(text)


def say(text: str) -> None:
    """Print a line at once, after what Blender printed before it."""
    flush()
    print(text, flush=True)


def complain(text: str) -> None:
    """Print a line to standard error, after what Blender printed before it."""
    flush()
    print(text, file=sys.stderr, flush=True)


def flush() -> None:
    """Empty the buffers of Blender's C code and of Python."""
    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)


def main(arguments: list[str]) -> int:
    """Run the command; returns its exit code."""
    own_arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if {"-h", "--help"} & set(own_arguments):
        say(HELP)
        return 0
    import bpy  # type: ignore[import-not-found]

    sys.argv = ["blender", *arguments]
    say(f"Blender {bpy.app.version_string}")
    if {"-v", "--version"} & set(own_arguments):
        return 0
    try:
        BlenderCommand(bpy).run(arguments)
    except Stop as stop:
        exit_code = stop.exit_code
    else:
        exit_code = 0
    say("\nBlender quit")
    return exit_code


if __name__ == "__main__":
    status = main(sys.argv[1:])
    flush()
    # bpy's teardown at interpreter exit can crash after the work is done, which would turn success into failure.
    os._exit(status)
