"""Finding sessions of ours whose owner is gone, and stopping them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from octa_provider.errors import OctaConfigError, OctaStopError
from octa_provider.rental.cost import age_s, price_usd
from octa_provider.rental.kept import forget_ended, forget_kept, is_kept
from octa_provider.rental.key import split_namespace
from octa_provider.rental.lost_answer import reckoned
from octa_provider.rental.rental import rental_of
from octa_provider.rental.running import namespace_of
from octa_provider.rental.stop import sweep
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import ask_until
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.terms import Bill

log = plain_logger("octa_provider.rental.reap")


@dataclass(frozen=True)
class Orphan:
    """A session whose owner is gone.

    Attributes:
        uuid: the session.
        key: its rental key, whole.
        node_id: the machine.
        age_s: seconds since it started; None when the API does not tell.
        charge_wei: what it has cost so far.
        price_usd: USD per hour; None when the API does not tell.
        labels: what it is labelled with.
    """

    uuid: str
    key: str
    node_id: int | None
    age_s: float | None
    charge_wei: int | None
    price_usd: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Reaped:
    """What reaping found.

    Attributes:
        orphans: sessions whose owner is gone.
        stopped: the uuids of those that were stopped and seen gone; empty in a dry run.
        failed: the uuids of those that could not be stopped in time.
        kept: how many sessions with a rental key were left alone, those of other installations included.
        bills: what those came to that were stopped, as far as the API tells; empty where some could not be.
    """

    orphans: tuple[Orphan, ...]
    stopped: tuple[str, ...]
    failed: tuple[str, ...]
    kept: int
    bills: tuple[Bill, ...] = ()


def reap(
    api: RentalApi,
    *,
    prefix: str,
    older_than_s: float,
    max_age_s: float | None,
    is_alive: Callable[[str], bool | None],
    any_namespace: bool,
    dry_run: bool,
    deadline_s: float,
) -> Reaped:
    """See `Rentals.reap`.

    Args:
        api: the API, and the store of intents.
        prefix: only keys that begin with it, by whole segments.
        older_than_s: only sessions that have run so many seconds.
        max_age_s: sessions of the own namespace that have run so many seconds are stopped although their owner lives.
        is_alive: whether the owner of a whole key still lives; None for one that it does not know.
        any_namespace: other namespaces too, and what earlier releases started.
        dry_run: only say what would be stopped.
        deadline_s: seconds to try to stop for, all together.
    """
    if not older_than_s >= 0:
        raise OctaConfigError("older_than_s must be a number of seconds, 0 or more")
    if max_age_s is not None and not max_age_s > 0:
        raise OctaConfigError("max_age_s must be a number of seconds above 0, or left out")
    deadline = Deadline(api.clock, deadline_s)
    active = ask_until(deadline, api.within(deadline).sessions.list)
    claimed = {**reckoned(api, active), **api.intents.claimed()}
    ours = [(session, key) for session in active if (key := session.rental_key or claimed.get(session.uuid))]

    def is_orphan(session: Session, key: str) -> bool:
        namespace = namespace_of(api, session, key)
        is_own = namespace == api.namespace
        work = split_namespace(key, namespace) if is_own else key
        if not (is_own or any_namespace) or not _has_prefix(work or key, prefix):
            return False
        kept = is_kept(api, session, key)
        if kept is not None:
            # Until its time is over somebody looks into it, and from then on nobody.
            return not kept
        age = age_s(session, api.clock)
        if older_than_s and (age is None or age < older_than_s):
            return False
        if max_age_s is not None and is_own and age is not None and age >= max_age_s:
            return True
        return _is_gone(is_alive, key, is_own=is_own)

    orphans = tuple(
        Orphan(
            session.uuid,
            key,
            session.node_id,
            age_s(session, api.clock),
            session.charge_wei,
            price_usd(session),
            session.labels,
        )
        for session, key in ours
        if is_orphan(session, key)
    )
    if not orphans and not dry_run:
        forget_ended(api.within(deadline), active)
    if dry_run or not orphans:
        return Reaped(orphans, (), (), len(ours) - len(orphans))
    uuids = [orphan.uuid for orphan in orphans]
    try:
        # By uuid, not by key: the key may have come back to life since it was looked at.
        ended = sweep(api, uuids=uuids, key=None, deadline_s=max(deadline.left_s, 1.0))
        failed: tuple[str, ...] = ()
    except OctaStopError as error:
        log.error("%s", error)
        failed, ended = error.uuids, {}
    stopped = tuple(uuid for uuid in uuids if uuid not in failed)
    for orphan in orphans:
        if orphan.uuid in stopped:
            # Also where a store can't tell all that it holds.
            forget_kept(api, orphan.key, (orphan.uuid,))
    forget_ended(api.within(deadline), active)
    bills = tuple(
        rental_of(api, orphan.uuid, orphan.key, session).bill(session)
        for orphan in orphans
        if (session := ended.get(orphan.uuid)) is not None
    )
    return Reaped(orphans, stopped, failed, len(ours) - len(orphans), bills)


def _has_prefix(key: str, prefix: str) -> bool:
    stem = prefix.rstrip("/")
    return stem == "" or key == stem or key.startswith(f"{stem}/")


def _is_gone(is_alive: Callable[[str], bool | None], key: str, *, is_own: bool) -> bool:
    """Whether the owner of a session is known to be gone.

    An owner that nobody here knows of is gone if it would be known here, and another installation's if not.
    """
    try:
        alive = is_alive(key)
    except Exception:
        # Not knowing is no licence to stop somebody's render.
        log.exception("whether the owner of %s lives can't be told, so it is left alone", key)
        return False
    return is_own if alive is None else not alive
