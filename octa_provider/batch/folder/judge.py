"""Whether the files of a frame that came from a stranger's machine are that frame, whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from octa_provider.batch.check import Check
from octa_provider.files.limits import shown_size
from octa_provider.files.local_files import shown
from octa_provider.render.frames_check import FileCheck, check_file
from octa_provider.render.pixels import ONE_COLOUR_FLAW, can_decode, require_decoder

__all__ = ["Expected", "FileIdentity", "Verdict", "identity_of", "judge_files"]


@dataclass(frozen=True)
class FileIdentity:
    """A file as it was when it was looked at; one that is written to has another."""

    device: int
    inode: int
    bytes: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True)
class Expected:
    """What a frame's file must be.

    Attributes:
        size: width and height in pixels; None where nothing tells yet.
        scene: the name of its scene; None where nothing tells.
    """

    size: tuple[int, int] | None = None
    scene: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What was found of one copy of a frame.

    Attributes:
        flaw: what is wrong with it, as one clause; empty for a whole one.
        files: what was found of each file, in the order of the renderer's; those after a flaw are not looked at.
        seen: each file as it was then; the same order.
    """

    flaw: str
    files: tuple[FileCheck, ...] = ()
    seen: tuple[FileIdentity, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.flaw

    @property
    def render_time_s(self) -> float | None:
        """What the renderer says that the frame took, in seconds, from the stamp of its main file."""
        picture = self.files[0].picture if self.files else None
        return None if picture is None else picture.stamp.render_time_s


def judge_files(
    folder: Path,
    names: Sequence[str],
    frame: int,
    expected: Sequence[Expected],
    check: Check,
    *,
    confirmed: Sequence[str] = (),
    sums: Mapping[str, str] | None = None,
) -> Verdict:
    """Look at one copy of a frame. Nothing outside the folder is read, and no link is followed.

    Args:
        folder: where its files arrived.
        names: of its files, below the folder.
        frame: its number.
        expected: what each file must be.
        check: when a frame is whole.
        confirmed: the flaws of one colour that other machines' copies of it had.
        sums: the SHA-256 that its files have where they came from, by their names.
    """
    decode = can_decode() if check.decode is None else check.decode
    if decode:
        require_decoder()
    files: list[FileCheck] = []
    seen: list[FileIdentity] = []
    for name, wanted in zip(names, expected, strict=True):
        identity = identity_of(folder, name)
        if isinstance(identity, str):
            return Verdict(f"{shown(name)} {identity}", tuple(files), tuple(seen))
        if identity.bytes > check.max_frame_bytes:
            flaw = f"{shown(name)} is {shown_size(identity.bytes)}, and the limit {shown_size(check.max_frame_bytes)}"
            return Verdict(flaw, tuple(files), tuple(seen))
        file = check_file(folder, name, frame, size=wanted.size, scene=wanted.scene, decode=decode)
        if file.flaw and _is_meant(file, check, confirmed):
            file = replace(file, flaw="")
        files.append(file)
        seen.append(identity)
        if file.flaw:
            return Verdict(f"{shown(name)} {file.flaw}", tuple(files), tuple(seen))
        if sums and name in sums and sums[name].lower() != file.sha256:
            flaw = f"{shown(name)} is not what it was on the machine: its SHA-256 differs"
            return Verdict(flaw, tuple(files), tuple(seen))
        if identity_of(folder, name) != identity:
            return Verdict(f"{shown(name)} was still being written", tuple(files), tuple(seen))
    return Verdict("", tuple(files), tuple(seen))


def _is_meant(file: FileCheck, check: Check, confirmed: Sequence[str]) -> bool:
    """Whether a flaw is one that a fade to black has too, and that this batch takes."""
    if not file.flaw.startswith(ONE_COLOUR_FLAW):
        return False
    said = f"{shown(file.name)} {file.flaw}"
    return check.one_colour == "allow" or (check.one_colour == "confirm" and any(said in one for one in confirmed))


def identity_of(folder: Path, name: str) -> FileIdentity | str:
    """A file as it is now, or what is wrong with it as a clause: it must be a file, in folders that are no links.

    Args:
        folder: where it is.
        name: its name below that.
    """
    parts = PurePosixPath(name).parts
    path = folder
    try:
        for number, part in enumerate(parts, 1):
            path = path / part
            info = os.lstat(path)
            if number < len(parts) and not stat.S_ISDIR(info.st_mode):
                return "is missing" if not stat.S_ISLNK(info.st_mode) else "is reached by a link"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"can't be read: {error.strerror}"
    if stat.S_ISLNK(info.st_mode):
        return "is a link"
    if not stat.S_ISREG(info.st_mode):
        return "is no file"
    return FileIdentity(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
