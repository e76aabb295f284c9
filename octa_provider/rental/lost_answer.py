"""Which session a request may have left whose answer nobody has, where sessions do not echo their environment.

A session with an echo tells its rental key. Without one it can only be reckoned, by what was written down before the
request: `left_session` has the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from octa_provider.errors import OctaError, OctaNotFoundError, OctaStartUnclearError
from octa_provider.models import SessionPhase
from octa_provider.rental.intents import EXPIRES_S, Intent
from octa_provider.rental.left_session import could_be_left, the_one_left
from octa_provider.rental.mark import RentalMark
from octa_provider.rental.stop import stop_command
from octa_provider.text.loggers import plain_logger
from octa_provider.timing.asking import ask_until
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi

__all__ = ["LostAnswers", "reckoned"]

log = plain_logger("octa_provider.rental.lost_answer")

#: The account's recent sessions are asked for so long.
RECENT_S = 10.0


class LostAnswers:
    """The intents of one call of `start`: its own, and those that earlier tries of its key left.

    Args:
        api: the API, and the store of intents.
        key: the rental key, whole.
        mark: of this try.
        service: what is rented.
        settle_s: seconds to look for a session after an answer that leaves it unclear whether one was started.

    Attributes:
        pending: after `recall`: whether a session of an earlier try, perhaps one that runs now, may still appear.
    """

    def __init__(self, api: RentalApi, key: str, mark: RentalMark, service: str, settle_s: float) -> None:
        self._api = api
        self._store = api.intents
        self._key = key
        self._mark = mark
        self._service = service
        self._settle_s = settle_s
        self._own: Intent | None = None
        self.pending = False

    def about_to_ask(self, node_id: int, sessions: Iterable[Session]) -> None:
        """Write down which machine is asked next, and what runs there already.

        Args:
            node_id: the machine.
            sessions: the account's active sessions.
        """
        before = tuple(s.uuid for s in sessions if s.node_id == node_id and s.service == self._service)
        self._own = Intent(
            attempt=self._mark.attempt,
            fingerprint=self._mark.fingerprint,
            service=self._service,
            node_id=node_id,
            before=before,
            at=self._api.clock.time(),
            boot=self._api.clock.boot,
            counted=self._api.clock.monotonic(),
            namespace=self._api.namespace,
        )
        self._store.put(self._key, self._own)

    def started(self, uuid: str) -> str:
        """Write down that the API has told the uuid. Returns what the rental has to remember: `Rental.claim`."""
        assert self._own is not None
        self._own = self._own.started(uuid)
        self._store.put(self._key, self._own)
        return self._own.attempt

    def claim(self, attempt: str, uuid: str) -> str:
        """Write down that an earlier try's intent has become a session that this one adopts.

        Args:
            attempt: the earlier try.
            uuid: the session.
        """
        for intent in self._store.read(self._key):
            if intent.attempt == attempt and intent.uuid is None:
                self._store.put(self._key, intent.started(uuid))
        return attempt

    def told(self, sessions: Iterable[Session]) -> None:
        """Forget the intents of the tries that started these sessions: they tell their key and mark themselves."""
        for session in sessions:
            mark = RentalMark.of(session)
            if mark is not None:
                self._store.remove(self._key, mark.attempt)

    def settled(self) -> None:
        """Forget this try's intent: its session tells its key, or there is none."""
        if self._own is not None:
            self._store.remove(self._key, self._own.attempt)
            self._own = None

    def left_for_certain(self, sessions: Sequence[Session]) -> Session | None:
        """The session that counts as left by this try's own request; raises OctaStartUnclearError when in doubt."""
        return None if self._own is None else self.left_by(self._own, sessions)

    def recall(
        self, sessions: Sequence[Session], deadline: Deadline, *, may_wait: bool = False
    ) -> tuple[Intent, Session] | None:
        """The session that an earlier try of this key has left, with what it had written down.

        Args:
            sessions: the account's active sessions.
            deadline: until when to ask for a session that the list does not show.
            may_wait: whether it is `pending`, and no error, that another key's request may still tell what it started.

        Raises:
            OctaStartUnclearError: whose it is can't be told.
        """
        self.pending = False
        for intent in self._store.read(self._key):
            if may_wait and intent.uuid is None and self._is_contested(intent, self._could_be_left(intent, sessions)):
                self.pending = True
                continue
            session = self._of(intent, sessions, deadline)
            # One that tells a key is adopted by that, or is not ours.
            if session is not None and session.rental_key is None:
                return intent, session
            if self._may_appear(intent):
                self.pending = True
            else:
                self._store.remove(self._key, intent.attempt)
        return None

    def left_by(self, intent: Intent, sessions: Sequence[Session]) -> Session | None:
        """The session that counts as left by an intent's request; raises OctaStartUnclearError when in doubt.

        Args:
            intent: the request, as it was before it was sent.
            sessions: the account's active sessions.
        """
        left = self._could_be_left(intent, sessions)
        return the_one_left(left, intent, self._key, is_contested=self._is_contested(intent, left))

    def _may_appear(self, intent: Intent) -> bool:
        # A clock that was set back must not make us wait for a day.
        return intent.uuid is None and abs(intent.age_s(self._api.clock)) <= self._settle_s

    def _of(self, intent: Intent, sessions: Sequence[Session], deadline: Deadline) -> Session | None:
        if intent.uuid is None:
            try:
                return self.left_by(intent, sessions)
            except OctaStartUnclearError:
                if intent.age_s(self._api.clock) > EXPIRES_S:
                    # It has been told of; a stranger's session must not keep this key from starting for ever.
                    return None
                raise
        listed = next((session for session in sessions if session.uuid == intent.uuid), None)
        if listed is not None:
            return listed
        try:
            session = ask_until(deadline, self._api.within(deadline).services.session(intent.uuid).info)
        except OctaNotFoundError:
            return None
        return None if session.phase is SessionPhase.FINISHED else session

    def _could_be_left(self, intent: Intent, sessions: Sequence[Session]) -> list[Session]:
        find = partial(
            could_be_left,
            sessions,
            intent,
            key=self._key,
            claimed=self._store.claimed(),
            age_s=intent.age_s(self._api.clock),
        )
        found = find()
        if found or intent.service == "vpn":
            return found
        emptied = find(is_emptied=True)
        if not emptied or _empties_environments(self._api, sessions, emptied):
            return emptied
        uuids = [session.uuid for session in emptied]
        log.warning(
            "%s began on node %s since the lost request for %s, and shows an environment without anything in it: it is "
            "taken for somebody else's. Should it be yours, run: %s",
            ", ".join(uuids),
            intent.node_id,
            self._key,
            stop_command(uuids),
        )
        return []

    def _is_contested(self, intent: Intent, left: Sequence[Session]) -> bool:
        """Whether another key's request, whose session is not known either, may have started one of these."""
        if not left:
            return False
        return any(
            could_be_left(left, rival, key=key, claimed={}, age_s=rival.age_s(self._api.clock), is_emptied=True)
            for key, rival in self._store.pending()
            if key != self._key
        )


def reckoned(api: RentalApi, sessions: Sequence[Session]) -> Mapping[str, str]:
    """Sessions that tell no key, and that can be told all the same to be what lost requests have left: uuid to key.

    What can't be told is logged with its command.

    Args:
        api: the API, and the store of intents.
        sessions: the account's active sessions.
    """
    found: dict[str, str] = {}
    for key, intent in api.intents.pending():
        lost = LostAnswers(api, key, RentalMark("", intent.attempt), intent.service, 0.0)
        try:
            session = lost.left_by(intent, sessions)
        except OctaStartUnclearError as error:
            log.warning("%s", error)
            continue
        if session is not None:
            found[session.uuid] = key
    return found


def _empties_environments(api: RentalApi, sessions: Iterable[Session], found: Iterable[Session]) -> bool:
    """Whether the API tells every environment as empty, as far as the account's other sessions show."""
    try:
        recent = api.within(Deadline(api.clock, RECENT_S)).sessions.list(recent=True)
    except OctaError as error:
        log.info("what other sessions tell can't be read: %s", error)
        return False
    asked = {session.uuid for session in found}
    others = [s for s in (*sessions, *recent) if s.service != "vpn" and s.uuid not in asked]
    return bool(others) and not any(s.user_envs for s in others)
