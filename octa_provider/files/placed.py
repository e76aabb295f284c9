"""Both ends of a job's files, settled before any money is spent: what is sent, as what, and where results go."""

from __future__ import annotations

import hashlib
import os
import posixpath
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from octa_provider.errors import OctaConfigError
from octa_provider.files.limits import existing_folder, shown_size
from octa_provider.files.local_files import LocalTree, expanded, shown

__all__ = ["Placed", "check_log_place", "check_output_places", "contents_of", "placed_inputs", "placed_name"]


@dataclass(frozen=True)
class Placed:
    """Something to send, and its name there.

    Attributes:
        tree: what it is.
        remote: its path there, relative to the command's folder or absolute.
    """

    tree: LocalTree
    remote: str


def placed_name(local: Path, remote: str) -> str:
    """The name of something that is sent, as far as both names tell: `.`, and what ends in `/`, is a folder for it.

    Args:
        local: what is sent.
        remote: its place there, as given.
    """
    if remote in {".", "./"} or remote.endswith(("/", "/.")):
        return posixpath.normpath(posixpath.join(remote, local.name or local.resolve().name))
    return posixpath.normpath(remote)


def placed_inputs(inputs: Mapping[str | os.PathLike[str], str]) -> list[Placed]:
    """Look at everything that is to be sent.

    Args:
        inputs: local path to remote path, relative to the command's folder or absolute.

    Raises:
        OctaConfigError: something does not exist, can't be read, or two would lie in the same place.
    """
    placed = [Placed(tree := LocalTree.at(local), placed_name(tree.path, remote)) for local, remote in inputs.items()]
    folders = {one.remote for one in placed if one.tree.is_folder}
    # As with scp, a file goes into a folder that is there.
    placed = [
        Placed(one.tree, posixpath.join(one.remote, one.tree.path.name))
        if not one.tree.is_folder and one.remote in folders
        else one
        for one in placed
    ]
    taken: dict[str, Path] = {}
    for one in placed:
        for file in one.tree.files:
            name = posixpath.join(one.remote, os.fsdecode(file.name)) if file.name else one.remote
            if name in taken:
                raise OctaConfigError(
                    f"{shown(taken[name])} and {shown(file.path)} would both be sent as {shown(name)}: "
                    "give one of them another name"
                )
            taken[name] = file.path
    for name in taken:
        for above in _above(name):
            if above in taken:
                raise OctaConfigError(
                    f"{shown(taken[above])} would be the file {shown(above)}, and {shown(name)} needs a folder there"
                )
    return placed


def contents_of(placed: Sequence[Placed]) -> str:
    """The SHA-256 sum of everything that is sent: names there, contents, and what may be executed; empty for nothing.

    Raises:
        OctaConfigError: a file can't be read.
    """
    if not placed:
        return ""
    whole = hashlib.sha256()
    for remote, digest in sorted((os.fsencode(one.remote), one.tree.digest()) for one in placed):
        whole.update(b"%d %s %s\0" % (len(remote), remote, digest.encode()))
    return whole.hexdigest()


def check_room_there(placed: Sequence[Placed], disk_gb: int) -> None:
    """Raise OctaConfigError where the inputs can't fit on the disk that is rented for them.

    Args:
        placed: the inputs.
        disk_gb: the disk, in GB.
    """
    size = sum(one.tree.size for one in placed)
    if size > disk_gb * 10**9:
        raise OctaConfigError(f"the inputs are {shown_size(size)}, the disk {disk_gb} GB: rent a larger one (disk_gb)")


def check_output_places(outputs: Mapping[str, str | os.PathLike[str]]) -> None:
    """Refuse places that nothing can be written to. Nothing is left behind by the check.

    Raises:
        OctaConfigError: a file is in the way, or this user may not write there.
    """
    for remote, local in outputs.items():
        try:
            _check_place(shown(remote), os.fspath(local))
        except OSError as error:
            raise OctaConfigError(
                f"the output {shown(remote)} can't go to {shown(os.fspath(local))}: {error.strerror}"
            ) from error


def check_log_place(path: str | os.PathLike[str]) -> None:
    """Refuse a place that no log can be written to. Nothing is left behind by the check.

    Args:
        path: the file.

    Raises:
        OctaConfigError: it is a folder or a device, a file is in the way, or this user may not write there.
    """
    target = expanded(path)
    try:
        if target.exists() and not target.is_file():
            kind = "a folder" if target.is_dir() else "a device or a pipe"
            raise OctaConfigError(f"{shown(target)} is {kind}: name a file for the log")
        _check_folder("the log", target.parent)
    except OSError as error:
        raise OctaConfigError(f"the log can't be written to {shown(target)}: {error.strerror}") from error


def _check_place(remote: str, local: str) -> None:
    target = expanded(local)
    if target.exists() and not target.is_dir():
        if local.endswith("/"):
            raise OctaConfigError(f"{shown(target)} is a file, no folder to put the output {remote} into")
        if not target.is_file():
            raise OctaConfigError(f"{shown(target)} is no file or folder: the output {remote} can't be written to it")
        target = target.parent
    _check_folder(f"the output {remote}", target)


def _check_folder(what: str, target: Path) -> None:
    """Raise where this user can't make a folder, or can't write into it."""
    folder = existing_folder(target.absolute())
    for above in (target.absolute(), *target.absolute().parents):
        if above == folder:
            break
        if above.is_symlink() or above.exists():
            raise OctaConfigError(f"{shown(above)} is in the way: {what} needs a folder there")
    # A file without a name, where the system has such.
    with tempfile.TemporaryFile(dir=folder):
        pass


def _above(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:at]) for at in range(1, len(parts)) if parts[:at] != [""]]
