"""One call of `Rentals.start`: what it was given, and what it comes to know on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from octa_provider.errors import OctaCancelledError
from octa_provider.market.node_memory import nodes_of
from octa_provider.market.request import VpnRequest
from octa_provider.rental.leaving import Leaving
from octa_provider.rental.lost_answer import LostAnswers
from octa_provider.rental.mark import RentalMark, replaces_envs
from octa_provider.rental.replaced import Replaced
from octa_provider.rental.stop import sweep
from octa_provider.rental.tried_machine import all_before
from octa_provider.rental.tried_mark import tried_envs, tried_in
from octa_provider.timing.asking import ask_until
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.market.request import Request
    from octa_provider.market.requirements import Requirements
    from octa_provider.models import Records, Session
    from octa_provider.rental.rental_api import RentalApi
    from octa_provider.rental.started import Started

__all__ = ["CLEAN_UP_S", "StartTry"]

#: A clean-up may take so long: whoever ends us, such as an orchestrator that cancels, kills us soon after.
CLEAN_UP_S = 30.0


@dataclass
class StartTry:
    """One try to start a key; its time runs from when it is made.

    Attributes:
        api: the API, and the store of intents.
        request: what to rent.
        key: the rental key, whole.
        requirements: which machine.
        settle_s: seconds to look for a session after an answer that leaves it unclear whether one was started.
        deadline_s: seconds to try for, through outages.
        max_cost_usd: what the session may cost, and those whose place it takes.
        max_duration_s: seconds that the balance has to pay for.
        fingerprint: tells this work from other work under the same key.
        attempt: names this try in the session's environment; a random name for None.
        is_wanted: whether a session that runs under the key is the one that is wanted.
        on_started: called as soon as the session's uuid is known.
        is_cancelled: asked before and after every step that spends money: nobody wants the key any more.
        leaving: tells whether this try alone is given up; None for never.
        replaces: sessions that were stopped before, by their uuids, those that this try stops among them: what it
            starts takes their place, should a list still show one.
        replaced: those of them that were the same work, with what each has cost.
        catalogue_age_s: how old the catalogue may be, in seconds; 0 reads it for this try alone.
        asks_again: whether machines are asked that have just refused; one of many tries in a row leaves them alone.
        mark: what the session carries beside its key.
        deadline: until when to try.
        octa: the API, whose requests keep to the deadline.
        nodes: what is known of the account's machines, by every start of this process.
        lost: the intents of this try, and of earlier ones.
        sessions: the account's active sessions, as they were last listed.
        uuids: sessions that an answer to this very try told of.
        is_unclear: whether a request is under way whose answer nobody knows yet.
        has_asked: whether any machine has been asked.
    """

    api: RentalApi
    request: Request
    key: str
    requirements: Requirements
    settle_s: float
    deadline_s: float
    max_cost_usd: float | None
    max_duration_s: float | None
    fingerprint: str
    attempt: str | None
    is_wanted: Callable[[Session], bool]
    on_started: Callable[[Started], object] | None
    is_cancelled: Callable[[], bool]
    catalogue_age_s: float = 0.0
    asks_again: bool = True
    leaving: Leaving | None = None
    replaces: set[str] = field(default_factory=set)
    replaced: Replaced = field(default_factory=Replaced)
    sessions: Records[Session] = field(init=False, repr=False)
    uuids: list[str] = field(default_factory=list, init=False)
    is_unclear: bool = field(default=False, init=False)
    has_asked: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.mark = RentalMark.new(self.fingerprint, self.api.namespace, self.attempt)
        self.deadline = Deadline(self.api.clock, self.deadline_s)
        self.octa = self.api.within(self.deadline)
        self.nodes = nodes_of(self.api.transport.account, self.api.clock)
        self.lost = LostAnswers(self.api, self.key, self.mark, self.request.service, self.settle_s)

    def is_unwanted(self) -> bool:
        """Whether this try is to end: its key is cancelled, or whoever made it leaves."""
        return self.is_cancelled() or (self.leaving is not None and self.leaving.is_leaving())

    def refuse_cancelled(self) -> None:
        """Raise OctaCancelledError when this try is to end."""
        if self.is_cancelled():
            raise OctaCancelledError(f"starting {self.key} was cancelled; nothing of it runs")
        if self.leaving is not None and self.leaving.is_leaving():
            raise OctaCancelledError(f"starting {self.key} was given up, since whoever wanted it leaves")

    @property
    def cap_usd(self) -> float | None:
        """What the session may cost, after those whose place it takes; raises OctaBudgetError where that is nothing."""
        return self.replaced.cap_usd(self.max_cost_usd)

    def telling_of_those_before(self, request: Request) -> Request:
        """The request, by which the session tells whose place it takes: whoever finds it knows, whoever died meanwhile.

        Args:
            request: what to rent.
        """
        if isinstance(request, VpnRequest):
            return request
        tried = all_before(tried_in(request.envs), self.replaced.machines)
        return request.with_envs(replaces_envs(sorted(self.replaces)) | tried_envs(tried))

    def listed(self) -> Records[Session]:
        """The account's active sessions, asked for until the deadline."""
        sessions = ask_until(self.deadline, self.octa.sessions.list)
        self.nodes.saw(sessions)
        self.sessions = sessions
        return sessions

    def is_own(self, session: Session) -> bool:
        """Whether this very try has started it; one that tells nothing has just been reckoned to be."""
        mark = RentalMark.of(session)
        return session.rental_key is None if mark is None else mark.attempt == self.mark.attempt

    def tell(self, started: Started) -> None:
        """Tell whoever asked to be told what has been started."""
        if self.on_started is not None:
            self.on_started(started)

    @property
    def clean_up_s(self) -> float:
        """Seconds that cleaning up may take."""
        return max(CLEAN_UP_S, self.settle_s)

    def stop_own(self) -> None:
        """Stop what this try has started, be it listed only now, and nobody else has taken up."""
        deadline = Deadline(self.api.clock, self.clean_up_s)
        sessions = ask_until(deadline, self.api.within(deadline).sessions.list) if self.has_asked else ()
        listed = [one.uuid for one in sessions if one.rental_key == self.key and self.is_own(one)]
        assert self.leaving is not None
        own = [uuid for uuid in dict.fromkeys((*self.uuids, *listed)) if not self.leaving.is_taken(uuid)]
        if own:
            sweep(self.api, uuids=own, key=None, deadline_s=self.clean_up_s)

    def stop_key(self) -> None:
        """Stop what this try has started, and every other session of the key."""
        sweep(self.api, uuids=tuple(self.uuids), key=self.key, deadline_s=self.clean_up_s)
