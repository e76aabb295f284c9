"""How the files of an accepted frame get from where they arrived to their final names, and how a crash is made good."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from octa_provider.batch.folder.accepted import AcceptedFrames
from octa_provider.batch.folder.disk_errors import disk_errors
from octa_provider.batch.folder.judge import FileIdentity, identity_of
from octa_provider.batch.folder.lines import FileLine
from octa_provider.errors import OctaLocalFileError
from octa_provider.files.local_files import sha256_of, shown
from octa_provider.render.frame_files import FilePattern

__all__ = ["is_there", "is_whole", "make_durable", "place_files", "sync_folder"]


def make_durable(folder: Path, names: Sequence[str], seen: Sequence[FileIdentity]) -> None:
    """See that the disk has the files of a frame, as they were judged.

    Args:
        folder: where they arrived.
        names: of the files.
        seen: each as it was judged.

    Raises:
        OctaLocalFileError: the disk refuses, or a file is not as it was.
    """
    for name, then in zip(names, seen, strict=True):
        path = folder / name
        with disk_errors("written to disk", path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        if identity_of(folder, name) != then:
            raise OctaLocalFileError(f"{shown(path)} was written to after it was looked at: it is not accepted")
    # Their names too: a restart finishes from here what the power cuts short.
    for one in dict.fromkeys((folder / name).parent for name in names):
        sync_folder(one)


def place_files(folder: Path, output: Path, names: Sequence[str], aside: Path | None) -> None:
    """Rename the files of a frame to their final names. Those that are not in the folder are there already.

    Args:
        folder: where they arrived.
        output: the folder of the frames.
        names: of the files.
        aside: where what is in the way is put; None replaces it.

    Raises:
        OctaLocalFileError: the disk refuses; then none of them is under its final name.
    """
    placed: list[str] = []
    try:
        _place(folder, output, names, aside, placed)
    except OctaLocalFileError:
        for name in placed:
            with suppress(OSError):
                os.rename(output / name, folder / name)  # noqa: PTH104
        raise


def _place(folder: Path, output: Path, names: Sequence[str], aside: Path | None, placed: list[str]) -> None:
    touched: dict[Path, None] = {}
    for name in names:
        source, final = folder / name, output / name
        with disk_errors("put into its place", final):
            _make_folders(output, PurePosixPath(name).parts[:-1])
            if aside is not None and os.path.lexists(final):
                aside.mkdir(exist_ok=True)
                os.replace(final, aside / f"{secrets.token_hex(4)}_{final.name}"[-200:])  # noqa: PTH105
            os.replace(source, final)  # noqa: PTH105 - the rename that tests make fail
            placed.append(name)
            below = PurePosixPath(name).parents
            touched.update(dict.fromkeys(output / one for one in below))
    for one in touched:
        sync_folder(one)


def sync_folder(folder: Path) -> None:
    """See that the disk has the names in a folder.

    Raises:
        OctaLocalFileError: the disk refuses.
    """
    with disk_errors("written to disk", folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_there(output: str, patterns: Iterable[FilePattern], accepted: AcceptedFrames, frame: int) -> bool:
    """Whether each file of an accepted frame is where it belongs, of its size, and not written to since.

    Args:
        output: the folder of the frames.
        patterns: the names of a frame's files.
        accepted: what is known of them.
        frame: the frame's number.
    """
    try:
        infos = [os.stat(f"{output}/{pattern.name(frame)}") for pattern in patterns]  # noqa: PTH116 - a million times
    except OSError:
        return False
    return accepted.is_as_it_was(frame, infos)


def is_whole(path: Path, file: FileLine) -> bool:
    """Whether a file has the contents that it was accepted with, whatever its times say.

    Args:
        path: where it is.
        file: what is known of it.
    """
    try:
        return path.is_file() and path.stat().st_size == file.bytes and sha256_of(path) == file.sha256
    except OSError:
        return False


def _make_folders(output: Path, parts: Iterable[str]) -> None:
    folder = output
    for part in parts:
        folder = folder / part
        folder.mkdir(exist_ok=True)
