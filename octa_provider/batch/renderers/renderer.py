"""`Renderer`: what renders frames, as the shell script of a process on a rented machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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

    def settings(self) -> dict[str, Any]:
        """What the fingerprint is made of, as a JSON value."""
        return self.to_dict()

    def to_dict(self) -> dict[str, Any]:
        """The renderer as a JSON value."""
        return {**asdict(self), "files": list(self.files)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Renderer:
        """The renderer that `to_dict` made the value of."""
        return cls(state["image"], state["command"], tuple(state["files"]))
