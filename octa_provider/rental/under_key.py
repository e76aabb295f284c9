"""What runs under a key already: it is adopted where it is what is wanted, and stopped where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from octa_provider.errors import OctaConfigError, OctaStopError
from octa_provider.models import SessionPhase
from octa_provider.rental.cost import too_dear
from octa_provider.rental.kept import forget_ended, forget_kept, kept_under
from octa_provider.rental.key import earlier_forms
from octa_provider.rental.mark import RentalMark, runs_under
from octa_provider.rental.started import Started
from octa_provider.rental.stop import stop_command, sweep
from octa_provider.rental.twins import oldest
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.start_try import StartTry

__all__ = ["UnderKey"]

log = plain_logger("octa_provider.rental.under_key")


class UnderKey:
    """The sessions of the key that a try starts.

    Args:
        start: the try.
    """

    def __init__(self, start: StartTry) -> None:
        self._start = start
        self._kept: dict[str, float] = {}

    def existing(self) -> Started | None:
        """The rental to adopt, if there is one.

        A session that is being stopped is waited out. One that was started for something else, or is too dear, is
        stopped; when there is another such one then, two different pieces of work share the key.
        """
        start = self._start
        replaced: set[str] = set()
        settled, is_looked_up = Deadline(start.api.clock, start.settle_s), False
        while True:
            sessions = start.listed()
            mine = self.mine(sessions)
            self._stop_what_was_kept_long_enough(sessions)
            if not is_looked_up:
                is_looked_up = True
                forget_ended(start.octa, sessions, start.key)
            living = [session for session in mine if session.phase is not SessionPhase.STOPPING]
            recalled = None if mine else start.lost.recall(sessions, start.deadline, may_wait=not settled.passed)
            keep = oldest(living) if recalled is None else recalled[1]
            if keep is not None:
                why = self.why_not(keep, None if recalled is None else recalled[0].fingerprint)
                if why is None:
                    return self.adopt(living or [keep], None if recalled is None else recalled[0].attempt)
                if replaced and keep.uuid not in replaced:
                    raise self.two_works()
                log.warning("session %s of %s: %s; it is stopped, and another one started", keep.uuid, start.key, why)
                own = living or [keep]
                replaced |= {session.uuid for session in own}
                start.replaces |= replaced
                ended = sweep(start.api, uuids=replaced, key=None, deadline_s=max(1.0, start.deadline.left_s))
                for session in own:
                    if self._is_own_work(session, None if recalled is None else recalled[0].fingerprint):
                        start.replaced.add(session, ended.get(session.uuid), f"{why}, so another took its place")
            elif mine:
                if start.deadline.passed:
                    raise OctaStopError(
                        f"session {mine[0].uuid} of {start.key} is still being stopped after {start.deadline_s:g} s, "
                        f"so nothing new was started. Run: {stop_command([mine[0].uuid])}",
                        uuids=[session.uuid for session in mine],
                    )
                log.info("session %s of %s is being stopped: waiting until it is gone", mine[0].uuid, start.key)
                start.deadline.pause(1.0)
            elif start.lost.pending and not settled.passed:
                settled.pause(max(0.1, min(1.0, start.settle_s / 10)))
            else:
                return None
            start.refuse_cancelled()

    def mine(self, sessions: Iterable[Session]) -> list[Session]:
        """The sessions of this key, also those that an earlier release started under what it called it then."""
        key, namespace = self._start.key, self._start.api.namespace
        earlier = earlier_forms(key, namespace)
        found = [
            session
            for session in sessions
            if runs_under(session, key, namespace)
            # Other work under that name is left alone: it may be another installation's.
            or (session.rental_key in earlier and RentalMark.of(session) is None and self._is_same_work(session))
        ]
        # One whose work has failed, and that is kept for a look, is no session to adopt, nor in the way of another.
        self._kept = kept_under(self._start.api, key) if found else {}
        return [session for session in found if session.uuid not in self._kept]

    def _stop_what_was_kept_long_enough(self, sessions: Iterable[Session]) -> None:
        start, now = self._start, self._start.api.clock.time()
        over = [s.uuid for s in sessions if (until := self._kept.get(s.uuid)) is not None and now >= until]
        if over:
            log.warning("%s of %s is kept no longer, and stopped", ", ".join(over), start.key)
            sweep(start.api, uuids=over, key=None, deadline_s=max(1.0, start.deadline.left_s))
            forget_kept(start.api, start.key, over)

    def why_not(self, session: Session, fingerprint: str | None = None) -> str | None:
        """Why a session of the key can't be adopted; None when it can.

        Args:
            session: one of the key.
            fingerprint: of what it was started for, where it does not tell that itself.
        """
        if not self._is_own_work(session, fingerprint):
            return "it was started for something else"
        return too_dear(session, self._start.requirements.max_price_usd)

    def _is_own_work(self, session: Session, fingerprint: str | None) -> bool:
        return self._start.is_wanted(session) if fingerprint is None else fingerprint == self._start.fingerprint

    def two_works(self) -> OctaConfigError:
        """The error for a key under which something else runs at the same time."""
        return OctaConfigError(
            f"the key {self._start.key} is used for two different pieces of work at the same time: give each its own, "
            "or each installation on this account a namespace of its own"
        )

    def adopt(self, mine: Sequence[Session], claim: str | None = None) -> Started:
        """Take the oldest of these for this try's own; when that was cancelled, stop the key.

        Args:
            mine: sessions of the key.
            claim: the earlier try whose intent has become this session, where it does not tell its key.

        Raises:
            OctaCancelledError: nobody wants it any more; nothing of the key runs.
        """
        start = self._start
        keep = self.keep_oldest(mine)
        if claim is not None:
            claim = start.lost.claim(claim, keep.uuid)
        started = Started(keep.uuid, keep, True, None, claim)
        start.lost.told(mine)
        log.info("adopted session %s of %s, posted nothing", keep.uuid, start.key)
        start.tell(started)
        if start.is_cancelled():
            start.stop_key()
            start.refuse_cancelled()
        return started

    def keep_oldest(self, mine: Sequence[Session], also: str | None = None) -> Session:
        """Of several sessions of the key the oldest; the others are stopped by whoever sees them.

        Args:
            mine: sessions of the key.
            also: one more that may have to go, by its uuid.
        """
        start = self._start
        keep = oldest(mine)
        assert keep is not None
        extra = {s.uuid for s in mine} | ({also} if also is not None else set())
        extra.discard(keep.uuid)
        if extra:
            log.warning("%s has several sessions: %s stays, %s are stopped", start.key, keep.uuid, ", ".join(extra))
            try:
                ended = sweep(start.api, uuids=extra, key=None, deadline_s=max(1.0, start.deadline.left_s))
                for session in mine:
                    if session.uuid in extra and self._is_same_work(session):
                        why = "two ran at once, and the older one stayed"
                        start.replaced.add(session, ended.get(session.uuid), why, is_sure=False)
            except OctaStopError as error:
                log.warning("the rental's stop will try again: %s", error)
        return keep

    def _is_same_work(self, session: Session) -> bool:
        try:
            return self._start.is_wanted(session)
        except OctaConfigError as error:
            log.info("session %s is not taken for an earlier one of %s: %s", session.uuid, self._start.key, error)
            return False
