"""Frames that may have been skipped: the line was lost before the machine could answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fast_clock import FastClock

from octa_provider.batch.batch import Batch
from octa_provider.batch.machine.look import FileSeen, Look
from octa_provider.batch.renderers.blender import blender
from octa_provider.batch.run.parts import BatchParts, Pacing
from octa_provider.batch.run.render_order import MachineName
from octa_provider.batch.run.rendering import Rendering
from octa_provider.batch.run.told import Began, Told
from octa_provider.errors import OctaSshError


class LostLine:
    """A line to a machine that is at frame 1 of 3: what was to be skipped is laid, and its answer lost."""

    def __init__(self) -> None:
        self.fetched: list[str] = []

    def look(self, processes: list[int], names: list[str]) -> Look:
        files = {"frame_0001.png": FileSeen(100, 50.0), "frame_0003.png": FileSeen(0, 49.0)}
        return Look(50.0, 10**9, dict.fromkeys(processes), {name: files[name] for name in names if name in files})

    def skip(self, names: list[str]) -> list[str]:
        raise OctaSshError("the connection was lost", lost=True)

    def clean(self, names: list[str]) -> None:
        pass

    def begin(self, process: int, script: str) -> None:
        pass

    def fetch(self, names: list[str], *_: Any) -> None:
        self.fetched += names


def test_a_frame_that_may_have_been_skipped_does_not_make_those_before_it_late(tmp_path: Path) -> None:
    scene = tmp_path / "shot.blend"
    scene.write_bytes(b"BLENDER")
    batch = Batch(frames="1-3", output=tmp_path / "out", scene=scene, renderer=blender())
    nobody, line, told = cast(Any, None), LostLine(), list[Told]()
    api = cast(Any, SimpleNamespace(clock=FastClock(1.0)))
    parts = BatchParts(api, nobody, batch, nobody, nobody, "shot.blend", "key", "", None, Pacing())
    rendering = Rendering(parts, MachineName(1, 100, "uuid"), cast(Any, line), told.append)
    rendering.begin([1, 2, 3], 1, 1)
    with pytest.raises(OctaSshError):
        rendering.skip([3])

    rendering.look()

    assert not line.fetched, "frame 1 is still being written"
    assert all(isinstance(word, Began) for word in told)
