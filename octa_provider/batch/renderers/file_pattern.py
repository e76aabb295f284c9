"""Names of frames' files, such as `frame_{frame:04d}.png`: in Python, for a shell, and as Blender writes them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import lru_cache

from octa_provider.errors import OctaConfigError
from octa_provider.text.plain_text import plain

__all__ = ["FilePattern"]

_PLACE = re.compile(r"\{frame(?::0([1-9])d)?\}", re.ASCII)
MOST_CHARS = 200


@dataclass(frozen=True)
class FilePattern:
    """A file of a frame, below the folder of the frames.

    Attributes:
        before: what stands before the frame's number.
        width: the number has so many digits at least, filled up with zeros.
        after: what stands after it.
    """

    before: str
    width: int
    after: str

    @classmethod
    def parse(cls, text: object) -> FilePattern:
        """Read such a name.

        Args:
            text: a relative path with the frame's number once, in its last part: `{frame}`, or `{frame:04d}`.

        Raises:
            OctaConfigError: it is none.
        """
        if not isinstance(text, str):
            raise OctaConfigError(f"files must be names such as frame_{{frame:04d}}.png, not {text!r}"[:MOST_CHARS])
        return cls(*_parts(text))

    def name(self, frame: int) -> str:
        """The file of a frame."""
        return f"{self.before}{frame:0{self.width}d}{self.after}"

    def in_shell(self) -> str:
        """The file of the frame whose padded number is the shell's `$padded`, as a word for a shell."""
        return f'{shlex.quote(self.before)}"$padded"{shlex.quote(self.after)}'

    @property
    def suffix(self) -> str:
        """How it ends, in small letters: `.png`; empty when nothing tells."""
        last = self.after
        return last[last.rindex(".") :].lower() if "." in last else ""

    @property
    def folder(self) -> str:
        """The folder that it lies in, relative; empty for the folder of the frames itself."""
        return self.before.rpartition("/")[0]

    def for_blender(self) -> str:
        """The path for Blender's `-o`, which adds the ending itself."""
        stem = self.after[: -len(self.suffix)] if self.suffix else self.after
        return f"{self.before}{'#' * self.width}{stem}"


@lru_cache
def _parts(text: str) -> tuple[str, int, str]:
    shown = repr(text)[:MOST_CHARS]
    places = list(_PLACE.finditer(text))
    if len(places) != 1:
        raise OctaConfigError(f"the name {shown} must have the frame's number once: frame_{{frame:04d}}.png")
    before, after = text[: places[0].start()], text[places[0].end() :]
    if set("{}#\\") & set(before + after) or plain(text) != text or "\t" in text:
        raise OctaConfigError(f"the name {shown} must not have braces, #, backslashes or control characters")
    if "/" in after:
        raise OctaConfigError(f"the name {shown} must have the frame's number in its last part")
    parts = text.split("/")
    if any(part in ("", ".", "..") for part in parts) or parts[0].startswith((".", "-")) or len(text) > MOST_CHARS:
        raise OctaConfigError(f"the name {shown} must be a path below the folder of the frames")
    return before, int(places[0][1] or 1), after
