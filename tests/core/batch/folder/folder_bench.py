"""What the tests of a batch's folder share: a scene, a batch of it, and frames as a machine hands them over."""

from __future__ import annotations

import json
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

from octa_provider.batch.batch import Batch
from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.folder.batch_folder import BatchFolder
from octa_provider.batch.folder.batch_record import recorded
from octa_provider.batch.folder.fingerprint import fingerprint_of
from octa_provider.batch.folder.judge import Verdict
from octa_provider.batch.folder.work import Made
from octa_provider.batch.plan import PlanLine, PlannedMachine, Spread
from octa_provider.batch.renderers.renderer import Renderer

__all__ = ["KEY", "accepted_files", "batch_of", "fetched", "finals", "made", "opened", "png", "rendered", "take"]

KEY = "tests/batch"
RENDERER = Renderer("blender:4.5", "render {scene} {frame}")
#: Two files a frame, the second in a folder of its own.
TWO_FILES = ("frame_{frame:04d}.png", "depth/{frame:04d}.png")


@cache
def png(
    frame: int,
    *,
    size: tuple[int, int] = (4, 3),
    scene: str | None = "Scene",
    grey: int | None = None,
    took_s: int = 1,
) -> bytes:
    """A small whole PNG of a frame, stamped; `grey` makes it one colour throughout."""
    width, height = size
    pixel = (lambda x, y: (x * 7 + y * 13 + frame) % 256) if grey is None else (lambda x, y: grey)
    rows = b"".join(b"\0" + bytes(pixel(x, y) for x in range(width)) for y in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    texts = [("Frame", f"{frame:03d}"), ("RenderTime", f"00:{took_s:02d}.50")] + ([("Scene", scene)] if scene else [])
    stamp = b"".join(chunk(b"tEXt", f"{name}\0{text}".encode()) for name, text in texts)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + stamp + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def batch_of(root: Path, frames: Any = "1-10", *, content: bytes = b"a scene", **fields: Any) -> Batch:
    """A batch of the scene `root/scene.blend` into `root/out`."""
    scene = root / "scene.blend"
    root.mkdir(exist_ok=True)
    if not scene.exists() or scene.read_bytes() != content:
        scene.write_bytes(content)
    return Batch(**{"scene": scene, "frames": frames, "output": root / "out", "renderer": RENDERER, **fields})


def opened(batch: Batch, key: str = KEY) -> BatchFolder:
    """Its folder, opened as the coordinator does."""
    return BatchFolder.open(batch, fingerprint_of(batch.scene_path, batch.main_file, batch.renderer), key)


def made(slot: int = 0, node_id: int = 100, seconds: float | None = 1.5, tries: int = 1) -> Made:
    """How a frame came to be."""
    return Made(node_id + slot, slot, f"uuid-{slot}", seconds, tries)


def fetched(folder: BatchFolder, frame: int, data: bytes | None = None, *, slot: int = 0, name: str = "") -> Path:
    """A frame's file, as it arrives from a machine; returns the folder that it lies in."""
    incoming = folder.incoming(slot)
    path = incoming / (name or f"frame_{frame:04d}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(frame) if data is None else data)
    return incoming


def rendered(folder: BatchFolder, frame: int, data: bytes | None = None, *, slot: int = 0) -> tuple[Path, Verdict]:
    """A frame that arrived, and what is said of it."""
    incoming = fetched(folder, frame, data, slot=slot)
    return incoming, folder.judge(frame, incoming, 100 + slot)


def take(folder: BatchFolder, *frames: int, slot: int = 0, seconds: float | None = 1.5) -> None:
    """Render frames, all of them whole, and accept them."""
    for frame in frames:
        incoming, verdict = rendered(folder, frame, slot=slot)
        assert folder.accept(frame, incoming, verdict, made(slot, seconds=seconds)), verdict.flaw


def finals(root: Path) -> dict[str, bytes]:
    """What lies under final names."""
    out = root / "out"
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*.png"))
        if ".octa" not in path.parts
    }


def accepted_files(root: Path) -> list[dict[str, Any]]:
    """The lines of `frames.jsonl`."""
    return [json.loads(line) for line in (root / "out" / "frames.jsonl").read_text().splitlines()]


def plan_line() -> PlanLine:
    """A plan's line that a run follows."""
    machine = PlannedMachine(MachineEstimate(100, 10**18, 0.4, 1.0, 100.0), 8, 0.0)
    return PlanLine(
        "cheapest",
        (machine, machine),
        10**18 + 1,
        2 * 10**18,
        3 * 10**18,
        Spread(0.1, 0.2),
        0.3,
        Spread(9, 10),
        0.25,
        0.25,
    )


def stored_batch(output: Path, changes: dict[str, Any] | None = None) -> Batch:
    """The batch that a folder is of, as a resume goes on with it."""
    return recorded(output).batch(output, changes)
