"""What a paused batch leaves behind: who goes on with it, from any process or host, knows what its machines are at."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from octa_provider.batch.folder.disk_errors import disk_errors
from octa_provider.batch.folder.layout import Layout
from octa_provider.batch.folder.placing import sync_folder
from octa_provider.batch.folder.work import Spans
from octa_provider.files.local_files import shown
from octa_provider.text.loggers import plain_logger

__all__ = ["KeptOrder", "PauseNote", "PausedMachine", "leave_pause", "left_machines", "take_pause"]

log = plain_logger("octa_provider.batch.folder.pause_note")

#: A pause that nobody ended within so many seconds of its time is over: what is run then begins anew.
_STALE_S = 86_400.0


class KeptOrder(msgspec.Struct, frozen=True):
    """What a machine renders by itself.

    Attributes:
        frames: those that have not come, in their order.
        processes: their numbers on the machine.
        laid: frames at which files were to be laid, so that a process may leave them out.
        began_at: when it was begun, on the machine's clock, in seconds.
        last_at: when the last frame was done, on that clock.
        made: how many frames came.
        rate: how many of our seconds one of the machine's is.
    """

    frames: tuple[int, ...]
    processes: tuple[int, ...]
    laid: tuple[int, ...] = ()
    began_at: float | None = None
    last_at: float | None = None
    made: int = 0
    rate: float = 1.0


class PausedMachine(msgspec.Struct, frozen=True):
    """A machine that was left running.

    Attributes:
        number: its number in the batch.
        uuid: its session.
        order: what it renders.
        spans: how its time had gone.
    """

    number: int
    uuid: str
    order: KeptOrder
    spans: Spans = Spans()


class PauseNote(msgspec.Struct, frozen=True):
    """A batch that was left to its machines, or that waits for one. Times are seconds since 1970.

    Attributes:
        fingerprint: of the batch.
        began_at: when its first run began: its deadline counts from there, through all pauses.
        finish_at: when it is to be done.
        wake_at: when somebody is to be back.
        cap_wei: what all of it may cost, in wei, as digits; None for no cap.
        failed: frames that were given up, and why: a pause is no reason to try them again.
        machines: those that were left running.
        paid_until: when they will have cost or run all that they may; None for no cap.
        rented_at: when the first machine was rented; None where none was yet.
        waited_s: seconds that it has waited for machines.
        is_planned: whether it was begun: there is a plan to go on with.
        useless: nodes that were given up: none is rented again for want of another.
        waits_since: when it was left to wait for a machine; None where machines were left running.
    """

    fingerprint: str
    began_at: float
    finish_at: float
    wake_at: float
    cap_wei: str | None
    failed: dict[int, str]
    machines: tuple[PausedMachine, ...]
    paid_until: float | None = None
    rented_at: float | None = None
    waited_s: float = 0.0
    is_planned: bool = True
    waits_since: float | None = None
    useless: tuple[int, ...] = ()


def leave_pause(output: Path, note: PauseNote) -> None:
    """Leave a note, whole or not at all, and on the disk.

    Args:
        output: the folder, whose lock is held.
        note: what it says.

    Raises:
        OctaLocalFileError: the disk refuses.
    """
    path = Layout.of(output).pause
    new = path.with_suffix(".new")
    with disk_errors("written", path):
        with open(new, "wb") as file:
            file.write(msgspec.json.encode(note))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    sync_folder(path.parent)


def take_pause(output: Path, fingerprint: str, now: float) -> PauseNote | None:
    """What the last run has left, taken away: it is gone on with once. One that can't be read costs little: its
    machines are gone on with as those of a run that was killed.

    Args:
        output: the folder, whose lock is held.
        fingerprint: of the batch that is run now.
        now: seconds since 1970.

    Returns:
        The note; None where there is none, or where it is of another scene or over long ago.

    Raises:
        OctaLocalFileError: the disk refuses.
    """
    path = Layout.of(output).pause
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s can't be read: %s", shown(path), error)
        text = b""
    with disk_errors("removed", path):
        path.unlink(missing_ok=True)
    try:
        note = msgspec.json.decode(text, type=PauseNote)
    except (msgspec.DecodeError, UnicodeDecodeError):
        log.warning("%s is damaged: its machines are asked anew what they have rendered", shown(path))
        return None
    return note if note.fingerprint == fingerprint and now - note.wake_at < _STALE_S else None


def left_machines(output: Path) -> tuple[str, ...]:
    """The sessions that the last run has left to themselves, as far as its note can be read. Changes nothing.

    Args:
        output: the folder.
    """
    try:
        note = msgspec.json.decode(Layout.of(output).pause.read_bytes(), type=PauseNote)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return ()
    return tuple(one.uuid for one in note.machines)
