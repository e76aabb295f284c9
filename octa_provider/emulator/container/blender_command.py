"""Blender's command line on top of ``bpy``, for emulated machines.

Run it with a Python that has ``bpy``; the arguments are Blender's own and are carried out in the order given, so a
frame range or an output path must stand before the ``-a`` that uses it::

    python blender_command.py -b scene.blend -s 1 -e 24 -o //frames/#### -F PNG -a

This file imports nothing from the rest of the package: the interpreter that has ``bpy`` does not have the package.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts the script's folder first; a neighbour of ours must not be taken for a module of the standard library.
    # A script has no package: its neighbours are found through the folder above, for this one moment (PEP 366).
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    __package__ = Path(__file__).resolve().parent.name
    __import__(__package__)
    del sys.path[0]

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from .blender_arguments import (
    AUTOEXEC,
    ENGINE_ALIASES,
    FORMATS,
    HIGHEST_FRAME,
    HIGHEST_THREADS,
    IGNORED_FLAGS,
    IGNORED_WITH_FOUR_VALUES,
    IGNORED_WITH_VALUE,
    LOWEST_FRAME,
    LOWEST_OF_BPY,
    MEDIA_TYPES,
    ArgumentError,
    Stop,
    number,
    parse_frame,
    parse_frames,
)
from .blender_faults import BlenderFaults, device_of, with_device
from .blender_help import HELP
from .blender_output import complain, flush, say
from .blender_scripts import BlenderScripts
from .frame_faults import FrameFaults


class Option(NamedTuple):
    """What an argument does and how many values follow it; it is told the first."""

    names: tuple[str, ...]
    run: Callable[[str], None]
    values: int


class BlenderCommand:
    """Carries out Blender's arguments, one after another, on the scene that is loaded."""

    def __init__(self, bpy: Any, *, runs_scripts: bool = False) -> None:
        self.bpy = bpy
        self.runs_scripts = runs_scripts
        self.scripts = BlenderScripts(bpy, lambda: self.use_scene(bpy.context.scene))
        self.threads = 0
        self.use_scene(bpy.context.scene)
        self.options = {
            name: option
            for option in (
                Option(IGNORED_FLAGS, self.ignore, 0),
                Option(IGNORED_WITH_VALUE, self.ignore, 1),
                Option(IGNORED_WITH_FOUR_VALUES, self.ignore, 4),
                Option(("-c", "--command"), self.refuse_command, 1),
                Option(("-a", "--render-anim"), self.render_animation, 0),
                Option(("-f", "--render-frame"), self.render_frames, 1),
                Option(("-s", "--frame-start"), self.set_frame_start, 1),
                Option(("-e", "--frame-end"), self.set_frame_end, 1),
                Option(("-j", "--frame-jump"), self.set_frame_jump, 1),
                Option(("-o", "--render-output"), self.set_output, 1),
                Option(("-F", "--render-format"), self.set_format, 1),
                Option(("-x", "--use-extension"), self.set_extension, 1),
                Option(("-S", "--scene"), self.set_scene, 1),
                Option(("-E", "--engine"), self.set_engine, 1),
                Option(("-t", "--threads"), self.set_threads, 1),
                Option(("-P", "--python"), self.scripts.run_file, 1),
                Option(("--python-text",), self.scripts.run_text, 1),
                Option(("--python-expr",), self.scripts.run_expression, 1),
                Option(("--python-console",), self.scripts.run_console, 0),
                Option(("--addons",), self.scripts.enable_addons, 1),
                Option(("--python-exit-code",), self.scripts.set_exit_code, 1),
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
            if option is None and argument.startswith("--debug-"):
                continue
            if option is None:
                if argument.startswith("-"):
                    complain(f"unknown argument, loading as file: {argument}")
                self.load(argument)
            elif not option.values:
                option.run("")
            elif len(pending) < option.values:
                pending.clear()
                complain(f"\nError: a value must follow '{argument}'.")
            else:
                value = pending[0]
                del pending[: option.values]
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
            self.bpy.ops.wm.open_mainfile(
                filepath=str(Path(path).absolute()), load_ui=False, use_scripts=self.runs_scripts
            )
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
        settings, name = self.scene.render.image_settings, FORMATS.get(name, name)
        try:
            if hasattr(settings, "media_type"):  # Since 5.0 the formats come in kinds; the command line knows which.
                settings.media_type = MEDIA_TYPES.get(name, "IMAGE")
            settings.file_format = name
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
        for engine in (name, ENGINE_ALIASES.get(name)):
            try:
                self.scene.render.engine = engine
            except TypeError:
                continue
            return
        complain(f"\nError: engine not found '{name}'")
        raise Stop(1)

    def set_threads(self, text: str) -> None:
        self.threads = number(text, 0, HIGHEST_THREADS)

    def refuse_command(self, name: str) -> None:
        complain(f'Unrecognized command: "{name}"')
        raise Stop(1)

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
        try:
            if first < LOWEST_OF_BPY:
                for frame in range(first, last + 1, scene.frame_step):
                    self.render_still(frame)
            else:
                self.show_range(first, last)
                self.bpy.ops.render.render(animation=True, scene=scene.name)
        except RuntimeError:
            raise Stop(1) from None  # bpy has printed why
        finally:
            self.show_range(self.first, self.last)
            flush()

    def render_still(self, frame: int) -> None:
        """Render and save one frame by itself, as that of an animation: a range of bpy has no negative ones."""
        render = self.scene.render
        output = render.filepath
        self.scene.frame_set(frame)
        render.filepath = render.frame_path(frame=frame)
        try:
            self.bpy.ops.render.render(write_still=True, scene=self.scene.name)
        finally:
            render.filepath = output


def main(arguments: list[str]) -> int:
    """Run the command; returns its exit code."""
    own_arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if {"-h", "--help"} & set(own_arguments):
        say(HELP)
        return 0
    faults = FrameFaults()
    device = device_of(arguments)
    met = faults.at_start(device)
    if "no_device" in met:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif device:
        # The machine has such a card, as far as anybody can tell. Cycles reads this when bpy is imported.
        sys.argv = ["blender", *with_device(arguments, "CPU")]
    import bpy  # type: ignore[import-not-found]

    sys.argv = ["blender", *arguments]
    say(f"Blender {bpy.app.version_string}")
    if {"-v", "--version"} & set(own_arguments):
        return 0
    if not {"-b", "--background", "-c", "--command"} & set(own_arguments):
        complain("Unable to open a display")
        return 1
    in_frames = BlenderFaults(bpy, faults, log_form=5 if "log_of_5" in met else 4)
    # As in Blender, these hold wherever they stand, also for a file that is named before them.
    autoexec = [argument for argument in own_arguments if argument in AUTOEXEC]
    try:
        BlenderCommand(bpy, runs_scripts=bool(autoexec) and AUTOEXEC[autoexec[-1]]).run(arguments)
    except Stop as stop:
        exit_code = stop.exit_code
    else:
        exit_code = 0
    in_frames.close()
    say("\nBlender quit")
    return exit_code


if __name__ == "__main__":
    status = main(sys.argv[1:])
    flush()
    # bpy's teardown at interpreter exit can crash after the work is done, which would turn success into failure.
    os._exit(status)
