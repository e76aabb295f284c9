"""How a batch stands, from its folder alone: no network, no account, and whoever renders into it is not disturbed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from octa_provider.batch.folder.batch_record import recorded
from octa_provider.batch.folder.frame_ranges import ranges_text
from octa_provider.batch.folder.history import History
from octa_provider.batch.folder.journal import JournalLines
from octa_provider.batch.folder.layout import Layout
from octa_provider.batch.folder.lines import SceneLine
from octa_provider.batch.folder.lock import holder_of
from octa_provider.batch.folder.placing import is_there
from octa_provider.batch.folder.work import Measured
from octa_provider.files.local_files import expanded
from octa_provider.render.frame_files import FilePattern

__all__ = ["BatchStatus", "status"]


@dataclass(frozen=True)
class BatchStatus:
    """How a batch stands.

    Attributes:
        output: its folder.
        fingerprint: what its frames are known by.
        key: the work key of its rentals.
        scene: the scene's file or folder.
        main: the scene's file, relative to what is sent.
        files: the names of a frame's files.
        frames: how many frames all runs asked for.
        asked: which, as a range.
        done: how many are accepted, their files there as they were accepted.
        missing: which are not, as a range; empty when none is.
        failed: frames that the last run gave up, and why.
        refused: how many copies were not whole.
        running: who renders into it now, in words; empty when nobody does.
        open_rentals: the sessions that have not been seen ended; where one is not known yet, its key.
        cost_wei: what the ended machines were charged, in wei; None where the API did not tell of one.
        cost_usd: the same in USD, for display.
        spent_wei: what is known to be spent, also where the API did not tell of a machine: a budget counts with it.
        machines: how many were rented in all runs.
        planned: the plan that the last run followed, as a JSON value; None where none was made.
        runs: how many runs there were.
        measured: what the first machine told of the scene; None where none has.
    """

    output: str
    fingerprint: str
    key: str
    scene: str
    main: str
    files: tuple[str, ...]
    frames: int
    asked: str
    done: int
    missing: str
    failed: Mapping[int, str] = field(default_factory=dict)
    refused: int = 0
    running: str = ""
    open_rentals: tuple[str, ...] = ()
    cost_wei: int | None = None
    cost_usd: float | None = None
    spent_wei: int = 0
    machines: int = 0
    planned: Mapping[str, Any] | None = None
    runs: int = 0
    measured: Measured | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every frame that was asked for is there."""
        return not self.missing

    def to_dict(self) -> dict[str, Any]:
        """A JSON value of it, without secrets; amounts of wei are text."""
        value = asdict(self)
        value["failed"] = {str(frame): why for frame, why in self.failed.items()}
        value["spent_wei"] = str(self.spent_wei)
        value["cost_wei"] = None if self.cost_wei is None else str(self.cost_wei)
        value["measured"] = None if self.measured is None else msgspec.to_builtins(self.measured)
        return {**value, "whole": self.is_whole}


def status(output: str | os.PathLike[str]) -> BatchStatus:
    """How the batch in a folder stands. Nothing is changed, and no file of a frame is read.

    Args:
        output: the folder.

    Raises:
        OctaConfigError: no batch has rendered into it.
        OctaLocalFileError: what lies there can't be read.
    """
    layout = Layout.of(expanded(output))
    record = recorded(output)
    patterns = [FilePattern(text) for text in record.renderer["files"]]
    history = History(record.fingerprint, record.frames, len(patterns))
    history.replay(JournalLines(layout.journal))
    if history.current != record.fingerprint:
        # A run that died before it wrote its first line.
        history.add(SceneLine(record.fingerprint))
    accepted = history.accepted
    place = str(layout.output)
    for frame in accepted:
        if not is_there(place, patterns, accepted, frame):
            accepted.drop(frame)
    ended = [one for one in history.machines.values() if one.has_ended]
    return BatchStatus(
        output=place,
        fingerprint=record.fingerprint,
        key=record.key,
        scene=record.scene,
        main=record.main,
        files=tuple(pattern.text for pattern in patterns),
        frames=len(record.frames),
        asked=ranges_text(record.frames),
        done=len(accepted),
        missing=ranges_text(accepted.missing()),
        failed=dict(sorted(history.failed.items())),
        refused=sum(one.refused for one in history.machines.values()),
        running=holder_of(layout.lock),
        open_rentals=tuple(uuid or key for key, uuid in history.open_rentals.values()),
        cost_wei=None if any(one.charge_wei is None for one in ended) else sum(one.charge_wei or 0 for one in ended),
        cost_usd=None if any(one.charge_usd is None for one in ended) else sum(one.charge_usd or 0.0 for one in ended),
        spent_wei=history.spent_wei,
        machines=len(history.machines),
        planned=history.plan,
        runs=history.runs,
        measured=history.measured,
    )
