"""The names of a frame's files: patterns with the frame's number in them, and the frames that lie in a folder."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from octa_provider.errors import OctaConfigError
from octa_provider.render.containers import FORMAT_OF_SUFFIX
from octa_provider.text.plain_text import plain_words

__all__ = ["FilePattern", "Found", "find_patterns"]

#: Of one folder. A batch has a million frames at most.
MOST_ENTRIES = 2_000_000
_PLACE = re.compile(r"\{frame(?::0?([0-9]{1,2})d|:d)?\}|(#+)")
_LAST_NUMBER = re.compile(r"([0-9]{1,9})(\.[A-Za-z]{3,4})\Z")
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class FilePattern:
    """The name of one file of each frame, below the folder of all.

    Args:
        text: such as `frame_{frame:04d}.png`, `beauty/####.exr` or `{frame}/depth.exr`.

    Raises:
        OctaConfigError: it has no place for the number, or leads out of the folder.
    """

    text: str
    _template: str = field(init=False, repr=False, compare=False)
    _places: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rest = _PLACE.sub("", self.text)
        said = plain_words(self.text)
        if not _PLACE.search(self.text) or "{" in rest or "}" in rest:
            raise OctaConfigError(f"{said!r} has no place for a frame's number: write it like frame_{{frame:04d}}.png")
        path = PurePosixPath(self.text)
        if path.is_absolute() or ".." in path.parts or "\0" in self.text or self.text.endswith("/"):
            raise OctaConfigError(f"{said!r} is no name of a file below the folder")
        # Names are made by the million: the pattern is read once.
        template = _PLACE.sub(lambda match: f"%0{_width(match)}d", self.text.replace("%", "%%"))
        object.__setattr__(self, "_template", template)
        object.__setattr__(self, "_places", len(_PLACE.findall(self.text)))

    def name(self, frame: int) -> str:
        """The name of a frame's file."""
        return self._template % ((frame,) * self._places)

    def frames_in(self, folder: Path) -> Iterator[int]:
        """The frames that have such a file in a folder, in any order.

        Raises:
            OctaConfigError: there are too many files to look at.
        """
        yield from self._below(folder, "", PurePosixPath(self.text).parts)

    def _below(self, folder: Path, begin: str, parts: tuple[str, ...]) -> Iterator[int]:
        part, *rest = parts
        literals = _PLACE.split(part)
        for name in _names(folder):
            # Whether it is a frame's is looked at when the whole path is known: here, whether it can be.
            if not (name.startswith(literals[0]) and name.endswith(literals[-1])):
                continue
            path = f"{begin}{name}"
            if rest:
                yield from self._below(folder / name, f"{path}/", tuple(rest))
                continue
            # The number may stand in a folder's name alone.
            told = [int(digits) for digits in _NUMBER.findall(path)]
            found = next((number for one in told for number in (one, -one) if self.name(number) == path), None)
            if found is not None:
                yield found


@dataclass(frozen=True)
class Found:
    """What the names in a folder tell.

    Attributes:
        patterns: of the files that most frames have.
        others: names of pictures that have a number and fit none of them, 20 at most.
    """

    patterns: tuple[FilePattern, ...]
    others: tuple[str, ...] = ()


def find_patterns(folder: Path) -> Found:
    """Guess the patterns of the frames in a folder from the names of its pictures: the last number is the frame's.

    A name that fewer than half as many files follow as the commonest is taken for no frame's.

    Args:
        folder: where they are; its folders are not looked at.

    Raises:
        OctaConfigError: the folder can't be read, or holds too many files.
    """
    names: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in _names(folder):
        match = _LAST_NUMBER.search(name)
        if match and match[2].lower() in FORMAT_OF_SUFFIX and not name.startswith(".") and not _PLACE.search(name):
            names[name[: match.start()], match[2]].append(match[1])
    most = max(map(len, names.values()), default=0)
    patterns: list[FilePattern] = []
    others: list[str] = []
    for (begin, end), numbers in sorted(names.items()):
        if "{" in begin + end or "}" in begin + end or len(numbers) * 2 < most:
            others += [f"{begin}{number}{end}" for number in sorted(numbers)]
        else:
            width = min(map(len, numbers))
            patterns.append(FilePattern(f"{begin}{{frame:0{width}d}}{end}" if width > 1 else f"{begin}{{frame}}{end}"))
    return Found(tuple(patterns), tuple(others[:20]))


def _width(match: re.Match[str]) -> int:
    return len(match[2]) if match[2] else int(match[1] or 0)


def _names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= MOST_ENTRIES:
                    raise OctaConfigError(f"{folder} holds more than {MOST_ENTRIES} files: give --frames")
                yield entry.name
    except NotADirectoryError:
        return
    except OSError as error:
        raise OctaConfigError(f"{folder} can't be read: {error.strerror}") from error
