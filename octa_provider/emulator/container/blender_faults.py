"""What faults do to Blender: they act while it renders, through its own handlers.

This file imports nothing from the rest of the package: the interpreter that has `bpy` does not have the package.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from .bad_frames import end_or_hang, spoiled
from .frame_faults import FrameFaults, Met
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
    """

    def __init__(self, bpy: Any, faults: FrameFaults) -> None:
        self._bpy = bpy
        self._faults = faults
        self._met: Met = {}
        self._began = 0.0
        self._final: Path | None = None
        self._restore: list[tuple[Any, str, Any]] = []
        self._root = Path(tempfile.mkdtemp(prefix="octa-rendering-"))
        self._relay: LogRelay | None = None
        handlers = bpy.app.handlers
        # Only a plain function stays when a file is loaded.
        handlers.render_pre.append(handlers.persistent(lambda scene, *_: self._begin(scene)))
        handlers.render_write.append(handlers.persistent(lambda scene, *_: self._written(scene)))

    def close(self) -> None:
        """Print the last line, and leave nothing behind."""
        if self._relay is not None:
            self._relay.close()
        shutil.rmtree(self._root, ignore_errors=True)

    def _begin(self, scene: Any) -> None:
        self._undo()
        self._met = met = self._faults.at_frame(scene.frame_current)
        self._began = time.monotonic()
        if not met:
            return
        end_or_hang(met)
        if "black" in met:
            self._darken(scene)
        self._relay = self._relay or LogRelay(self._root)
        self._final = Path(self._bpy.path.abspath(scene.render.frame_path(frame=scene.frame_current)))
        pattern = str(self._bpy.path.abspath(scene.render.filepath))
        # The same path below another root: the log's relay has but to leave the root out.
        self._set(scene.render, "filepath", f"{self._root}{pattern}")

    def _written(self, scene: Any) -> None:
        if self._final is None:
            return
        staged = Path(f"{self._root}{self._final}")
        picture = staged.read_bytes()
        if "slow" in self._met:
            taken_s = time.monotonic() - self._began
            time.sleep(taken_s * (self._met["slow"]["factor"] - 1))
            picture = restamped(picture, {"RenderTime": render_time(time.monotonic() - self._began)})
        staged.write_bytes(spoiled(picture, self._met))
        staged.replace(self._final)
        self._undo()

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
        self._met, self._final = {}, None
