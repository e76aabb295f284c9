"""Finding sessions of ours whose owner is gone, and stopping them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from octa_provider.errors import OctaConfigError, OctaStopError
from octa_provider.patience import Deadline, ask_until
from octa_provider.stopping import sweep

if TYPE_CHECKING:
    from octa_provider.client import OctaClient
    from octa_provider.models import Session

log = logging.getLogger("octa_provider.reaping")


@dataclass(frozen=True)
class Orphan:
    """A session whose owner is gone.

    Attributes:
        uuid: the session.
        key: its rental key.
        node_id: the machine.
        age_s: seconds since it started; None when the API does not tell.
        charge_wei: what it has cost so far.
    """

    uuid: str
    key: str
    node_id: int | None
    age_s: float | None
    charge_wei: int | None


@dataclass(frozen=True)
class Reaped:
    """What reaping found.

    Attributes:
        orphans: sessions whose owner is gone.
        stopped: the uuids of those that were stopped and seen gone; empty in a dry run.
        failed: the uuids of those that could not be stopped in time.
        kept: how many sessions of ours were left alone.
    """

    orphans: tuple[Orphan, ...]
    stopped: tuple[str, ...]
    failed: tuple[str, ...]
    kept: int


def reap(
    client: OctaClient,
    *,
    prefix: str,
    older_than_s: float,
    is_alive: Callable[[str], bool],
    dry_run: bool,
    deadline_s: float,
) -> Reaped:
    """See `Rentals.reap`."""
    if older_than_s < 0:
        raise OctaConfigError("older_than_s must be a number of seconds, 0 or more")
    deadline = Deadline(client.clock, deadline_s)
    active = ask_until(deadline, client.sessions.list)
    ours = [(session, session.rental_key) for session in active if session.rental_key]
    orphans = tuple(
        _orphan(session, key, client.clock.now())
        for session, key in ours
        if _has_prefix(key, prefix) and _is_old(session, older_than_s, client.clock.now()) and not _lives(is_alive, key)
    )
    if dry_run or not orphans:
        return Reaped(orphans, (), (), len(ours) - len(orphans))
    uuids = [orphan.uuid for orphan in orphans]
    try:
        # By uuid, not by key: the key may have come back to life since it was looked at.
        sweep(client, uuids=uuids, key=None, deadline_s=max(deadline.left_s, 1.0))
        failed: tuple[str, ...] = ()
    except OctaStopError as error:
        log.error("%s", error)
        failed = error.uuids
    stopped = tuple(uuid for uuid in uuids if uuid not in failed)
    return Reaped(orphans, stopped, failed, len(ours) - len(orphans))


def _has_prefix(key: str, prefix: str) -> bool:
    stem = prefix.rstrip("/")
    return stem == "" or key == stem or key.startswith(f"{stem}/")


def _is_old(session: Session, seconds: float, now: datetime) -> bool:
    if seconds == 0:
        return True
    age_s = _age_s(session, now)
    return age_s is not None and age_s >= seconds


def _age_s(session: Session, now: datetime) -> float | None:
    if session.started_at is not None:
        return (now - session.started_at).total_seconds()
    return None if session.duration_s is None else float(session.duration_s)


def _lives(is_alive: Callable[[str], bool], key: str) -> bool:
    try:
        return is_alive(key)
    except Exception:
        # Not knowing is no licence to stop somebody's render.
        log.exception("whether the owner of %s lives can't be told, so it is left alone", key)
        return True


def _orphan(session: Session, key: str, now: datetime) -> Orphan:
    return Orphan(session.uuid, key, session.node_id, _age_s(session, now), session.charge_wei)
