"""What a batch is asked for on a command line: its scene, what renders it, and the terms."""

from __future__ import annotations

import argparse
import re
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octa_provider.cli.options.durations import positive_seconds
from octa_provider.cli.options.job_parts import add_label_option, labels_once
from octa_provider.cli.options.numbers import number, whole_number
from octa_provider.cli.options.parser import add_renamed
from octa_provider.cli.options.requirements import add_requirement_options, requirements_of
from octa_provider.cli.options.time_of_day import seconds_until
from octa_provider.errors import OctaConfigError

if TYPE_CHECKING:
    from octa_provider.batch.batch import Batch
    from octa_provider.batch.check import Check
    from octa_provider.batch.renderers.renderer import Renderer
    from octa_provider.market.requirements import Requirements

__all__ = ["add_batch_options", "batch_of", "changes_of"]

#: Each is an argument of `Batch`, and can be given anew for a batch that goes on.
_TERMS = (
    "max_machines",
    "max_cost_usd",
    "confidence",
    "max_failed_frames",
    "tries_per_frame",
    "seconds_per_frame",
    "on_changed",
    "order",
    "ready_timeout_s",
    "max_duration_s",
    "wait_for_machine_s",
)
#: Blender's options, and the arguments of `blender` that they are.
_BLENDERS = {
    "scene_name": "scene",
    "device": "device",
    "format": "format",
    "python": "python",
    "addon": "addons",
    "view_layer": "view_layers",
    "engine": "engine",
    "samples": "samples",
    "ocio": "ocio",
    "allow_missing": "allow_missing",
}
#: What a folder knows of its batch.
_KNOWN = (
    *("scene", "frames", "output", "main", "size", "one_colour", "image", "file", "frames_per_process"),
    *(*_BLENDERS, "template", "can_skip"),
)
_SPELLED = {"scene": "SCENE", "template": "--command"}
_SIZE = re.compile(r"([0-9]{1,6})x([0-9]{1,6})")


def add_batch_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options; `batch_of` and `changes_of` read them. None has a default: a resume has its own."""
    _add_scene(parser)
    _add_terms(parser)
    add_requirement_options(parser, disk=False)


def _add_scene(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--frames", metavar="RANGE", help="1-240, 1-240x2, or 1,5,10-20")
    add("--main", metavar="FILE", help="the scene's file within the folder SCENE")
    add("--size", type=_size, metavar="WxH", help="each frame's, in pixels (default: what the scene says)")
    add(
        "--one-colour",
        choices=("confirm", "refuse", "allow"),
        help="a frame of one colour counts when a second machine renders it so too, never, or at once "
        "(default: confirm)",
    )
    group = parser.add_argument_group("what renders")
    add = group.add_argument
    add("--image", metavar="IMAGE", help="container image (default: blender:4.5)")
    add(
        "--file",
        action="append",
        metavar="PATTERN",
        help="a file that each frame has, such as beauty_{frame:04d}.exr; give it once for each, the picture first",
    )
    add("--frames-per-process", type=whole_number, metavar="N", help="start the renderer anew after so many frames")
    group = parser.add_argument_group("Blender")
    add = group.add_argument
    add("--scene-name", metavar="NAME", help="scene of the file (default: the one that was active when it was saved)")
    add("--device", metavar="NAME", help="auto (OPTIX, else CUDA, never the CPU), OPTIX, CUDA, HIP, ONEAPI or CPU")
    add("--format", metavar="NAME", help="PNG, OPEN_EXR, OPEN_EXR_MULTILAYER, JPEG or TIFF (default: PNG)")
    add("--engine", metavar="NAME", help="render engine (default: the scene's)")
    add("--samples", type=whole_number, metavar="N", help="samples a pixel (default: the scene's)")
    add("--view-layer", action="append", metavar="NAME", help="render only this one; can be given several times")
    add("--python", action="append", metavar="FILE", help="Python file to run first; several are run in order")
    add("--addon", action="append", metavar="NAME", help="add-on to enable; all others are off")
    add("--ocio", metavar="PATH", help="colour configuration within SCENE (default: Blender's own, on every machine)")
    add("--allow-missing", action="store_true", default=None, help="render although files of the scene are missing")
    group = parser.add_argument_group("any other renderer")
    add = group.add_argument
    add(
        "--command",
        dest="template",
        metavar="TEMPLATE",
        help="its command line, with {scene}, {output}, and {frame}, {start} and {end}, or {frames}; needs --image",
    )
    add("--can-skip", action="store_true", default=None, help="it leaves out a frame whose first file is there")


def _add_terms(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("terms")
    when = group.add_mutually_exclusive_group()
    when.add_argument(
        "--within", dest="within_s", type=positive_seconds, metavar="DURATION", help="be done in that time: 90m, 2h"
    )
    when.add_argument(
        "--by",
        dest="by_s",
        type=seconds_until,
        metavar="TIME",
        help="be done by then: 18:00 is today, or tomorrow where it has passed; or '2026-11-30 08:00'",
    )
    add = group.add_argument
    add_renamed(*(group, "--max-cost-usd", "--max-cost"), type=number, metavar="USD", help="stop before it costs more")
    add(
        "--max-duration",
        dest="max_duration_s",
        type=positive_seconds,
        metavar="DURATION",
        help="stop all machines when the first has run so long",
    )
    add("--max-machines", type=whole_number, metavar="N", help="at most so many at once (default: 10)")
    add(
        "--seconds-per-frame",
        type=number,
        metavar="S",
        help="on average, on a machine of the median score (default: measured)",
    )
    add("--confidence", type=number, metavar="P", help="how sure deadline and budget are to hold (default: 0.9)")
    add("--max-failed-frames", type=whole_number, metavar="N", help="go on although so many were given up (default: 0)")
    add("--tries-per-frame", type=whole_number, metavar="N", help="each on another machine (default: 3)")
    add(
        "--order",
        choices=("forward", "backward", "spread"),
        help="which frames come first; spread: far apart (default: forward)",
    )
    add(
        "--on-changed",
        choices=("refuse", "replace"),
        help="what is done where OUT holds frames of another scene (default: refuse)",
    )
    add_renamed(
        *(group, "--disk-gb", "--disk"),
        type=whole_number,
        metavar="GB",
        help="disk to rent, and to ask of the machine (default: 20)",
    )
    add(
        "--ready-timeout",
        dest="ready_timeout_s",
        type=positive_seconds,
        metavar="DURATION",
        help="for a machine to come up (default: 15m)",
    )
    add(
        "--wait-for-machine",
        dest="wait_for_machine_s",
        type=positive_seconds,
        metavar="DURATION",
        help="wait so long, in all, while no machine fits or has room (default: do not wait)",
    )
    add_label_option(group, "each machine's session", "the machines' owners")


def batch_of(arguments: argparse.Namespace) -> Batch:
    """The batch that the options ask for, looked at as far as this machine can.

    Raises:
        OctaConfigError: something is missing or can't work; no request was made.
    """
    from octa_provider.batch.batch import Batch

    if not arguments.frames:
        raise OctaConfigError("say which frames: --frames 1-240")
    batch = Batch(
        scene=arguments.scene,
        frames=arguments.frames,
        output=arguments.output or _nowhere(),
        main=arguments.main,
        renderer=_renderer(arguments),
        check=_check(arguments),
        **_terms(arguments),
    )
    # Told now, and not after the catalogue was asked for.
    _ = batch.main_file
    return batch


def changes_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `Batch` that are given anew for a batch that goes on.

    Raises:
        OctaConfigError: one is given that the folder knows.
    """
    for name in _KNOWN:
        if getattr(arguments, name, None) is not None:
            spelled = _SPELLED.get(name, "--" + name.replace("_", "-"))
            raise OctaConfigError(f"--resume OUT knows {spelled}: leave it out, or render without --resume")
    return _terms(arguments)


def _terms(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(arguments, name) for name in _TERMS}
    given["finish_within_s"] = arguments.within_s if arguments.within_s is not None else arguments.by_s
    given["disk_gb"] = arguments.disk_gb
    given["labels"] = labels_once(arguments.label) or None
    given["requirements"] = _requirements(arguments)
    return {name: value for name, value in given.items() if value is not None}


def _requirements(arguments: argparse.Namespace) -> Requirements | None:
    from octa_provider.market.requirements import Requirements

    asked = requirements_of(arguments, disk_gb=arguments.disk_gb)
    return None if asked == Requirements() else asked


def _renderer(arguments: argparse.Namespace) -> Renderer:
    from octa_provider.batch.renderers.blender import blender
    from octa_provider.batch.renderers.renderer import Renderer

    given: dict[str, Any] = {"max_frames_per_process": arguments.frames_per_process}
    given["files"] = None if arguments.file is None else tuple(arguments.file)
    if arguments.template is None:
        _refuse(arguments, ("can_skip",), "goes with --command TEMPLATE")
        given.update({name: getattr(arguments, option) for option, name in _BLENDERS.items()}, image=arguments.image)
        return blender(**{name: value for name, value in given.items() if value is not None})
    _refuse(arguments, tuple(_BLENDERS), "is Blender's, and --command TEMPLATE is for any other renderer")
    if not arguments.image:
        raise OctaConfigError("--command TEMPLATE needs --image: the container image that has the renderer")
    given["can_skip"] = arguments.can_skip
    made = {name: value for name, value in given.items() if value is not None}
    return Renderer(image=arguments.image, command=arguments.template, **made)


def _refuse(arguments: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            raise OctaConfigError(f"--{name.replace('_', '-')} {why}")


def _check(arguments: argparse.Namespace) -> Check:
    from octa_provider.batch.check import Check

    given = {"size": arguments.size, "one_colour": arguments.one_colour}
    return Check(**{name: value for name, value in given.items() if value is not None})


def _size(text: str) -> tuple[int, int]:
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write it like 1920x1080")
    return int(match[1]), int(match[2])


def _nowhere() -> Path:
    """A folder that is not there, for a plan of all frames."""
    return Path(tempfile.gettempdir()) / f"octa-plan-{secrets.token_hex(8)}"
