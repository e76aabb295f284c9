"""The examples that render: what an earlier render left in the output folder is no frame of this one."""

from __future__ import annotations

import struct
import zlib
from datetime import timedelta
from pathlib import Path

import pytest
from airflow_runs import Renting, example, run
from small_scene import make_scene

pytestmark = [pytest.mark.e2e]


@pytest.fixture(params=[(2, 3), (1, 2, 3, 4)], ids=["some", "all"])
def broken(request: pytest.FixtureRequest, renting: Renting) -> tuple[int, ...]:
    """Frames whose pictures are cut off, whichever machine renders them."""
    frames: tuple[int, ...] = request.param
    renting.emulator.faults(*({"kind": "render", "form": "cut", "frame": frame, "times": None} for frame in frames))
    return frames


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "a.blend")


def test_a_night_with_frames_of_an_earlier_one_has_failed(
    renting: Renting, scene: Path, tmp_path: Path, broken: tuple[int, ...]
) -> None:
    earlier_render(tmp_path / "out" / "a", "frame_{:04d}.png")
    conf = {"scenes": str(scene.parent), "output": str(tmp_path / "out"), "frames": "1-4", "max_price_usd": 10}
    night = example("nightly_batch")
    night.get_task("render").partial_kwargs["retry_delay"] = timedelta(0)
    ended = run(night, conf)
    assert ended.state == "failed"
    cost = ended.result("bill", "cost")
    assert cost["rendered"] == 0
    assert cost["cost_usd"] > 0
    (told,) = cost["scenes"].values()
    assert told["done"] == 4 - len(broken)
    for number in range(1, 5):
        picture = tmp_path / "out" / "a" / f"frame_{number:04d}.png"
        assert number in broken or picture.read_bytes() != PICTURE, "this night's frame"
    assert renting.running() == []


def earlier_render(folder: Path, name: str) -> None:
    """Whole pictures, of the size that the scene has."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 5):
        (folder / name.format(number)).write_bytes(PICTURE)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


#: Grey, 64x36.
PICTURE = b"".join(
    (
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 36, 8, 0, 0, 0, 0)),
        chunk(b"IDAT", zlib.compress((b"\0" + b"\x7f" * 64) * 36)),
        chunk(b"IEND", b""),
    )
)
