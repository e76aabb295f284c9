"""The platform fails: answers that get lost, lists that lie, nodes that die, outages."""

from __future__ import annotations

import random
from typing import Any

from tests.chaos.fault_set import ANY, IN_FLIGHT, LATE_S, ONCE_POSTED, OUTAGE_S, START, STOP, FaultSet, anywhere


def _outage(rng: random.Random) -> list[dict[str, Any]]:
    kinds: list[dict[str, Any]] = [{"kind": "status", "status": 503}, {"kind": "drop_before", "reset": True}]
    return [{**rng.choice(kinds), **ANY, "times": None, "after": rng.randrange(12)}]


PLATFORM_FAULTS = (
    FaultSet("none", lambda rng: []),
    FaultSet("none, not killed", lambda rng: [], killed=False),
    FaultSet("drop_after on POST", lambda rng: [{"kind": "drop_after", **START, "reset": rng.random() < 0.5}]),
    FaultSet("drop_after anywhere", lambda rng: [anywhere(rng, kind="drop_after", reset=rng.random() < 0.5)]),
    FaultSet("drop_before anywhere", lambda rng: [anywhere(rng, kind="drop_before", reset=rng.random() < 0.5)]),
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
        overlap=IN_FLIGHT,
        overlap_after=ONCE_POSTED,
    ),
    FaultSet(
        "commit after the work's end, then reap",
        lambda rng: [{"kind": "late_commit", "seconds": 0.65, "answer": rng.choice((500, "drop", "hang"))}],
        late_s=0.65,
        # So that it still comes within the settle time of a try that is not killed.
        speed=20.0,
        overlap=IN_FLIGHT,
        overlap_after=ONCE_POSTED,
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
        overlap_after=ONCE_POSTED,
    ),
    FaultSet("5xx anywhere", lambda rng: [anywhere(rng, kind="status", status=rng.choice((500, 502, 503, 504)))]),
    FaultSet(
        "429 anywhere",
        lambda rng: [anywhere(rng, kind="status", status=429, retry_after=rng.choice((0, 1, 3)))],
    ),
    FaultSet(
        "slower than the timeout",
        lambda rng: [anywhere(rng, kind="delay", seconds=LATE_S, after_effect=rng.random() < 0.5)],
        late_s=LATE_S,
        overlap=IN_FLIGHT,
        overlap_after=ONCE_POSTED,
    ),
    FaultSet(
        "garbage anywhere",
        lambda rng: [
            anywhere(rng, kind="garbage", body=rng.choice(("<html>Bad gateway</html>", "", "[{", "null", '"ok"')))
        ],
    ),
    FaultSet("answer breaks off", lambda rng: [anywhere(rng, kind="truncate")]),
    FaultSet("refused with 200", lambda rng: [{"kind": "refuse", "times": rng.randint(1, 3)}]),
    FaultSet(
        "the stop's answer lies",
        lambda rng: [
            {
                "kind": "status",
                "status": rng.choice((200, 404)),
                **STOP,
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
)
