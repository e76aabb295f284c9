"""A process, or the power, that dies at a step of its work with the disk, and what of that work is there afterwards."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

__all__ = ["Crash", "CrashingDisk"]


class Crash(BaseException):
    """The process is dead: nothing that it would still do is done."""


class CrashingDisk:
    """Counts writes, renames and syncs, and dies at one of them; everything after that fails too.

    Args:
        at: at which step, from 0.
        seed: what chance does: whether a step that dies was done, how much of a write was.
        power: whether the power dies with it: then what was not synced is lost, or some of it.
    """

    def __init__(self, at: int, seed: int = 0, *, power: bool = False) -> None:
        self._at = at
        self._chance = random.Random(seed)
        self._power = power
        self.steps = 0
        self._synced: dict[int, int] = {}
        self._renames: list[tuple[Path, Path, bytes | None]] = []
        self._real = {name: getattr(os, name) for name in ("write", "replace", "rename", "fsync", "ftruncate")}

    @property
    def died(self) -> bool:
        """Whether it came to that."""
        return self.steps > self._at

    @contextmanager
    def __call__(self, root: Path) -> Iterator[None]:
        """For the length of a `with` block; the crash ends it, and no other error may."""
        # What an earlier process left, the disk has.
        for path in root.rglob("*"):
            if path.is_file():
                self._synced[path.stat().st_ino] = path.stat().st_size
        fakes = {name: getattr(self, f"_{name}") for name in self._real}
        try:
            with mock.patch.multiple(os, **fakes):
                yield
        except Crash:
            assert self.died
        if self.died and self._power:
            self._lose(root)

    def _step(self) -> bool:
        """Whether the step is done; raises after the one that dies."""
        self.steps += 1
        if self.steps <= self._at:
            return True
        if self.steps > self._at + 1:
            raise Crash
        return self._chance.random() < 0.5

    def _write(self, descriptor: int, data: Any) -> int:
        is_done = self._step()
        if self.died:
            part = bytes(data)[: self._chance.randrange(len(data) + 1)]
            self._real["write"](descriptor, bytes(data) if is_done else part)
            raise Crash
        return int(self._real["write"](descriptor, data))

    def _rename(self, source: Any, target: Any) -> None:
        self._replace(source, target)

    def _replace(self, source: Any, target: Any) -> None:
        if self._step():
            before = Path(target).read_bytes() if Path(target).is_file() else None
            self._real["replace"](source, target)
            self._renames.append((Path(source), Path(target), before))
        if self.died:
            raise Crash

    def _fsync(self, descriptor: int) -> None:
        if self._step():
            info = os.fstat(descriptor)
            if stat.S_ISDIR(info.st_mode):
                place = Path(f"/proc/self/fd/{descriptor}").readlink()
                self._renames = [one for one in self._renames if not _is_in(one, place)]
            else:
                self._synced[info.st_ino] = info.st_size
        if self.died:
            raise Crash

    def _ftruncate(self, descriptor: int, length: int) -> None:
        if self._step():
            self._real["ftruncate"](descriptor, length)
        if self.died:
            raise Crash

    def _lose(self, root: Path) -> None:
        """What was not synced may be there or not: renames, the ends of files, and what was in them."""
        for source, target, before in reversed(self._renames):
            if target.exists() and source.parent.is_dir() and self._chance.random() < 0.5:
                self._real["replace"](target, source)
                if before is not None:
                    target.write_bytes(before)
                    self._synced[target.stat().st_ino] = len(before)
        for path in sorted((root / "out").rglob("*")):
            if path.is_file() and path.name != "lock":
                self._lose_contents(path)

    def _lose_contents(self, path: Path) -> None:
        info = path.stat()
        kept = self._synced.get(info.st_ino, 0)
        if kept >= info.st_size:
            return
        data = path.read_bytes()
        length = self._chance.randint(kept, len(data))
        hole = b"\0" * (length - kept) if self._chance.random() < 0.5 else data[kept:length]
        path.write_bytes(data[:kept] + hole)
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def _is_in(rename: tuple[Path, Path, bytes | None], folder: Path) -> bool:
    """Whether a rename was from or to a folder."""
    return folder in {rename[0].parent.resolve(), rename[1].parent.resolve()}
