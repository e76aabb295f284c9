"""Where everything of a batch lies in its output folder; no other file spells these names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["STATE_FOLDER", "Layout"]

#: What a batch keeps for itself, beside the frames.
STATE_FOLDER = ".octa"


@dataclass(frozen=True)
class Layout:
    """The places in one output folder.

    Args:
        output: the folder, absolute.
    """

    output: Path

    @classmethod
    def of(cls, output: str | os.PathLike[str]) -> Layout:
        """The places in a folder; its path is made absolute, and a link stays the link that it is."""
        return cls(Path(os.path.abspath(output)))  # noqa: PTH100 - resolve() would follow links

    @property
    def state(self) -> Path:
        """What the batch keeps for itself."""
        return self.output / STATE_FOLDER

    @property
    def batch(self) -> Path:
        """What was asked for: all that a resume needs."""
        return self.state / "batch.json"

    @property
    def journal(self) -> Path:
        """What has happened, a line each."""
        return self.state / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """Held by the one who renders into the folder."""
        return self.state / "lock"

    @property
    def mark(self) -> Path:
        """What tells whoever comes next that the folder is the same."""
        return self.state / "mark"

    @property
    def pause(self) -> Path:
        """What a paused run has left for the one that goes on."""
        return self.state / "pause.json"

    @property
    def incoming(self) -> Path:
        """What is being fetched, a folder a machine."""
        return self.state / "incoming"

    @property
    def bad(self) -> Path:
        """The last refused pictures."""
        return self.state / "bad"

    @property
    def changed(self) -> Path:
        """What somebody else wrote over frames, put aside when these were rendered again."""
        return self.state / "changed"

    @property
    def manifest(self) -> Path:
        """The batch as a whole, for people and programs."""
        return self.output / "manifest.json"

    @property
    def frames(self) -> Path:
        """A line a frame."""
        return self.output / "frames.jsonl"

    @property
    def cost(self) -> Path:
        """What each frame cost, and what was paid beside frames."""
        return self.output / "cost.csv"

    @property
    def sheet(self) -> Path:
        """All frames small, on one picture."""
        return self.output / "sheet.png"

    @property
    def preview(self) -> Path:
        """The frames as a video."""
        return self.output / "preview.mp4"

    def incoming_of(self, slot: int) -> Path:
        """Where the files of one machine arrive.

        Args:
            slot: its number in the batch.
        """
        return self.incoming / f"m{slot}"
