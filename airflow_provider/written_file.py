"""Where a task's text goes: a file of the worker, or whatever Airflow's object storage reaches."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider.templated import as_text
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    import os

    from airflow.providers.common.compat.sdk import ObjectStoragePath

__all__ = ["FileArgument", "LocalFile", "local_file", "write_file", "write_text"]

log = plain_logger(__name__)

#: A path of the worker, a URL such as `s3://aws_default@bucket/key`, or an `ObjectStoragePath`.
FileArgument: TypeAlias = "str | os.PathLike[str] | ObjectStoragePath"


def write_text(path: FileArgument, text: str) -> str:
    """Write a text; folders on the way are made.

    Args:
        path: where to.
        text: what, in UTF-8.

    Returns:
        Where it is now.
    """
    target = _target(path)
    try:
        # In its place rather than beside it: it may be a pipe, or lie in a folder that takes no other file.
        target.write_text(text, encoding="utf-8")
    except FileNotFoundError:
        # An object store has no folders, and may not let us make any: only where one is missing.
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return str(target)


def write_file(path: FileArgument, source: Path) -> str:
    """The same with what a file of this machine holds, of any size.

    Args:
        path: where to.
        source: the file.

    Returns:
        Where it is now.
    """
    target = _target(path)
    try:
        _copy(source, target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, target)
    return str(target)


def _copy(source: Path, target: Any) -> None:
    with source.open("rb") as text, target.open("wb") as file:
        shutil.copyfileobj(text, file)


@dataclass(frozen=True)
class LocalFile:
    """A file of this machine for what writes to nothing else.

    Attributes:
        path: where to write; None when nobody wants the text.
        belongs: where the text belongs, when that is not `path` itself.
    """

    path: str | None
    belongs: FileArgument | None = None

    def saved(self) -> str | None:
        """Put what was written where it belongs.

        Returns:
            Where it is; None when nothing was written, or when it could not be put there: that is logged, since the
            work that it tells about is done.
        """
        if self.path is None or not Path(self.path).is_file():
            return None
        if self.belongs is None:
            return self.path
        try:
            return write_text(self.belongs, Path(self.path).read_text(encoding="utf-8", errors="replace"))
        except Exception as error:  # noqa: BLE001 - the errors of object stores have no common class
            log.warning("The log can't be written to %s: %s: %s", self.belongs, type(error).__name__, error)
            return None


@contextmanager
def local_file(path: FileArgument | None) -> Iterator[LocalFile]:
    """A file to write to, for the length of a `with` block.

    Args:
        path: where the text belongs; None or empty for nowhere.
    """
    told = as_text("the path", path)
    if told is None or path is None or _is_local(path):
        yield LocalFile(told)
        return
    with tempfile.TemporaryDirectory(prefix="octa-log-") as folder:
        yield LocalFile(str(Path(folder) / "job.log"), path)


def _is_local(path: FileArgument) -> bool:
    # On Airflow 2 an `ObjectStoragePath` is a `Path` too; its text is a URL.
    return "://" not in str(path)


def _target(path: FileArgument) -> Any:
    if _is_local(path):
        return Path(str(path)).expanduser()
    if not isinstance(path, str):
        return path
    # Only who writes to a URL pays for the import.
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return ObjectStoragePath(path)
