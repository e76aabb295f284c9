"""Where a file lands that is fetched or sent: under the name that was given, or in a folder that is there."""

from __future__ import annotations

import os
import posixpath
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.files.local_files import LocalTree, expanded
from octa_provider.files.placed import placed_name

if TYPE_CHECKING:
    import asyncssh

__all__ = ["place_here", "place_there"]


def place_here(local: str | os.PathLike[str], remote: str, *, is_folder: bool) -> Path:
    """Where something that is fetched goes: see `RemoteMachine.get`.

    Args:
        local: the target, as given.
        remote: what is fetched.
        is_folder: whether that is a folder.
    """
    text = os.fspath(local)
    target, name = expanded(text), posixpath.basename(remote.rstrip("/"))
    into = text.endswith(os.sep) or Path(text) == Path() or text.endswith(f"{os.sep}.")
    if into or (not is_folder and target.is_dir()):
        return target if name in {"", ".", "..", "~"} else target / name
    return target


async def place_there(sftp: asyncssh.SFTPClient, tree: LocalTree, remote: str) -> bytes:
    """Where something that is sent goes: see `RemoteMachine.put`.

    Args:
        sftp: the machine.
        tree: what is sent.
        remote: the target, as given.
    """
    import asyncssh

    place = placed_name(tree.path, remote)
    if tree.is_folder or place != posixpath.normpath(remote):
        return os.fsencode(place)
    with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPPermissionDenied, asyncssh.SFTPFailure):
        if await sftp.isdir(os.fsencode(place)):
            place = posixpath.join(place, tree.path.name)
    return os.fsencode(place)
