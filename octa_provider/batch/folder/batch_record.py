"""`batch.json`: what was asked for, as it is kept in the output folder, so that a resume needs nothing typed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from octa_provider.batch.batch import Batch
from octa_provider.batch.check import Check
from octa_provider.batch.folder.disk_errors import disk_errors
from octa_provider.batch.folder.fingerprint import Inputs
from octa_provider.batch.folder.frame_ranges import numbers_of, ranges_of
from octa_provider.batch.folder.layout import Layout
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.errors import OctaConfigError, OctaError, OctaLocalFileError
from octa_provider.files.local_files import expanded, shown
from octa_provider.files.whole_file import whole_file
from octa_provider.market.requirements import Requirements
from octa_provider.render.frames import MAX_FRAMES, Frames

__all__ = ["BatchRecord", "recorded"]

_VERSION = 1
_MOST_BYTES = 1024**3
#: Of a batch, as they are: numbers and words.
_TERMS = (
    "max_machines",
    "finish_within_s",
    "max_cost_usd",
    "confidence",
    "max_failed_frames",
    "tries_per_frame",
    "seconds_per_frame",
    "on_changed",
    "order",
    "disk_gb",
    "ready_timeout_s",
    "max_duration_s",
    "wait_for_machine_s",
    "labels",
)
#: What the folder of an earlier release does not know.
_LATER: dict[str, Any] = {"labels": {}, "max_duration_s": None, "wait_for_machine_s": 0.0}


@dataclass(frozen=True)
class BatchRecord:
    """A batch, as its folder knows it.

    Attributes:
        fingerprint: what its frames are known by.
        key: the work key of its rentals.
        inputs: what its frames are made of.
        frames: the frames of all runs, ascending.
        scene: the scene's file or folder, absolute.
        main: the scene's file, relative to what is sent.
        renderer: what renders, as a JSON value.
        check: when a frame is whole, as a JSON value.
        requirements: which machines, as a JSON value.
        terms: the other arguments of the batch, as a JSON value.
    """

    fingerprint: str
    key: str
    inputs: Inputs
    frames: tuple[int, ...]
    scene: str
    main: str
    renderer: Mapping[str, Any]
    check: Mapping[str, Any]
    requirements: Mapping[str, Any]
    terms: Mapping[str, Any]

    @classmethod
    def of(cls, batch: Batch, fingerprint: str, key: str, inputs: Inputs) -> BatchRecord:
        """What is kept of a batch.

        Args:
            batch: what is asked for.
            fingerprint: of its frames.
            key: the work key of its rentals.
            inputs: what its frames are made of.
        """
        return cls(
            fingerprint=fingerprint,
            key=key,
            inputs=inputs,
            frames=batch.numbers,
            scene=os.path.abspath(batch.scene_path),  # noqa: PTH100 - resolve() would follow links
            main=inputs.main,
            renderer=batch.renderer.to_dict(),
            check=asdict(batch.check),
            requirements=asdict(batch.requirements),
            terms={name: getattr(batch, name) for name in _TERMS},
        )

    def with_frames_of(self, earlier: BatchRecord) -> BatchRecord:
        """The same, with the frames of earlier runs too.

        Args:
            earlier: what was kept of the same batch before.
        """
        if earlier.frames == self.frames:
            return replace(self, frames=earlier.frames)
        return replace(self, frames=tuple(sorted({*self.frames, *earlier.frames})))

    def batch(self, output: Path, changes: Mapping[str, Any] | None = None) -> Batch:
        """The batch that goes on with all frames of all runs.

        Args:
            output: the folder that it was read from.
            changes: arguments of the batch that are other than they were.

        Raises:
            OctaConfigError: an argument can't work, or there is none of that name.
        """
        known = {field.name for field in fields(Batch)}
        if unknown := sorted(set(changes or {}) - known):
            raise OctaConfigError(f"a batch has no {', '.join(unknown)}: choose from {', '.join(sorted(known))}")
        values: dict[str, Any] = {
            "scene": self.scene,
            "frames": Frames(self.frames),
            "output": output,
            "main": self.main if Path(self.scene).is_dir() else None,
            "renderer": Renderer.from_dict(self.renderer),
            "check": Check(**{**self.check, "size": _pair(self.check.get("size"))}),
            "requirements": Requirements.from_mapping(self.requirements),
            **self.terms,
        }
        return Batch(**{**values, **(changes or {})})

    def write(self, path: Path) -> None:
        """Keep it, whole or not at all, and on the disk.

        Args:
            path: where.

        Raises:
            OctaLocalFileError: it can't be written.
        """
        value = {
            "version": _VERSION,
            "fingerprint": self.fingerprint,
            "key": self.key,
            "scene": self.scene,
            "main": self.main,
            "frames": [list(one) for one in ranges_of(self.frames)],
            "renderer": self.renderer,
            "check": self.check,
            "requirements": self.requirements,
            "terms": self.terms,
            "settings": self.inputs.settings,
            "files": self.inputs.files,
        }
        with disk_errors("written", path), whole_file(path) as file:
            file.write(json.dumps(value, indent=1).encode())
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def read(cls, path: Path) -> BatchRecord | None:
        """What is kept; None where nothing is.

        Args:
            path: where.

        Raises:
            OctaLocalFileError: it can't be read, or is no such file.
        """
        with disk_errors("read", path):
            try:
                with path.open("rb") as file:
                    data = file.read(_MOST_BYTES)
            except FileNotFoundError:
                return None
        try:
            value = json.loads(data)
            if value["version"] != _VERSION:
                raise OctaLocalFileError(
                    f"{shown(path)} was written by another release of octa-provider: go on with that one"
                )
            if sum(len(range(first, last + 1, step)) for first, last, step in value["frames"]) > MAX_FRAMES:
                raise ValueError("too many frames")
            record = cls(
                fingerprint=_text(value["fingerprint"]),
                key=_text(value["key"]),
                inputs=Inputs(_text(value["main"]), dict(value["settings"]), dict(value["files"])),
                frames=Frames(tuple(numbers_of(value["frames"]))).numbers,
                scene=_text(value["scene"]),
                main=_text(value["main"]),
                renderer=dict(value["renderer"]),
                check=dict(value["check"]),
                requirements=dict(value["requirements"]),
                terms={name: (_LATER | value["terms"])[name] for name in _TERMS},
            )
            # What can't be made a batch again is told now, and not when somebody wants to go on with it.
            record.batch(path.parent.parent)
        except OctaLocalFileError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OctaError) as error:
            raise OctaLocalFileError(
                f"{shown(path)} is damaged ({type(error).__name__}): take another output folder, or bring the file back"
            ) from error
        return record


def recorded(output: str | os.PathLike[str]) -> BatchRecord:
    """What was asked for in a folder.

    Args:
        output: the folder.

    Raises:
        OctaConfigError: no batch was begun there.
        OctaLocalFileError: what lies there can't be read.
    """
    layout = Layout.of(expanded(output))
    record = BatchRecord.read(layout.batch) if layout.state.is_dir() else None
    if record is None:
        raise OctaConfigError(f"{shown(layout.output)} is not the output folder of a batch: no batch was begun there")
    return record


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _pair(value: Any) -> tuple[int, int] | None:
    return None if value is None else tuple(value)
