"""Stopping every machine of a batch from outside: whoever renders, or has left them running, is not asked."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider.batch.folder.batch_record import recorded
from octa_provider.batch.folder.disk_errors import is_full
from octa_provider.batch.folder.history import History
from octa_provider.batch.folder.journal import JournalLines
from octa_provider.batch.folder.layout import Layout
from octa_provider.batch.folder.lock import holder_of
from octa_provider.batch.folder.pause_note import left_machines
from octa_provider.errors import OctaError, OctaLocalFileError, OctaStopError, tell_also
from octa_provider.rental.key import split_namespace
from octa_provider.rental.rental import rental_of
from octa_provider.rental.stop import stop_command, sweep
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import ask_until
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.rentals import Rentals
    from octa_provider.rental.terms import Bill

__all__ = ["stop_batch", "tell_left_after"]

log = plain_logger("octa_provider.batch.run.stopping")

#: A list can miss a session, and a start that was asked for may show late: that nothing runs takes so many looks.
_LOOKS = 2
_LOOK_AGAIN_S = 1.0
#: Machines that nobody can go on with are tried to be stopped for so long.
_STOP_S = 300.0


def stop_batch(api: RentalApi, rentals: Rentals, output: Path, *, deadline_s: float) -> dict[str, Bill]:
    """Stop every session of a folder's batch, and return when all were seen gone.

    Those are found whose key is one of the batch's, and those that its journal knows without an end.

    Args:
        api: the API.
        rentals: what stops on it.
        output: the folder.
        deadline_s: seconds to try for.

    Returns:
        What each came to, by its session.

    Raises:
        OctaConfigError: no batch has been rendered into it.
        OctaStopError: some could not be stopped, or were not seen gone.
        OctaError: the API can't be reached, or refused the key.
    """
    record = recorded(output)
    known = _open_rentals(output, len(record.renderer["files"]), record.fingerprint, record.frames)
    ours = {f"{record.key}/batch/{record.fingerprint[:8]}"}
    ours |= {(split_namespace(key, api.namespace) or key).rpartition("/")[0] for key, _ in known}
    deadline = Deadline(api.clock, deadline_s)
    uuids = {uuid: key for key, uuid in known if uuid is not None}
    bills: dict[str, Bill] = {}
    problems: list[OctaStopError] = []
    looks = 0
    while looks < _LOOKS:
        active = ask_until(deadline, api.within(deadline).sessions.list)
        found = {s.uuid: s.rental_key or "" for s in active if _is_of(s, ours, api.namespace)}
        wanted = {uuid: key for uuid, key in {**uuids, **found}.items() if uuid not in bills}
        if wanted:
            ended = sweep(api, uuids=wanted, key=None, deadline_s=max(1.0, deadline.left_s))
            for uuid, session in ended.items():
                bills[uuid] = rental_of(api, uuid, wanted[uuid], session).bill(session)
        looks = 0 if found.keys() - uuids.keys() and wanted else looks + 1
        if looks < _LOOKS:
            deadline.pause(_LOOK_AGAIN_S)
    for key, told in known:
        if told is None:
            # Its run died before an answer came: the session may show only later.
            try:
                bills.update({bill.uuid: bill for bill in rentals.stop(key, deadline_s=max(1.0, deadline.left_s))})
            except OctaStopError as error:
                problems.append(error)
    if problems:
        raise problems[0]
    with suppress(OSError):
        # Nothing is paused any more: what is run next begins anew, its deadline too.
        Layout.of(output).pause.unlink()
    return bills


def tell_left_after(error: OctaError, api: RentalApi, rentals: Rentals, output: Path) -> None:
    """See to what a paused run has left when another one can't begin: it bills, and who called may not come back.

    Where the folder's disk is full, nobody can go on with them, and they are stopped. Else they are told of: what is
    wrong may be another one's call, or another release's. Whoever renders into the folder at the moment has them.

    Args:
        error: why a run of the folder can't begin; it says so too.
        api: the API.
        rentals: what stops on it.
        output: the folder.
    """
    left = left_machines(output)
    if not left or holder_of(Layout.of(output).lock):
        return
    many = "the machine that a paused run has left" if len(left) == 1 else "the machines that a paused run has left"
    if is_full(error):
        try:
            stop_batch(api, rentals, output, deadline_s=_STOP_S)
        except OctaError as problem:
            log.error("%s", problem)
            tell_also(error, str(problem))
        else:
            tell_also(error, f"So {many} was stopped." if len(left) == 1 else f"So {many} were stopped.")
            return
    bills = "renders on and bills" if len(left) == 1 else "render on and bill"
    tell_also(error, f"{many.capitalize()} {bills}. To stop: {stop_command(left)}")


def _is_of(session: Session, ours: set[str], namespace: str) -> bool:
    work = None if session.rental_key is None else split_namespace(session.rental_key, namespace)
    return work is not None and work.rpartition("/")[0] in ours


def _open_rentals(output: Path, files: int, fingerprint: str, frames: tuple[int, ...]) -> list[tuple[str, str | None]]:
    """Key and session of each rental that the journal tells no end of; what can't be read keeps nothing from ending."""
    try:
        history = History(fingerprint, frames, files)
        history.replay(JournalLines(Layout.of(output).journal))
    except OctaLocalFileError as error:
        log.warning("what the journal tells of machines can't be read: %s", error)
        return []
    return list(history.open_rentals.values())
