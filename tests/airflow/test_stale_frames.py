"""The examples that render: what an earlier render left in the output folder is no frame of this one."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from airflow_runs import Renting, example, run
from small_scene import make_scene

from octa_provider.remote.machine import RemoteMachine

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture(params=[("2-3", "000[23]"), ("1-4", "*")], ids=["some", "all"])
def missing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Frames that Blender, which ended well, has not made."""
    told, names = request.param
    get = RemoteMachine.get

    def get_fewer(self: RemoteMachine, remote: str, *arguments: Any, **options: Any) -> tuple[Path, ...]:
        if remote.rstrip("/").endswith("frames"):
            self.run(f"rm {remote}/*{names}.png")
        return get(self, remote, *arguments, **options)

    monkeypatch.setattr(RemoteMachine, "get", get_fewer)
    return str(told)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "a.blend")


def told(capfd: pytest.CaptureFixture[str]) -> str:
    return "".join(capfd.readouterr())


def test_a_night_with_frames_of_an_earlier_one_has_failed(
    renting: Renting, scene: Path, tmp_path: Path, missing: str, capfd: pytest.CaptureFixture[str]
) -> None:
    earlier_render(tmp_path / "out" / "a", "{:04d}.png")
    conf = {"scenes": str(scene.parent), "output": str(tmp_path / "out"), "frames": "1-4", "max_price_usd": 10}
    ended = run(example("nightly_batch"), conf)
    assert ended.state == "failed"
    assert ended.tasks["render[0]"] == "failed"
    log = told(capfd)
    if missing == "1-4":
        # The job itself is no success.
        assert "the command succeeded but left nothing in frames" in log
    else:
        assert f"Of frames 1-4, missing or broken: {missing}." in log
    assert ended.result("bill", "cost")["rendered"] == 0
    assert ended.result("bill", "cost")["cost_usd"] > 0
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
