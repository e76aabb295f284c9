"""What each file of a frame must be: as the user says, else as the scene does, else as the first accepted frame is."""

from __future__ import annotations

from collections.abc import Sequence

from octa_provider.batch.check import Check
from octa_provider.batch.folder.judge import Expected
from octa_provider.batch.folder.lines import KindLine
from octa_provider.batch.folder.work import Measured
from octa_provider.render.stamp import stamp_of

__all__ = ["expected_of"]


def expected_of(check: Check, measured: Measured | None, kind: Sequence[KindLine], files: int) -> tuple[Expected, ...]:
    """What each file of a frame must be.

    Args:
        check: when a frame is whole.
        measured: what the first machine told of the scene; None before it did.
        kind: what the first accepted frame's files were like; empty before there was one.
        files: how many files a frame has.
    """
    told = measured.preflight if measured is not None else {}
    size = check.size or _size(told.get("size"))
    # As a picture's stamp has it: cut, and made plain.
    scene = stamp_of({"Scene": told["scene"]}).scene if isinstance(told.get("scene"), str) else None
    if len(kind) != files:
        return (Expected(size, scene),) * files
    return tuple(Expected(size or (one.width, one.height), scene or one.scene) for one in kind)


def _size(value: object) -> tuple[int, int] | None:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        return None
    width, height = value
    if any(isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in (width, height)):
        return None
    return width, height
