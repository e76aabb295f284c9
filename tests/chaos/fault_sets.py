"""The rows of the campaign: what goes wrong besides the kill, and what is promised then."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

START = {"method": "POST", "path": "^/services/mr$"}
ANY = {"method": "*", "path": "*"}

#: Real seconds. An effect that comes late comes well within the settle time (20 s of the client's, 0.5 s of ours), and
#: before the next try's session can have ended, which takes 0.3 s to come up and run its command.
LATE_S = 0.22
OUTAGE_S = 0.6


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
        tries_at_once: how many tries begin together.
        outage_s: real seconds after which the faults are lifted; 0 for never.
        speed: how many seconds of the client's waiting pass in a real one.
        killed: whether the first try is killed.
        promised: False where the design promises nothing: then it is measured, and reported as its own row.
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


def _anywhere(rng: random.Random, **spec: Any) -> dict[str, Any]:
    """At one request of the work, whichever it is: at the start as often as at all others together."""
    if rng.random() < 0.5:
        return {**START, **spec}
    return {**ANY, "after": rng.randrange(14), "times": rng.randint(1, 3), **spec}


def _outage(rng: random.Random) -> list[dict[str, Any]]:
    kinds: list[dict[str, Any]] = [{"kind": "status", "status": 503}, {"kind": "drop_before", "reset": True}]
    return [{**rng.choice(kinds), **ANY, "times": None, "after": rng.randrange(12)}]


_IN_FLIGHT = "the killed try's POST takes effect after the next try has begun"
_ONCE_POSTED = "POST"

FAULT_SETS = (
    FaultSet("none", lambda rng: []),
    FaultSet("none, not killed", lambda rng: [], killed=False),
    FaultSet("drop_after on POST", lambda rng: [{"kind": "drop_after", **START, "reset": rng.random() < 0.5}]),
    FaultSet("drop_after anywhere", lambda rng: [_anywhere(rng, kind="drop_after", reset=rng.random() < 0.5)]),
    FaultSet("drop_before anywhere", lambda rng: [_anywhere(rng, kind="drop_before", reset=rng.random() < 0.5)]),
    FaultSet(
        "500, yet committed",
        lambda rng: [{"kind": "status", "status": rng.choice((500, 502, 504)), "effect": True, **START}],
    ),
    FaultSet(
        "late commit",
        lambda rng: [
            {
                "kind": "late_commit",
                "seconds": round(rng.uniform(0.02, LATE_S), 3),
                "answer": rng.choice((500, 503, "drop", "hang")),
            }
        ],
        late_s=LATE_S,
        overlap=_IN_FLIGHT,
        overlap_after=_ONCE_POSTED,
    ),
    FaultSet(
        "commit after the work's end, then reap",
        lambda rng: [{"kind": "late_commit", "seconds": 0.65, "answer": rng.choice((500, "drop", "hang"))}],
        late_s=0.65,
        # So that it still comes within the settle time of a try that is not killed.
        speed=20.0,
        overlap=_IN_FLIGHT,
        overlap_after=_ONCE_POSTED,
        reaped=True,
    ),
    FaultSet(
        "listed late",
        lambda rng: [
            {"kind": "late_listing", "seconds": round(rng.uniform(0.02, LATE_S), 3)},
            {"kind": "drop_after", **START},
        ],
        late_s=LATE_S,
        overlap="the list does not show the killed try's session yet",
        overlap_after=_ONCE_POSTED,
    ),
    FaultSet("5xx anywhere", lambda rng: [_anywhere(rng, kind="status", status=rng.choice((500, 502, 503, 504)))]),
    FaultSet(
        "429 anywhere",
        lambda rng: [_anywhere(rng, kind="status", status=429, retry_after=rng.choice((0, 1, 3)))],
    ),
    FaultSet(
        "slower than the timeout",
        lambda rng: [_anywhere(rng, kind="delay", seconds=LATE_S, after_effect=rng.random() < 0.5)],
        late_s=LATE_S,
        overlap=_IN_FLIGHT,
        overlap_after=_ONCE_POSTED,
    ),
    FaultSet(
        "garbage anywhere",
        lambda rng: [
            _anywhere(rng, kind="garbage", body=rng.choice(("<html>Bad gateway</html>", "", "[{", "null", '"ok"')))
        ],
    ),
    FaultSet("answer breaks off", lambda rng: [_anywhere(rng, kind="truncate")]),
    FaultSet("refused with 200", lambda rng: [{"kind": "refuse", "times": rng.randint(1, 3)}]),
    FaultSet(
        "the stop's answer lies",
        lambda rng: [
            {
                "kind": "status",
                "status": rng.choice((200, 404)),
                "method": "POST",
                "path": "^/services/[^/]+/stop$",
                "times": rng.randint(1, 3),
            }
        ],
    ),
    FaultSet("entries twice", lambda rng: [{"kind": "duplicate_entry", "all": True, "times": None}]),
    FaultSet(
        "an entry is missing",
        lambda rng: [{"kind": "missing_entry", "after": rng.randrange(5), "times": 1}],
        overlap="the list that the next try begins with lacks the session",
    ),
    FaultSet(
        "the session dies",
        lambda rng: [{"kind": "node_dies", "seconds": round(rng.uniform(0.0, 0.4), 3)}],
    ),
    FaultSet("the API is down for minutes", _outage, outage_s=OUTAGE_S, speed=400.0),
    FaultSet(
        "two tries at once", lambda rng: [], tries_at_once=2, overlap="two concurrent starts, until one resolves it"
    ),
    FaultSet(
        "two tries at once, POST dropped",
        lambda rng: [{"kind": "drop_after", **START, "times": rng.randint(1, 2)}],
        tries_at_once=2,
        overlap="two concurrent starts, until one resolves it",
    ),
    FaultSet(
        "user_envs not echoed, not killed",
        lambda rng: [
            {"kind": "no_user_envs", "times": None, "form": rng.choice(("missing", "null"))},
            *rng.choice(([], [{"kind": "drop_after", **START}], [{"kind": "status", "effect": True, **START}])),
        ],
        killed=False,
    ),
    FaultSet(
        "user_envs not echoed, killed",
        lambda rng: [{"kind": "no_user_envs", "times": None, "form": rng.choice(("missing", "null"))}],
        overlap="nothing tells the next try whose the session is",
        promised=False,
    ),
)

BY_NAME = {fault_set.name: fault_set for fault_set in FAULT_SETS}
