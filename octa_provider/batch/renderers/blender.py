"""Blender as a renderer: the command line is ours, so that frames can be taken over and nothing comes too late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from octa_provider.batch.renderers.blender_renderer import FORMATS, BlenderRenderer
from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import expanded, shown, unreadable
from octa_provider.text.plain_text import plain

__all__ = ["blender"]

_SHORT = {"EXR": "OPEN_EXR", "MULTILAYER": "OPEN_EXR_MULTILAYER", "JPG": "JPEG", "TIF": "TIFF"}
_VIDEOS = ("FFMPEG", "MPEG", "AVI_JPEG", "AVI_RAW", "AVIJPEG", "AVIRAW", "MP4", "MKV", "MOV", "H264")
#: Linux has 128 KiB for one variable.
MOST_SCRIPT_BYTES = 90_000


def blender(
    image: str = "blender:4.5",
    *,
    scene: str | None = None,
    device: str = "auto",
    format: str | None = None,
    python: Iterable[str | Path] = (),
    addons: Iterable[str] = (),
    view_layers: Iterable[str] | None = None,
    engine: str | None = None,
    samples: int | None = None,
    ocio: str | None = None,
    files: Sequence[str] = (),
    scripts_of_the_file: bool = True,
    allow_missing: bool = False,
    max_frames_per_process: int | None = None,
) -> BlenderRenderer:
    """Blender, for a batch.

    Args:
        image: the container image; its `blender` is used.
        scene: the scene of the file; None takes the one that was active when it was saved.
        device: what Cycles renders on: `auto` (OPTIX, else CUDA: never the processor at the price of a graphics
            card), one of them, HIP, ONEAPI, or CPU; `+CPU` behind one helps with the processor.
        format: the format of the frames: PNG, OPEN_EXR, OPEN_EXR_MULTILAYER, JPEG or TIFF. None is PNG, and the
            preflight refuses a scene that says something else of itself, unless it is a video.
        python: Python files of this machine that Blender runs before it renders, in this order. They are read now.
        addons: add-ons to enable; all others are off, whatever the image has enabled.
        view_layers: the only view layers to render; None leaves it to the scene.
        engine: the render engine; None leaves it to the scene.
        samples: samples a pixel; None leaves it to the scene.
        ocio: the colour configuration: a file within what is sent, or an absolute path of the image, or `ocio://...`;
            None takes Blender's own, on every machine.
        files: the names of a frame's files, the picture first; further ones are what File Output nodes write.
        scripts_of_the_file: whether drivers and scripts in the file may run, as most rigs need.
        allow_missing: render although files of the scene are missing.
        max_frames_per_process: start Blender again after so many frames, for scenes whose memory grows.

    Raises:
        OctaConfigError: an argument that can't work.
    """
    kind = _format(format)
    return BlenderRenderer(
        image,
        files=_listed("files", files) or (f"frame_{{frame:04d}}{FORMATS[kind]}",),
        max_frames_per_process=max_frames_per_process,
        scene=scene,
        device=device,
        format=None if format is None else kind,
        python=tuple(_script(path) for path in _listed("python", python)),
        addons=_names("addons", addons),
        view_layers=None if view_layers is None else _names("view_layers", view_layers),
        engine=engine,
        samples=samples,
        ocio=ocio,
        scripts_of_the_file=scripts_of_the_file,
        allow_missing=allow_missing,
    )


def _format(given: str | None) -> str:
    if given is None:
        return "PNG"
    name = given.upper() if isinstance(given, str) else str(given)
    if name in _VIDEOS:
        raise OctaConfigError(
            f"{given} is a video: render pictures (PNG, OPEN_EXR), and make the video of them with octa-provider video"
        )
    name = _SHORT.get(name, name)
    if name not in FORMATS:
        raise OctaConfigError(f"format must be one of {', '.join(FORMATS)}, not {given!r}")
    return name


def _script(path: str | Path) -> tuple[str, str]:
    file = expanded(path)
    try:
        source = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise OctaConfigError(f"{shown(file)} is no Python file: it is not UTF-8") from None
    except OSError as error:
        raise unreadable(file, error) from error
    if len(source.encode()) > MOST_SCRIPT_BYTES:
        raise OctaConfigError(f"{shown(file)} has more than {MOST_SCRIPT_BYTES} bytes: keep what is large in the scene")
    try:
        compile(source, str(file), "exec")
    except (SyntaxError, ValueError) as error:
        raise OctaConfigError(f"{shown(file)} is no Python file: {error}") from None
    return file.name, source


def _listed(what: str, given: object) -> tuple[Any, ...]:
    if isinstance(given, (str, Path)):
        return (given,)
    if not isinstance(given, Iterable):
        raise OctaConfigError(f"{what} must be a list, not {given!r}")
    return tuple(given)


def _names(what: str, given: Iterable[str]) -> tuple[str, ...]:
    names = _listed(what, given)
    for name in names:
        if not isinstance(name, str) or not name or plain(name) != name:
            raise OctaConfigError(f"{what} must be names, not {name!r}")
    return names
