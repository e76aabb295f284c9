"""What is to be fetched from a rented machine: the files at or below a name, and their sums here."""

from __future__ import annotations

import hashlib
import posixpath
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.errors import OctaSshError
from octa_provider.plain_log import plain_logger

if TYPE_CHECKING:
    import asyncssh

log = plain_logger("octa_provider.ssh")


def sha256_of(path: Path) -> str:
    """The SHA-256 sum of a file here, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1024 * 1024):
            digest.update(block)
    return digest.hexdigest()


async def files_below(sftp: asyncssh.SFTPClient, remote: str, target: Path) -> list[tuple[str, Path, int]]:
    """The regular files at or below `remote`: their names there, their paths here, their sizes."""
    attributes = await sftp.stat(remote)
    if not stat.S_ISDIR(attributes.permissions or 0):
        return [(remote, target, attributes.size or 0)]
    found: list[tuple[str, Path, int]] = []
    async for entry in sftp.scandir(remote):
        name = str(entry.filename)
        if name in {".", ".."}:
            continue
        if "/" in name or "\\" in name or "\0" in name:
            raise OctaSshError(f"{remote} holds the name {name!r}, which would leave the target folder: not fetched")
        mode = entry.attrs.permissions or 0
        if stat.S_ISLNK(mode) or not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            log.warning("%s is a link or a special file: not fetched", posixpath.join(remote, name))
            continue
        found += await files_below(sftp, posixpath.join(remote, name), target / name)
    return sorted(found)
