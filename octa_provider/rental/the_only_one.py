"""A session that has just started: whether it is the only one of its key, and costs what it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.errors import OctaError, Refusal
from octa_provider.models import SessionPhase
from octa_provider.rental.cost import too_dear
from octa_provider.rental.start_try import CLEAN_UP_S
from octa_provider.rental.started import Started
from octa_provider.rental.stop import sweep
from octa_provider.rental.twins import oldest
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import ask_until, is_transient
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.models import Machine, Records, Session, VpnMachine
    from octa_provider.rental.start_try import StartTry
    from octa_provider.rental.under_key import UnderKey

__all__ = ["TheOnlyOne"]

log = plain_logger("octa_provider.rental.the_only_one")


class TheOnlyOne:
    """Makes sure that one session is left of a key that has just been started.

    Args:
        start: the try.
        under_key: the sessions of the key.
    """

    def __init__(self, start: StartTry, under_key: UnderKey) -> None:
        self._start = start
        self._under_key = under_key

    def of(self, uuid: str, adopted: bool, machine: Machine | VpnMachine) -> Started | Refusal:
        """A session runs: is it the only one of its key, does it tell its key, and does it cost what it should?

        Args:
            uuid: the session.
            adopted: whether its answer was lost on the way.
            machine: that it was asked of.

        Returns:
            The rental, which may be an older session of the key; or why this one was stopped.
        """
        start = self._start
        claim: str | None = start.lost.started(uuid)
        started = Started(uuid, None, adopted, machine, claim)
        start.tell(started)
        start.refuse_cancelled()
        try:
            sessions = self._listed_with(uuid)
        except OctaError as error:
            if not is_transient(error):
                raise
            log.warning(
                "whether %s has other sessions can't be seen now; its stop will look again: %s", start.key, error
            )
            return started
        own = next((s for s in sessions if s.uuid == uuid), None)
        if own is None:
            # Not listed yet.
            mine = self._under_key.mine(sessions)
        else:
            dear = too_dear(own, start.requirements.max_price_usd)
            if dear is not None:
                return self._too_dear(own, dear)
            if own.rental_key is not None:
                start.lost.settled()
                claim = None
            started = Started(uuid, own, adopted, machine, claim)
            mine = self._under_key.mine(sessions)
        living = [s for s in mine if s.phase is not SessionPhase.STOPPING]
        if not [s for s in living if s.uuid != uuid]:
            return started
        keep = oldest(living)
        assert keep is not None
        if not start.is_wanted(keep):
            raise self._under_key.two_works()
        self._under_key.keep_oldest(living, also=uuid)
        if keep.uuid == uuid:
            return started
        older = Started(keep.uuid, keep, True, None)
        start.lost.settled()
        start.tell(older)
        return older

    def _listed_with(self, uuid: str) -> Records[Session]:
        """A list that shows our session, so that it also shows those that began before; asked until it is settled.

        While a list lags behind, two tries at once would each take theirs for the only one.
        """
        start = self._start
        settled = Deadline(start.api.clock, start.settle_s)
        while True:
            last_look = settled.passed
            sessions = ask_until(start.deadline.earlier(max(start.settle_s, 1.0)), start.octa.sessions.list)
            if last_look or any(s.uuid == uuid for s in sessions):
                start.nodes.saw(sessions)
                return sessions
            settled.pause(max(0.1, min(1.0, start.settle_s / 10)))
            start.refuse_cancelled()

    def _too_dear(self, session: Session, why: str) -> Refusal:
        """Stop what costs more than it may, and say so for this machine."""
        start = self._start
        log.warning("session %s on node %s: %s; it is stopped", session.uuid, session.node_id, why)
        until_s = max(CLEAN_UP_S, start.deadline.left_s)
        ended = sweep(start.api, uuids=[session.uuid], key=None, deadline_s=until_s).get(session.uuid)
        start.replaced.add(session, ended, why, is_sure=False)
        start.lost.settled()
        return Refusal(session.node_id, why)
