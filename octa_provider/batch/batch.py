"""`Batch`: one scene, a set of frames, one output folder; all that is asked for, checked before any money is spent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from octa_provider.batch.check import Check
from octa_provider.batch.order import ORDERS
from octa_provider.batch.planner import MAX_MACHINES
from octa_provider.batch.renderers.blender import blender
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import expanded, shown
from octa_provider.market.requirements import Requirements
from octa_provider.render.frames import MAX_FRAMES, Frames, parse
from octa_provider.timing.limits import checked_cap, checked_seconds
from octa_provider.wire.labels import checked_labels

__all__ = ["ON_CHANGED", "Batch"]

#: What is done where the output folder holds frames of another scene.
ON_CHANGED = ("refuse", "replace")


@dataclass(frozen=True)
class Batch:
    """What is to be rendered, and on what terms.

    Args:
        scene: the scene's file, or the folder with it and all that it needs.
        frames: a range such as `1-240` or `1-240x2`, or numbers.
        output: the folder that gets the frames; made when missing.
        main: the scene's file within a folder, such as `shot.blend`; needed where the folder holds several.
        renderer: what renders; Blender when left out.
        requirements: which machines.
        check: when a frame is whole.
        max_machines: at most so many at once, 1 to 10,000.
        finish_within_s: the deadline, in seconds from the start of the run; None takes the time that costs least.
        max_cost_usd: never more than this, in USD.
        max_duration_s: all machines are stopped when the first of a run has been rented for so many seconds, whatever
            they are at, and what has come is kept; plans that would take longer are refused. Running it again goes on,
            with the whole time again. None for no such cap.
        wait_for_machine_s: seconds to wait, in all, while no machine of the batch is there and none fits or has room;
            the market is looked at now and then. The deadline counts on meanwhile, and ends the wait of a batch that
            has not begun. 0 waits for none.
        confidence: how sure the deadline and the budget are to hold when the plan is made, 0.5 to 0.99.
        max_failed_frames: go on although so many frames were given up; one more ends the batch as incomplete.
        tries_per_frame: tries for each frame, each on another node.
        seconds_per_frame: what a frame takes on average on a machine of the median score, in seconds, where it is
            known; else it is measured.
        on_changed: `refuse` frames in the output folder that are of another scene, or `replace` them.
        order: `forward`, `backward`, or `spread`: first those that are far apart, to see the whole film early.
        disk_gb: disk of each machine, in GB.
        ready_timeout_s: seconds for a machine to come up.
        labels: words of your own on each machine's session, such as `{"project": "atlas"}`, as of `JobSpec`. With
            others it is the same batch: what runs already keeps its own.

    Raises:
        OctaConfigError: an argument that can't work.
    """

    scene: str | os.PathLike[str]
    frames: str | Frames | Iterable[int]
    output: str | os.PathLike[str]
    main: str | None = None
    renderer: Renderer = field(default_factory=blender)
    requirements: Requirements = field(default_factory=Requirements)
    check: Check = field(default_factory=Check)
    max_machines: int = 10
    finish_within_s: float | None = None
    max_cost_usd: float | None = None
    confidence: float = 0.9
    max_failed_frames: int = 0
    tries_per_frame: int = 3
    seconds_per_frame: float | None = None
    on_changed: str = "refuse"
    order: str = "forward"
    disk_gb: int = 20
    ready_timeout_s: float = 900.0
    max_duration_s: float | None = None
    wait_for_machine_s: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "frames", _frames(self.frames))
        _whole("max_machines", self.max_machines, 1, MAX_MACHINES)
        _whole("max_failed_frames", self.max_failed_frames, 0, MAX_FRAMES)
        _whole("tries_per_frame", self.tries_per_frame, 1, 10)
        _whole("disk_gb", self.disk_gb, 1, 100_000)
        if self.finish_within_s is not None:
            put(self, "finish_within_s", checked_seconds("finish_within_s", self.finish_within_s, least_s=1.0))
        if self.seconds_per_frame is not None:
            put(self, "seconds_per_frame", checked_seconds("seconds_per_frame", self.seconds_per_frame, least_s=0.001))
        put(self, "ready_timeout_s", checked_seconds("ready_timeout_s", self.ready_timeout_s, least_s=1.0))
        put(self, "max_duration_s", checked_cap("max_duration_s", self.max_duration_s))
        put(self, "wait_for_machine_s", checked_seconds("wait_for_machine_s", self.wait_for_machine_s))
        put(self, "labels", checked_labels(self.labels))
        put(self, "max_cost_usd", checked_cap("max_cost_usd", self.max_cost_usd))
        if isinstance(self.confidence, bool) or not isinstance(self.confidence, (int, float)):
            raise OctaConfigError(f"confidence must be a number from 0.5 to 0.99, not {self.confidence!r}")
        if not 0.5 <= self.confidence <= 0.99:
            raise OctaConfigError(f"confidence must be a number from 0.5 to 0.99, not {self.confidence!r}")
        _one_of("on_changed", self.on_changed, ON_CHANGED)
        _one_of("order", self.order, ORDERS)
        for name, kind in (("renderer", Renderer), ("requirements", Requirements), ("check", Check)):
            if not isinstance(getattr(self, name), kind):
                raise OctaConfigError(f"{name} must be a {kind.__name__}, not {type(getattr(self, name)).__name__}")
        self.renderer.check_frames(self.numbers)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The frame numbers, ascending."""
        assert isinstance(self.frames, Frames)
        return self.frames.numbers

    @property
    def scene_path(self) -> Path:
        """The scene's file or folder.

        Raises:
            OctaConfigError: there is none.
        """
        path = expanded(self.scene)
        if not path.exists():
            raise OctaConfigError(f"there is no scene {shown(path)}")
        return path

    @property
    def output_path(self) -> Path:
        """The folder that gets the frames."""
        return expanded(self.output)

    @property
    def main_file(self) -> str:
        """The scene's file, relative to what is sent: the name of a single file, or a path within the folder.

        Raises:
            OctaConfigError: it is not there, or which of several is meant is not said.
        """
        path = self.scene_path
        if not path.is_dir():
            return path.name
        if self.main is not None:
            if not (path / self.main).resolve().is_relative_to(path.resolve()):
                raise OctaConfigError(f"main must be a file within {shown(path)}, not {shown(self.main)}")
            if not (path / self.main).is_file():
                raise OctaConfigError(f"there is no file {shown(self.main)} in {shown(path)}")
            return Path(self.main).as_posix()
        found = self.renderer.scenes_in(path)
        if len(found) != 1:
            named = ", ".join(shown(name) for name in found[:5]) or "none"
            raise OctaConfigError(f"say which file of {shown(path)} is the scene (main, --main): {named}")
        return found[0]


def _frames(given: object) -> Frames:
    if isinstance(given, Frames):
        return given
    if isinstance(given, str):
        return parse(given)
    if not isinstance(given, Iterable):
        raise OctaConfigError(f"frames must be a range such as 1-240, or numbers, not {given!r}")
    numbers = list(given)
    if any(isinstance(number, bool) or not isinstance(number, int) for number in numbers):
        raise OctaConfigError("frames must be whole numbers, or a range such as 1-240")
    if len(numbers) > MAX_FRAMES:
        raise OctaConfigError(f"at most {MAX_FRAMES} frames: make several batches")
    return Frames(tuple(sorted(set(numbers))))


def _whole(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise OctaConfigError(f"{name} must be a whole number from {least} to {most}, not {value!r}")


def _one_of(name: str, value: object, values: tuple[str, ...]) -> None:
    if value not in values:
        raise OctaConfigError(f"{name} must be one of {', '.join(values)}, not {value!r}")
