"""Blender's arguments: which there are, and how frames and numbers are written.

This file imports nothing from the rest of the package: the interpreter that has `bpy` does not have the package.
"""

from __future__ import annotations

import re

LOWEST_FRAME, HIGHEST_FRAME = -1048574, 1048574
#: The range of a scene begins here for Python; Blender's command line knows lower frames.
LOWEST_OF_BPY = 0
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

MEDIA_TYPES = {"OPEN_EXR_MULTILAYER": "MULTI_LAYER_IMAGE", "FFMPEG": "VIDEO"}

# The engine was renamed from one release to the next, and the command line takes both names.
ENGINE_ALIASES = {"BLENDER_EEVEE": "BLENDER_EEVEE_NEXT", "BLENDER_EEVEE_NEXT": "BLENDER_EEVEE"}

# What changes nothing about the frames, or nothing on a machine without a window: arguments alone, with a value, ...
IGNORED_FLAGS = (
    *("-b", "--background", "--factory-startup", "-q", "--quiet", "-d", "--debug", "-noaudio"),
    *("-y", "--enable-autoexec", "-Y", "--disable-autoexec", "--offline-mode", "--online-mode"),
    *("--disable-crash-handler", "--disable-abort-handler", "--disable-depsgraph-on-file-load"),
    *("--disable-liboverride-auto-resync", "--enable-event-simulate", "--python-use-system-env", "--profile-gpu"),
    *("-w", "--window-border", "-W", "--window-fullscreen", "-M", "--window-maximized", "-con", "--start-console"),
    *("--no-native-pixels", "--no-window-frame", "--no-window-focus", "--log-show-basename", "--log-show-source"),
    *("--log-show-backtrace", "--log-show-timestamp", "--log-show-memory"),
)
IGNORED_WITH_VALUE = (
    *("--log", "--log-level", "--log-file", "--verbose", "--debug-value", "--debug-gpu-shader-source"),
    *("--debug-gpu-scope-capture", "--gpu-backend", "--gpu-vsync", "--gpu-compilation-subprocesses", "--qos"),
    *("--app-template", "-setaudio", "--env-system-datafiles", "--env-system-scripts", "--env-system-python"),
    "--env-system-extensions",
)
AUTOEXEC = {"-y": True, "--enable-autoexec": True, "-Y": False, "--disable-autoexec": False}
IGNORED_WITH_FOUR_VALUES = ("-p", "--window-geometry")


class ArgumentError(Exception):
    """An argument that cannot be used; Blender says so and goes on with the next one."""


class Stop(Exception):
    """Ends the command with an exit code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


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
