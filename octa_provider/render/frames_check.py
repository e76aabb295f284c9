"""Whether every frame of a render is there and whole: what lies in a folder, checked file by file. No network."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from octa_provider.errors import OctaConfigError
from octa_provider.files.local_files import sha256_of, shown
from octa_provider.render.containers import FORMAT_OF_SUFFIX, read_as_named, read_picture
from octa_provider.render.frame_files import FilePattern, find_patterns
from octa_provider.render.frames import MAX_FRAMES, Frames, parse
from octa_provider.render.picture import BrokenPictureError, Picture
from octa_provider.render.pixels import flaw_of_pixels, require_decoder

__all__ = ["FileCheck", "FramesCheck", "check_file", "check_frames"]

DEFAULT_PATTERN = "frame_{frame:04d}.png"
MISSING = "is missing"


@dataclass(frozen=True)
class FileCheck:
    """One file of one frame.

    Attributes:
        frame: its number.
        name: the file's, below the folder.
        flaw: what is wrong with it, as a clause such as `is cut off`; empty for a whole one.
        bytes: its size; 0 for a missing one.
        sha256: of its contents, in hexadecimal; empty for a missing one, and where it was not asked for.
        picture: what its container tells; None where that is broken.
    """

    frame: int
    name: str
    flaw: str = ""
    bytes: int = 0
    sha256: str = ""
    picture: Picture | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON value of it."""
        picture, stamp = self.picture, self.picture.stamp if self.picture else None
        return {
            "frame": self.frame,
            "file": self.name,
            "whole": not self.flaw,
            "flaw": self.flaw or None,
            "bytes": self.bytes,
            "sha256": self.sha256 or None,
            "format": picture.format if picture else None,
            "width": picture.width if picture else None,
            "height": picture.height if picture else None,
            "stamp_frame": stamp.frame if stamp else None,
            "stamp_scene": stamp.scene if stamp else None,
            "stamp_camera": stamp.camera if stamp else None,
            "stamp_render_time_s": stamp.render_time_s if stamp else None,
        }


@dataclass(frozen=True)
class FramesCheck:
    """What was found of the frames that were asked for.

    Attributes:
        frames: the numbers that were asked for, ascending.
        patterns: of each frame's files.
        files: each frame's files, in the order of frames and patterns.
        others: names of pictures that have a number and fit no pattern, where the patterns were guessed.
    """

    frames: tuple[int, ...]
    patterns: tuple[str, ...]
    files: tuple[FileCheck, ...]
    others: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether there are frames, and each file of each is there and whole."""
        return bool(self.files) and not any(file.flaw for file in self.files)

    @property
    def flawed(self) -> tuple[FileCheck, ...]:
        """The files that are not whole, the missing ones among them."""
        return tuple(file for file in self.files if file.flaw)

    @property
    def whole_frames(self) -> tuple[int, ...]:
        """The frames of which each file is whole."""
        broken = {file.frame for file in self.flawed}
        return tuple(number for number in self.frames if number not in broken)

    @property
    def broken_frames(self) -> dict[int, str]:
        """What is wrong with each other frame, by its number."""
        broken: dict[int, list[str]] = {}
        for file in self.flawed:
            broken.setdefault(file.frame, []).append(f"{shown(file.name)} {file.flaw}")
        return {number: ", ".join(flaws) for number, flaws in broken.items()}

    @property
    def missing_frames(self) -> tuple[int, ...]:
        """The frames of which a file is missing."""
        return tuple(dict.fromkeys(file.frame for file in self.files if file.flaw == MISSING))

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(file.bytes for file in self.files)

    def to_dict(self) -> dict[str, Any]:
        """A JSON value of it."""
        return {
            "whole": self.whole,
            "frames": len(self.frames),
            "whole_frames": len(self.whole_frames),
            "missing_frames": list(self.missing_frames),
            "broken_frames": {str(number): why for number, why in self.broken_frames.items()},
            "patterns": list(self.patterns),
            "others": list(self.others),
            "files": [file.to_dict() for file in self.files],
        }


def check_frames(
    output: str | os.PathLike[str],
    frames: str | Frames | Iterable[int] | None = None,
    *,
    patterns: str | Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    scene: str | None = None,
    hashes: bool = True,
    decode: bool = False,
) -> FramesCheck:
    """Look at the frames in a folder: which are whole, which are not, and why. Changes nothing, needs no account.

    A file is whole when it is a PNG, EXR, JPEG or TIFF as its name says, complete from its first byte to its last, of
    the size that the others have, and stamped, if at all, as this frame of the scene that the others are of.

    Args:
        output: the folder.
        frames: the frames that there should be: a range such as `1-240`, or numbers. Left out, all from the first to
            the last that is there, so that gaps count as missing.
        patterns: the names of a frame's files, each with the number in it: `frame_{frame:04d}.png`, `beauty/####.exr`.
            Left out, they are guessed from what is there.
        size: width and height in pixels; left out, what most files of a pattern have.
        scene: the scene's name; left out, what most files of a pattern are stamped with.
        hashes: whether each file's SHA-256 is made, for which it is read once more.
        decode: whether pixels are decoded too: one colour, NaN. Needs the extra `pictures`.

    Raises:
        OctaConfigError: there is no such folder, no pattern or range is understood, nothing tells which frames are
            meant, or the extra `pictures` is not installed.
    """
    if decode:
        require_decoder()
    folder = Path(output).expanduser()
    if not folder.is_dir():
        raise OctaConfigError(f"{shown(folder)} is no folder: give the one where the frames are")
    named, others = _patterns(folder, patterns, are_asked=frames is not None)
    numbers = _numbers(folder, frames, named)
    checked: list[list[FileCheck]] = []
    for pattern in named:
        files = [_checked(folder, pattern.name(number), number, hashes=hashes) for number in numbers]
        files = _of_one_kind(files, size, scene)
        checked.append([_decoded(folder, file) for file in files] if decode else files)
    return FramesCheck(
        frames=numbers,
        patterns=tuple(pattern.text for pattern in named),
        files=tuple(file for of_frame in zip(*checked, strict=True) for file in of_frame),
        others=others,
    )


def _patterns(
    folder: Path, patterns: str | Sequence[str] | None, *, are_asked: bool
) -> tuple[tuple[FilePattern, ...], tuple[str, ...]]:
    if patterns is not None:
        given = [patterns] if isinstance(patterns, str) else list(dict.fromkeys(patterns))
        if not given:
            raise OctaConfigError(f"give at least one pattern, such as {DEFAULT_PATTERN}")
        return tuple(FilePattern(text) for text in given), ()
    found = find_patterns(folder)
    if found.patterns:
        return found.patterns, found.others
    if not are_asked:
        raise OctaConfigError(
            f"{shown(folder)} holds no frames: say which there should be (--frames 1-240), "
            f"and how their files are called (--pattern {DEFAULT_PATTERN})"
        )
    return (FilePattern(DEFAULT_PATTERN),), found.others


def _numbers(
    folder: Path, frames: str | Frames | Iterable[int] | None, patterns: Sequence[FilePattern]
) -> tuple[int, ...]:
    if frames is not None:
        numbers = sorted(set(parse(frames) if isinstance(frames, str) else frames))
        if not numbers:
            raise OctaConfigError("no frames are asked for: give a range such as 1-240")
        if len(numbers) > MAX_FRAMES:
            raise OctaConfigError(f"more than {MAX_FRAMES} frames are asked for: check some at a time")
        return tuple(numbers)
    there = {number for pattern in patterns for number in pattern.frames_in(folder)}
    if not there:
        raise OctaConfigError(
            f"{shown(folder)} holds no frame of that name: say which there should be (--frames 1-240)"
        )
    first, last = min(there), max(there)
    if last - first >= MAX_FRAMES:
        raise OctaConfigError(f"the frames run from {first} to {last}: say which there should be (--frames 1-240)")
    return tuple(range(first, last + 1))


def check_file(
    folder: str | os.PathLike[str],
    name: str,
    frame: int,
    *,
    size: tuple[int, int] | None = None,
    scene: str | None = None,
    hashes: bool = True,
    decode: bool = False,
) -> FileCheck:
    """Look at one file of one frame.

    Pixels are decoded only of a file whose header has been found to be of the size that is expected.

    Args:
        folder: where the files are.
        name: the file's, below that folder.
        frame: the number of its frame.
        size: width and height in pixels that it must have; None for any.
        scene: the name of the scene that it must be of, where it is stamped with one; None for any.
        hashes: whether its SHA-256 is made, for which it is read once more.
        decode: whether its pixels are decoded too. Needs the extra `pictures`.

    Raises:
        OctaConfigError: the extra `pictures` is not installed.
    """
    file = _of_kind(_checked(Path(folder), name, frame, hashes=hashes), size, scene)
    return _decoded(Path(folder), file) if decode else file


def _checked(folder: Path, name: str, number: int, *, hashes: bool) -> FileCheck:
    """One file for itself."""
    path = folder / name
    try:
        info = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return FileCheck(number, name, MISSING)
    except OSError as error:
        return FileCheck(number, name, f"can't be read: {error.strerror}")
    try:
        picture = read_as_named(path, name) if path.suffix.lower() in FORMAT_OF_SUFFIX else read_picture(path)
        digest = sha256_of(path) if hashes else ""
    except BrokenPictureError as error:
        return FileCheck(number, name, error.flaw, info.st_size)
    except OSError as error:
        return FileCheck(number, name, f"can't be read: {error.strerror}", info.st_size)
    told = picture.stamp.frame
    flaw = "" if told in {None, number} else f"is stamped as frame {told}"
    return FileCheck(number, name, flaw, info.st_size, digest, picture)


def _of_one_kind(files: list[FileCheck], size: tuple[int, int] | None, scene: str | None) -> list[FileCheck]:
    """The files of one pattern, with what does not go with the others found wrong."""
    pictures = [file.picture for file in files if file.picture and not file.flaw]
    if size is None:
        size = _commonest([(picture.width, picture.height) for picture in pictures])
    if scene is None:
        scene = _commonest([picture.stamp.scene for picture in pictures if picture.stamp.scene is not None])
    return [_of_kind(file, size, scene) for file in files]


def _of_kind(file: FileCheck, size: tuple[int, int] | None, scene: str | None) -> FileCheck:
    """A file, found wrong when it does not go with the others."""
    picture = file.picture
    if picture is None or file.flaw:
        return file
    if size is not None and (picture.width, picture.height) != size:
        return replace(file, flaw=f"is {picture.width}x{picture.height} pixels, not {size[0]}x{size[1]}")
    if scene is not None and picture.stamp.scene not in {None, scene}:
        return replace(file, flaw=f"is of the scene {picture.stamp.scene!r}, not {scene!r}")
    return file


def _commonest(values: list[Any]) -> Any:
    return Counter(values).most_common(1)[0][0] if values else None


def _decoded(folder: Path, file: FileCheck) -> FileCheck:
    """A file after its pixels were looked at, which only those of whole files are."""
    if file.flaw or file.picture is None:
        return file
    return replace(file, flaw=flaw_of_pixels(folder / file.name, file.picture))
