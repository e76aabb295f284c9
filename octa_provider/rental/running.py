"""What an account has running: whose each session is, by its rental key, and what it has cost until now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from octa_provider.rental.cost import age_s, price_usd, spent_usd
from octa_provider.rental.kept import all_kept
from octa_provider.rental.key import MAX_KEY_CHARS, split_namespace
from octa_provider.rental.mark import RentalMark
from octa_provider.rental.market_look import sessions_seen
from octa_provider.rental.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi

__all__ = ["OwnedSession", "Running", "namespace_of", "of_uuid", "running"]


@dataclass(frozen=True)
class OwnedSession:
    """A session, whose it is, and what it has cost. Nothing of its environment but the key and the labels is in here.

    Attributes:
        session: as the API shows it; what strangers wrote is in it as they wrote it.
        key: its rental key, whole; None where neither the session nor anything written down tells one.
        namespace: the installation that started it; empty for none; None where there is no key.
        is_own: whether that is this installation.
        work_key: of an own session the key without the namespace; else None.
        age_s: seconds since it started; None when the API does not tell.
        price_usd: what it says that it costs, in USD per hour; None when it does not.
        charge_wei: what it has cost so far, as the API charges it.
        charge_usd: the same in USD, for display.
        spent_usd: the most that its charge, or its time at its price, comes to; what caps go by.
        labels: what it was labelled with, made plain; empty for none.
        kept_until: Unix time until which it is kept for a look, since its command has failed, and which may be over;
            None for any other, and where this store of intents does not know.
    """

    session: Session = field(repr=False)
    key: str | None
    namespace: str | None
    is_own: bool
    work_key: str | None
    age_s: float | None
    price_usd: float | None
    charge_wei: int | None
    charge_usd: float | None
    spent_usd: float | None
    labels: Mapping[str, str] = field(default_factory=dict)
    kept_until: float | None = None

    @property
    def uuid(self) -> str:
        """The session."""
        return self.session.uuid


@dataclass(frozen=True)
class Running:
    """What runs on an account.

    Attributes:
        sessions: the oldest first.
        odd: how many records could not be read: not in here, and billed like any other.
    """

    sessions: tuple[OwnedSession, ...]
    odd: int = 0


def running(api: RentalApi, *, max_age_s: float) -> Running:
    """See `Rentals.running`."""
    listed = sessions_seen(api, max_age_s=max_age_s, is_cancelled=lambda: False) if max_age_s else api.sessions.list()
    ended = datetime.max.replace(tzinfo=timezone.utc)
    oldest_first = sorted(listed, key=lambda session: (session.started_at or ended, session.uuid))
    return Running(tuple(_owned(api, oldest_first)), len(listed.odd))


def of_uuid(api: RentalApi, uuid: str) -> OwnedSession | None:
    """See `Rentals.look_up`."""
    for recent in (False, True):
        found = [session for session in api.sessions.list(recent=recent) if session.uuid == uuid]
        if found:
            return _owned(api, found[:1])[0]
    return None


def namespace_of(api: RentalApi, session: Session, key: str) -> str:
    """The namespace that a session was started in; empty for none, and for what an earlier release started.

    Args:
        api: the API, and the store of intents.
        session: the session.
        key: its rental key, whole.
    """
    if session.rental_key is not None:
        mark = RentalMark.of(session)
        return "" if mark is None else mark.namespace
    # It tells nothing: it was written down, here or by another installation that shares the store.
    known = api.intents.read(key)
    return next((i.namespace for i in known if i.uuid == session.uuid), known[0].namespace if known else "")


def _owned(api: RentalApi, sessions: Sequence[Session]) -> list[OwnedSession]:
    keys = _keys(api, sessions)
    kept = all_kept(api) if sessions else {}
    return [_with_owner(api, session, keys.get(session.uuid), kept.get(session.uuid)) for session in sessions]


def _keys(api: RentalApi, sessions: Iterable[Session]) -> dict[str, str]:
    # What is longer than a key can be is a stranger's text: taking it apart would keep a page from being drawn.
    keys = {s.uuid: None if len(s.rental_key or "") > MAX_KEY_CHARS else s.rental_key for s in sessions}
    # What was written down is asked only for what tells no key, such as a VPN.
    written = api.intents.claimed() if None in keys.values() else {}
    told = {uuid: key or written.get(uuid) for uuid, key in keys.items()}
    return {uuid: key for uuid, key in told.items() if key is not None}


def _with_owner(api: RentalApi, session: Session, key: str | None, kept_until: float | None) -> OwnedSession:
    namespace = None if key is None else namespace_of(api, session, key)
    is_own = key is not None and namespace == api.namespace
    terms = Terms(uuid=session.uuid, key=key)
    return OwnedSession(
        session=session,
        key=key,
        namespace=namespace,
        is_own=is_own,
        work_key=split_namespace(key, api.namespace) if is_own and key is not None else None,
        age_s=age_s(session, api.clock),
        price_usd=price_usd(session),
        charge_wei=session.charge_wei,
        charge_usd=terms.usd(session.charge_wei, session),
        spent_usd=spent_usd(terms, session, api.clock),
        labels=session.labels,
        kept_until=kept_until,
    )
