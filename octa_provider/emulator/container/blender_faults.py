"""What faults do to Blender: they act while it renders, through its own handlers.

This file imports nothing from the rest of the package: the interpreter that has `bpy` does not have the package.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from .bad_frames import RenderedFrame, spoiled
from .blender_output import flush
from .frame_faults import FrameFaults, Met
from .hostile_frames import bring
from .last_moments import end_in_frame, wait_to_be_killed
from .log_relay import LogRelay
from .png_bytes import render_time, restamped

__all__ = ["BlenderFaults", "device_of", "with_device"]

_DEVICE = "--cycles-device"


def device_of(arguments: list[str]) -> str:
    """The device that Cycles is told to use, or an empty text; Cycles reads what stands behind `--`."""
    told = arguments[arguments.index("--") :] if "--" in arguments else []
    return told[told.index(_DEVICE) + 1] if _DEVICE in told[:-1] else ""


def with_device(arguments: list[str], device: str) -> list[str]:
    """The arguments, with another device for Cycles."""
    place = arguments.index(_DEVICE) + 1
    return [*arguments[:place], device, *arguments[place + 1 :]]


class BlenderFaults:
    """Meets each frame of a Blender.

    A frame whose file a fault changes is written elsewhere first, and comes to its place as the fault wants it: nobody
    ever sees it whole.

    Args:
        bpy: Blender's module.
        faults: what is done to this machine.
        log_form: which Blender's lines it prints: 4 or 5.
    """

    def __init__(self, bpy: Any, faults: FrameFaults, log_form: int) -> None:
        self._bpy = bpy
        self._faults = faults
        self._met: Met = {}
        self._began = 0.0
        self._log_form = log_form
        self._folder = ""
        self._still = Path()
        self._is_staged = False
        self._has_rendered = False
        self._last = Path()
        self._restore: list[tuple[Any, str, Any]] = []
        self._root = Path(tempfile.mkdtemp(prefix="octa-rendering-"))
        self._relay = LogRelay(self._root, log_form) if log_form == 5 else None
        handlers = bpy.app.handlers
        # Only a plain function stays when a file is loaded.
        handlers.render_pre.append(handlers.persistent(lambda scene, *_: self._begin(scene)))
        handlers.render_write.append(handlers.persistent(lambda scene, *_: self._written(scene)))

    def close(self) -> None:
        """Print the last line, and leave nothing behind; never return where a fault says so."""
        if self._has_rendered and "hangs" in self._faults.at_end():
            flush()
            wait_to_be_killed()
        if self._relay is not None:
            self._relay.close()
        shutil.rmtree(self._root, ignore_errors=True)

    def _begin(self, scene: Any) -> None:
        self._undo()
        self._has_rendered = True
        self._met = met = self._faults.at_frame(scene.frame_current)
        self._began = time.monotonic()
        final = Path(self._bpy.path.abspath(scene.render.frame_path(frame=scene.frame_current)))
        if not met:
            self._last = final
            return
        end_in_frame(met, final)
        if "black" in met:
            self._darken(scene)
        self._relay = self._relay or LogRelay(self._root, self._log_form)
        pattern = str(self._bpy.path.abspath(scene.render.filepath))
        self._still = Path(pattern)
        self._folder, self._is_staged = os.path.dirname(pattern), True  # noqa: PTH120 - a path may end in a slash
        # The same path below another root: the log's relay has but to leave the root out.
        self._set(scene.render, "filepath", f"{self._root}{pattern}")

    def _written(self, scene: Any) -> None:
        if not self._is_staged:
            return
        if "slow" in self._met:
            taken_s = time.monotonic() - self._began
            time.sleep(taken_s * (self._met["slow"]["factor"] - 1))
        folder = Path(f"{self._root}{self._folder}")
        folder.mkdir(parents=True, exist_ok=True)
        if self._still.is_file():
            # A single picture's place is fixed before the handlers hear of it.
            self._still.replace(folder / self._still.name)
        for staged in sorted(folder.iterdir()):
            self._bring(staged, scene)
        self._undo()

    def _bring(self, staged: Path, scene: Any) -> None:
        picture = staged.read_bytes()
        if "slow" in self._met:
            picture = restamped(picture, {"RenderTime": render_time(time.monotonic() - self._began)})
        scale = scene.render.resolution_percentage
        size = (scene.render.resolution_x * scale // 100, scene.render.resolution_y * scale // 100)
        another = self._last.read_bytes() if self._last.suffix == staged.suffix and self._last.is_file() else b""
        staged.write_bytes(spoiled(RenderedFrame(scene.frame_current, picture, size, another), self._met))
        bring(staged, Path(self._folder, staged.name), self._met, size)

    def _darken(self, scene: Any) -> None:
        self._set(scene.cycles, "film_exposure", 0.0)
        self._set(scene.cycles, "samples", 1)
        self._set(scene.render, "use_compositing", False)
        self._set(scene.render, "use_sequencer", False)
        # It would make some pixels of a black picture lighter.
        self._set(scene.render, "dither_intensity", 0.0)

    def _set(self, owner: Any, name: str, value: Any) -> None:
        self._restore.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def _undo(self) -> None:
        while self._restore:
            owner, name, value = self._restore.pop()
            setattr(owner, name, value)
        self._met, self._is_staged = {}, False
