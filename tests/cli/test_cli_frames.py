"""`octa-provider frames`: 0 when every frame is whole, 3 when not, with which and why. Without account or network."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from octa_provider.batch.batch import Batch
from octa_provider.batch.folder.batch_folder import BatchFolder
from octa_provider.batch.folder.fingerprint import fingerprint_of
from octa_provider.batch.renderers.renderer import Renderer
from octa_provider.cli import main

PICTURES = Path(__file__).resolve().parents[1] / "data" / "pictures"


class Shown(NamedTuple):
    """What the command printed, and its exit status."""

    status: int
    out: str
    err: str


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Shown]:
    """Runs the command without a key, and with a network that must not be used."""
    for name in ("OCTA_API_KEY", "OCTA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    def run(*words: object) -> Shown:
        status = main(["frames", *map(str, words)])
        out, err = capsys.readouterr()
        return Shown(status, out, err)

    return run


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for number in range(1, 5):
        shutil.copy(PICTURES / "oiio_tiled.exr", tmp_path / f"f_{number:04d}.exr")
    return tmp_path


def test_whole_frames_end_with_0(frames: Callable[..., Shown], out: Path) -> None:
    shown = frames(out)
    size = 4 * (out / "f_0001.exr").stat().st_size
    assert shown.out == f"4 of 4 frames whole (1-4), {size / 1000:.1f} kB\n  f_{{frame:04d}}.exr: 37x21 EXR\n"
    assert (shown.status, shown.err) == (0, "")


def test_frames_that_are_not_whole_end_with_3_and_are_told(frames: Callable[..., Shown], out: Path) -> None:
    (out / "f_0002.exr").unlink()
    (out / "f_0003.exr").write_bytes((out / "f_0001.exr").read_bytes()[:-1])
    (out / "shot_1.png").write_bytes(b"")
    shown = frames(out, "--frames", "1-6")
    assert shown.status == 3
    assert shown.out.splitlines()[1:] == [
        "  f_{frame:04d}.exr: 37x21 EXR",
        "  no frames: shot_1.png",
        "2,5-6: f_{frame:04d}.exr is missing",
        "3: f_0003.exr is cut off",
    ]
    assert shown.out.startswith("2 of 6 frames whole (1-6), ")


def test_several_files_a_frame_are_given_as_patterns(frames: Callable[..., Shown], out: Path) -> None:
    shutil.copy(PICTURES / "pillow_grey.jpg", out / "depth1.jpg")
    shown = frames(out, "--pattern", "f_####.exr", "--pattern", "depth{frame}.jpg", "--frames", "1-2")
    assert shown.status == 3
    assert "2: depth2.jpg is missing" in shown.out
    assert frames(out, "--pattern", "f_####.exr", "--pattern", "depth{frame}.jpg", "--frames", "1").status == 0


def test_a_program_gets_json_with_sums(frames: Callable[..., Shown], out: Path) -> None:
    told = json.loads(frames(out, "--json").out)
    assert told["whole"] is True
    assert [file["frame"] for file in told["files"]] == [1, 2, 3, 4]
    assert len({file["sha256"] for file in told["files"]}) == 1
    (out / "f_0004.exr").write_bytes(b"")
    shown = frames(out, "--json")
    assert shown.status == 3
    assert json.loads(shown.out)["broken_frames"] == {"4": "f_0004.exr is empty"}


def test_a_name_that_a_terminal_would_obey_is_shown_as_text(frames: Callable[..., Shown], tmp_path: Path) -> None:
    (tmp_path / "\x1b[2J\n_0001.png").write_bytes(b"")
    shown = frames(tmp_path)
    assert shown.status == 3
    assert "\x1b" not in shown.out + shown.err
    assert len(shown.out.splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("none",), "none is no folder"),
        ((".", "--frames", "9-1"), "runs backwards"),
        ((".", "--pattern", "a.png"), "has no place for a frame's number"),
        ((".",), "holds no frames: say which there should be"),
    ],
)
def test_what_cant_be_checked_ends_with_2(
    frames: Callable[..., Shown],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    why: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = frames(*words)
    assert (shown.status, shown.out) == (2, "")
    assert why in shown.err


def test_without_the_extra_decoding_says_what_to_install(
    frames: Callable[..., Shown], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    shown = frames(out, "--decode")
    assert shown.status == 2
    assert shown.err == "octa-provider: decoding needs OpenImageIO: pip install 'octa-provider[pictures]'\n"


def test_the_folder_of_a_batch_knows_its_frames(frames: Callable[..., Shown], tmp_path: Path) -> None:
    scene = tmp_path / "shot.blend"
    scene.write_bytes(b"BLENDER")
    renderer = Renderer("any", "render {frame}", files=("f_{frame:04d}.exr",))
    with BatchFolder.open(
        Batch(scene, "1-6", tmp_path / "out", renderer=renderer),
        fingerprint_of(scene, "shot.blend", renderer),
        "tests/frames",
    ):
        pass
    for number in (2, 3, 5):
        shutil.copy(PICTURES / "oiio_tiled.exr", tmp_path / "out" / f"f_{number:04d}.exr")
    shown = frames(tmp_path / "out")
    assert shown.status == 3
    assert shown.out.splitlines()[-1] == "1,4,6: f_{frame:04d}.exr is missing"
    assert frames(tmp_path / "out", "--frames", "2-3").status == 0
