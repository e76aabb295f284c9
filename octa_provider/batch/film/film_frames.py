"""The frames that a film is made of: one checked picture each, and which are not there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from octa_provider.batch.folder.asked import asked_of
from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import shown
from octa_provider.render.frame_files import FilePattern
from octa_provider.render.frames import Frames
from octa_provider.render.frames_check import FileCheck, check_frames
from octa_provider.render.pixels import MOST_DECODED_BYTES, require_decoder

__all__ = ["FilmFrames", "film_frames"]


@dataclass(frozen=True)
class FilmFrames:
    """What was found in a folder.

    Attributes:
        folder: where the frames are.
        numbers: those that there should be, ascending.
        pattern: of the file that is shown of each.
        whole: the file that is shown of each whole frame, by its number.
        broken: what is wrong with each other frame, by its number.
    """

    folder: Path
    numbers: tuple[int, ...]
    pattern: str
    whole: dict[int, FileCheck]
    broken: dict[int, str]

    @property
    def not_whole(self) -> str:
        """The frames that are not whole, as a range such as `17,90-95`; empty when all are."""
        return str(Frames(tuple(sorted(self.broken)))) if self.broken else ""

    def target(self, given: str | os.PathLike[str] | None, default: str, suffixes: tuple[str, ...]) -> Path:
        """Where what is made of them belongs.

        Args:
            given: a path; None takes the default.
            default: its name in the folder of the frames.
            suffixes: those that the name may end with.

        Raises:
            OctaConfigError: no such file can be there, or it would take the place of a frame.
        """
        path = self.folder / default if given is None else Path(given).expanduser()
        if path.suffix.lower() not in suffixes:
            raise OctaConfigError(f"{shown(path)} must end with {' or '.join(suffixes)}")
        if not path.parent.is_dir():
            raise OctaConfigError(f"{shown(path.parent)} is no folder: make it first")
        if path.is_dir():
            raise OctaConfigError(f"{shown(path)} is a folder: name the file to write")
        if self._is_frame(path):
            raise OctaConfigError(f"{shown(path)} is the place of a frame: name another file")
        return path

    def _is_frame(self, path: Path) -> bool:
        """Whether a path leads to a frame, or to where one would be."""
        final, folder, pattern = os.path.realpath(path), os.path.realpath(self.folder), FilePattern(self.pattern)
        if any(os.path.join(folder, pattern.name(number)) == final for number in self.numbers):  # noqa: PTH118
            return True
        try:
            found = path.stat()
        except OSError:
            return False
        # A frame may be a link, too.
        return any(os.path.samestat(found, (self.folder / file.name).stat()) for file in self.whole.values())


def film_frames(
    output: str | os.PathLike[str], frames: str | Frames | Iterable[int] | None = None, pattern: str | None = None
) -> FilmFrames:
    """Check the frames in a folder, and choose the picture of each that is shown.

    Args:
        output: the folder.
        frames: those that there should be; left out, those of the batch that was rendered into the folder, else all
            from the first to the last that is there.
        pattern: the name of the file to show, such as `beauty_####.exr`; left out, the first file of the batch's
            frames, else it is guessed from what is there, and of several files a frame the first by name is shown.

    Raises:
        OctaConfigError: there is no such folder, nothing tells which frames are meant, a frame can't be shown, or the
            extra `pictures` is not installed.
    """
    require_decoder()
    patterns: tuple[str, ...] | None = None if pattern is None else (pattern,)
    asked = None if frames is not None and patterns is not None else asked_of(output)
    if asked is not None:
        frames, patterns = asked.frames if frames is None else frames, patterns or asked.files
    check = check_frames(output, frames, patterns=patterns, hashes=False)
    broken = check.broken_frames
    firsts = check.files[:: len(check.patterns)]
    for file in firsts:
        if file.frame not in broken and file.picture is not None:
            _refuse_undecodable(file)
    return FilmFrames(
        folder=Path(output).expanduser(),
        numbers=check.frames,
        pattern=check.patterns[0],
        whole={file.frame: file for file in firsts if file.frame not in broken},
        broken=broken,
    )


def _refuse_undecodable(file: FileCheck) -> None:
    assert file.picture is not None
    if file.picture.decoded_bytes is None:
        raise OctaConfigError(f"{shown(file.name)} is a deep EXR, which can't be shown: give --pattern of a flat one")
    if file.picture.decoded_bytes > MOST_DECODED_BYTES:
        raise OctaConfigError(f"{shown(file.name)} is too large to be shown: {file.picture.decoded_bytes} bytes")
