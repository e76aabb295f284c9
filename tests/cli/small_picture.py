"""A picture that renderers of the tests copy."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

__all__ = ["write_picture"]


def write_picture(path: Path, width: int = 8, height: int = 6) -> None:
    """A PNG of two greys."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    rows = b"".join(b"\x00" + bytes((10, 200)) * (width // 2) for _ in range(height))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
