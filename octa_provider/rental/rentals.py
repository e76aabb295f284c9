"""Rentals: sessions that are started exactly once, waited for, and stopped for certain.

A rental is known by its key, which names the work. Whoever starts a key that already has a session gets that session.
VPN sessions carry no environment and so no key: they are known by what was written down (`rental/intents.py`), and what
a lost answer may have left is told, never taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from octa_provider.errors import OctaConfigError
from octa_provider.rental.of_key import forget_claims, session_of_key, stop_key
from octa_provider.rental.reap import Reaped, reap
from octa_provider.rental.rental import Rental, rental_of
from octa_provider.rental.rental_starts import RentalStarts
from octa_provider.rental.running import OwnedSession, Running, of_uuid, running
from octa_provider.rental.stop import STOP_S
from octa_provider.rental.terms import Bill, Terms
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.limits import checked_seconds, usable_seconds

if TYPE_CHECKING:
    pass

log = plain_logger("octa_provider.rental.rentals")


class Rentals(RentalStarts):
    """`client.rentals`: one piece of work never rents twice and never leaves a machine billing."""

    def find(self, key: str) -> Rental | None:
        """The rental of a key, if it has an active session; the oldest one when it has several."""
        whole = self.full_key(key)
        found = session_of_key(self._api, whole)
        if found is None:
            return None
        session, claim = found
        rental = rental_of(self._api, session.uuid, session.rental_key or whole, session)
        return msgspec.structs.replace(rental, adopted=True, claim=claim)

    def running(self, *, max_age_s: float = 0.0) -> Running:
        """What the account has running, each with whose it is and what it has cost; those of others too.

        Args:
            max_age_s: how old the list may be, in seconds; all that ask in this process share one request in that time.
                0 asks now.

        Raises:
            OctaError: the API can't be reached, or refused the key.
        """
        return running(self._api, max_age_s=checked_seconds("max_age_s", max_age_s))

    def look_up(self, uuid: str) -> OwnedSession | None:
        """A session of the account that runs, or ended lately, with whose it is; None for any other.

        Args:
            uuid: the session.

        Raises:
            OctaError: the API can't be reached, or refused the key.
        """
        return of_uuid(self._api, uuid)

    def open(self, uuid: str, key: str | None = None) -> Rental:
        """A handle on a session by its uuid; no request is made.

        Args:
            uuid: the session.
            key: its rental key, with or without the namespace, where it is known.
        """
        return Rental(uuid=uuid, key=None if key is None else self.full_key(key), _api=self._api)

    def restore(self, state: Terms | Mapping[str, Any], *, to_stop: bool = False) -> Rental:
        """A handle from what `Rental.to_dict` returned, or from its terms; no request is made.

        Args:
            state: as `Rental.to_dict` gave it, perhaps in another process, or the terms themselves.
            to_stop: for a stop, which nothing may keep from happening: of a state that is damaged its uuid, and its key
                if it has one, are enough.

        Raises:
            OctaConfigError: it is not the state of a rental.
        """
        if isinstance(state, Terms):
            return Rental.of(state, self._api)
        try:
            return Rental.of(Terms.from_dict(state), self._api)
        except OctaConfigError as error:
            if not to_stop:
                raise
            needed = {name: state[name] for name in ("uuid", "key", "claim") if isinstance(state.get(name), str)}
            terms = Terms.from_dict(needed)
            log.warning("session %s is stopped by what can be read of its state: %s", terms.uuid, error)
            return Rental.of(terms, self._api)

    def stop(self, key: str, *, deadline_s: float = 300.0, leaves_kept: bool = False) -> tuple[Bill, ...]:
        """Stop every active session of a key; returns when they have been seen gone. No session is fine too.

        Args:
            key: the rental key, with or without the client's namespace. Without it, what an earlier release started
                under the key as it stands is stopped too.
            deadline_s: seconds to try for.
            leaves_kept: leave the sessions whose command failed, and that are kept for a look (`keep_failed_s`).

        Raises:
            OctaStopError: some were still running, or not seen gone, when the deadline passed.
            OctaStartUnclearError: what a lost request of the key has left can't be told from somebody else's; what
                tells the key was stopped.
        """
        whole = self.full_key(key)
        ended = stop_key(
            self._api, whole, bare_key=None if key == whole else key, deadline_s=deadline_s, leaves_kept=leaves_kept
        )
        return tuple(rental_of(self._api, uuid, whole, session).bill(session) for uuid, session in ended.items())

    def stop_only(
        self, uuid: str, *, key: str | None = None, score: int | None = None, deadline_s: float = 300.0
    ) -> Bill:
        """Stop one session and no other of its key; returns when it has been seen gone.

        What was written down of it, where it tells no key itself, as a VPN, is forgotten then.

        Args:
            uuid: the session.
            key: its rental key, whole, where it is known from what was written down; asked for when left out.
            score: what the machine was worth, 1 to 5.
            deadline_s: seconds to try for.

        Raises:
            OctaStopError: still running, or not seen gone, when the deadline passed. It bills until it is stopped.
        """
        bill = self.open(uuid).stop(score=score, deadline_s=deadline_s)
        forget_claims(self._api, uuid, key)
        return bill

    def reap(
        self,
        prefix: str = "",
        *,
        older_than_s: float = 0.0,
        max_age_s: float | None = None,
        is_alive: Callable[[str], bool | None] = lambda key: False,
        any_namespace: bool = False,
        dry_run: bool = True,
        deadline_s: float = 300.0,
    ) -> Reaped:
        """Find sessions of ours whose owner is gone, and stop them.

        A session without one of our keys is never touched. Nor is one of another namespace, unless asked for: it
        belongs to another installation that shares the account.

        Args:
            prefix: only keys that begin with it, by whole segments: `airflow/a` does not match `airflow/ab/...`. In the
                client's own namespace it is what follows the namespace, in another one the whole key.
            older_than_s: only sessions that have run so many seconds, as the API counts them.
            max_age_s: sessions of the own namespace that have run so many seconds are stopped although their owner
                lives: one that can't run, such as a task of a paused DAG, would let them bill for ever.
            is_alive: told a whole key, says whether its owner still lives: True, False, or None for an owner that it
                does not know. Such a one is gone in the own namespace, and alive in another. What raises counts as
                alive.
            any_namespace: other namespaces too, and what earlier releases started.
            dry_run: only say what would be stopped.
            deadline_s: seconds to try to stop for, all together.
        """
        return reap(
            self._api,
            prefix=prefix,
            older_than_s=checked_seconds("older_than_s", older_than_s),
            max_age_s=None if max_age_s is None else checked_seconds("max_age_s", max_age_s),
            is_alive=is_alive,
            any_namespace=any_namespace,
            dry_run=dry_run,
            deadline_s=usable_seconds("deadline_s", deadline_s, STOP_S),
        )
