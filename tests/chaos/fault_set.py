"""One row of the campaign: what goes wrong besides the end of the first try, and what is promised then."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

START = {"method": "POST", "path": "^/services/mr$"}
STOP = {"method": "POST", "path": "^/services/[^/]+/stop$"}
ANY = {"method": "*", "path": "*"}

#: Real seconds. An effect that comes late comes well within the settle time (20 s of the client's, 0.5 s of ours), and
#: before the next try's session can have ended, which takes 0.3 s to come up and run its command.
LATE_S = 0.22
OUTAGE_S = 0.6

IN_FLIGHT = "the killed try's POST takes effect after the next try has begun"
ONCE_POSTED = "POST"


@dataclass(frozen=True)
class FaultSet:
    """One row.

    Attributes:
        name: what goes wrong.
        specs: the emulator's faults of one run, drawn from its generator.
        late_s: real seconds after which an effect may still come.
        overlap: why two sessions of one key may run at the same time until one start resolves it; empty for never.
        overlap_after: only when the first try was killed in its start, at a boundary whose name holds this.
        reaped: whether `reap` has to clear up in the end.
        tries_at_once: how many tries of each installation begin together.
        outage_s: real seconds after which the faults are lifted; 0 for never.
        speed: how many seconds of the client's waiting pass in a real one.
        killed: whether the first try is killed.
        signals: with what instead of SIGKILL, one of these; what it leaves behind then is told before the next try.
        signals_again: whether a second one follows soon.
        market: which machines are on offer: a name in `tests.chaos.ground.MARKETS`.
        max_price_usd: the dearest machine that the work may run on, in USD per hour.
        installations: how many share the account, and do the same work at the same time.
        shared_state: whether they keep what they have written down in the same folder.
        tellable: False where nothing tells whose a session is: then it may stay, if an error shows its uuid.
        reapers: what reaps while the work is done: "owners", who know the owners of their own installation alone, or
            "ages", for which every owner is gone and only what has run for an hour is old; empty for none.
        jumps: whether the wall clock jumps by hours, between tries and within each.
        promised: False where nothing can be promised: then it is measured, and reported as its own row.
    """

    name: str
    specs: Callable[[random.Random], list[dict[str, Any]]]
    late_s: float = 0.0
    overlap: str = ""
    overlap_after: str = ""
    reaped: bool = False
    tries_at_once: int = 1
    outage_s: float = 0.0
    speed: float = 40.0
    killed: bool = True
    signals: tuple[str, ...] = ()
    signals_again: bool = False
    market: str = "wide"
    max_price_usd: float = 5.0
    installations: int = 1
    shared_state: bool = True
    tellable: bool = True
    reapers: str = ""
    jumps: bool = False
    promised: bool = True

    def may_run_at_once(self, killed_at: str | None) -> int:
        """How many sessions of one key may run at the same time, until a start resolves it."""
        if not self.overlap:
            return 1
        if self.tries_at_once > 1:
            return 2
        if self.overlap_after and (killed_at is None or not killed_at.startswith("start")):
            return 1
        return 2 if killed_at is not None and self.overlap_after in killed_at else 1


def anywhere(rng: random.Random, **spec: Any) -> dict[str, Any]:
    """At one request of the work, whichever it is: at the start as often as at all others together."""
    if rng.random() < 0.5:
        return {**START, **spec}
    return {**ANY, "after": rng.randrange(14), "times": rng.randint(1, 3), **spec}


def lost_answer(rng: random.Random) -> dict[str, Any]:
    """A start that may have taken place, and whose answer does not say so."""
    answer: dict[str, Any] = rng.choice(
        (
            {"kind": "drop_after", **START, "reset": rng.random() < 0.5},
            {"kind": "status", "status": rng.choice((500, 502, 504)), "effect": True, **START},
            {
                "kind": "late_commit",
                "seconds": round(rng.uniform(0.02, LATE_S), 3),
                "answer": rng.choice((500, 503, "drop", "hang")),
            },
        )
    )
    return answer
