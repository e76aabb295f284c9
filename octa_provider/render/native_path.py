"""A path that native code takes: OpenImageIO knows text alone, and a name can be bytes that are none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["native_path"]


@contextmanager
def native_path(path: str | os.PathLike[str]) -> Iterator[str]:
    """For the length of a `with` block, a path of the file that is text: its own, or a link's where that is not.

    Args:
        path: of a file.
    """
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory(prefix="octa-picture-") as folder:
            link = Path(folder) / f"picture{Path(name).suffix}"
            link.symlink_to(Path(name).absolute())
            yield str(link)
    else:
        yield name
