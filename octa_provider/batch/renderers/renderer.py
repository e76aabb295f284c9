"""`Renderer`: what renders frames, as the shell script of a process on a rented machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Renderer"]


@dataclass(frozen=True)
class Renderer:
    """Written by part R."""

    image: str
    command: str = ""
    files: tuple[str, ...] = ("frame_{frame:04d}.png",)

    def scenes_in(self, folder: Path) -> list[str]:
        """Which files of a folder can be the scene."""
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.blend"))
