"""The text of what runs inside of Blender, which has no package of ours: the files of `in_blender/` in one piece."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

__all__ = ["blender_source"]

_FOLDER = Path(__file__).with_name("in_blender")
_FUTURE = "from __future__ import annotations\n"
_OURS = "from octa_provider."


@lru_cache
def blender_source(*names: str) -> str:
    """These files, in this order, without their imports of each other."""
    texts = [(_FOLDER / f"{name}.py").read_text(encoding="utf-8") for name in names]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith((_OURS, _FUTURE.strip()))]
    return _FUTURE + "\n".join(lines) + "\n"
