"""A renderer for tests that need many frames: a script that writes a small, whole PNG for each."""

from __future__ import annotations

from pathlib import Path

SCRIPT = """
import os, struct, sys, time, zlib
frame, target, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
time.sleep(seconds)
width = height = 8
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
rows = b"".join(b"\\0" + bytes((frame * 7 + x * 20 + y * 3) % 256 for x in range(width)) for y in range(height))
png = b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
png += chunk(b"tEXt", b"Frame\\0%d" % frame) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
with open(target, "wb") as file:
    file.write(png)
"""


def write_scene(folder: Path) -> Path:
    """A scene folder with the script that renders it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shot.py").write_text(SCRIPT)
    return folder


def command(seconds: float = 0.0) -> str:
    """The command line of a frame that takes so long."""
    return f"python3 {{scene}} {{frame}} {{output}}/frame_{{frame:04d}}.png {seconds}"
