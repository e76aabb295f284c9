"""Marks that one process leaves in folders, so that another can be sure to see the same ones.

Two computers may have folders of the same name that are not the same: a mark that was laid a moment ago proves it, by
the word in it. One of an earlier moment may still lie there, laid by a worker that has the other folder. They are never
sent anywhere, nor counted as what is in a folder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from octa_provider.files.limits import existing_folder

__all__ = ["claim_marks", "is_mark", "lay_marks", "marks_of", "remove_marks"]

_MARK = re.compile(rb"\.octa-mark-[0-9a-f]{24}")
#: More folders than these are not marked.
_MOST_FOLDERS = 16


def is_mark(name: bytes) -> bool:
    """Whether a file's name is that of a mark."""
    return _MARK.fullmatch(name) is not None


def marks_of(places: Iterable[str], secret: str) -> Iterator[Path]:
    """The marks for places that something is to be written to: one in each nearest folder that exists.

    Args:
        places: absolute paths.
        secret: what nobody else knows; the names do not tell it.
    """
    name = ".octa-mark-" + hashlib.sha256(f"mark {secret}".encode()).hexdigest()[:24]
    for folder in dict.fromkeys(existing_folder(Path(place)) for place in places):
        yield folder / name


def lay_marks(places: Iterable[str], secret: str, word: str) -> list[str] | None:
    """Lay them; all of them, or none, which returns None.

    Args:
        places, secret: as in `marks_of`.
        word: what is written into each; another one each time.
    """
    marks = [str(mark) for mark in marks_of(places, secret)]
    if len(marks) > _MOST_FOLDERS:
        return None
    try:
        for mark in marks:
            Path(mark).touch(mode=0o600)
            Path(mark).write_text(word)
    except OSError:
        remove_marks(marks)
        return None
    return marks


def claim_marks(marks: Iterable[str], word: str) -> bool:
    """Whether every one of them is seen here. They are gone afterwards: of several who ask one is told yes.

    Args:
        marks: from `lay_marks`.
        word: what was written into them then.
    """
    taken = [_says(mark, word) and _taken(mark) for mark in marks]
    return all(taken)


def remove_marks(marks: Iterable[str | Path]) -> None:
    """Take them away where they are seen.

    Args:
        marks: from `lay_marks` or `marks_of`.
    """
    for mark in marks:
        _taken(mark)


def _says(mark: str, word: str) -> bool:
    with suppress(OSError, UnicodeDecodeError):
        return Path(mark).read_text() == word
    return False


def _taken(mark: str | Path) -> bool:
    with suppress(OSError):
        Path(mark).unlink()
        return True
    return False
