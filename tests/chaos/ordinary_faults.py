"""Ordinary life: two installations, one machine, a closed terminal, dearer prices, clocks, an API that echoes less."""

from __future__ import annotations

import random
from typing import Any

from tests.chaos.fault_set import IN_FLIGHT, LATE_S, START, STOP, FaultSet, lost_answer
from tests.chaos.platform_faults import PLATFORM_FAULTS

#: Rows whose faults are also met by two installations: all but those that need a pace or a clean-up of their own.
_MET_BY_TWO = [row for row in PLATFORM_FAULTS if not (row.outage_s or row.reaped or row.tries_at_once > 1)]

_TERMINAL = ("SIGHUP", "SIGQUIT", "SIGHUP", "SIGTERM", "SIGINT")
_AT_ONCE = "two concurrent starts, until one resolves it"
_ANY_LIST = {"method": "GET", "path": "^/sessions$"}


def _not_echoed(rng: random.Random) -> dict[str, Any]:
    return {"kind": "no_user_envs", "times": None, "form": rng.choice(("missing", "null"))}


def _dearer(rng: random.Random) -> dict[str, Any]:
    return {"kind": "raise_price", "factor": rng.choice((1.5, 20, 100)), "times": rng.randint(1, 3)}


def _lists_that_miss(rng: random.Random) -> dict[str, Any]:
    """A list of either kind that lacks an active session, or all of them: once, or for a while."""
    everyone = {"all": True} if rng.random() < 0.5 else {}
    return {"kind": "missing_entry", **_ANY_LIST, "after": rng.randrange(8), "times": rng.randint(1, 4), **everyone}


ORDINARY_FAULTS = (
    # -- whose machine is it --------------------------------------------------------------------------------------
    FaultSet("two installations", lambda rng: [], installations=2, reapers="owners"),
    FaultSet(
        "two installations, answers lost",
        lambda rng: [lost_answer(rng) for _ in range(rng.randint(1, 2))],
        installations=2,
        shared_state=False,
        reapers="owners",
        late_s=LATE_S,
        overlap=IN_FLIGHT,
        overlap_after="POST",
    ),
    FaultSet(
        "two installations, any fault",
        lambda rng: rng.choice(_MET_BY_TWO).specs(rng),
        installations=2,
        shared_state=False,
        reapers="owners",
        late_s=LATE_S,
        overlap=IN_FLIGHT,
    ),
    FaultSet(
        "two installations, two tries each",
        lambda rng: rng.choice(([], [lost_answer(rng)])),
        installations=2,
        tries_at_once=2,
        reapers="owners",
        late_s=LATE_S,
        overlap=_AT_ONCE,
    ),
    FaultSet("one room, two tries", lambda rng: [], tries_at_once=2, market="one room"),
    FaultSet(
        "one room, POST dropped or unpaid",
        lambda rng: [
            rng.choice(
                (
                    {"kind": "drop_after", **START},
                    {"kind": "status", "status": 500, "effect": True, **START},
                    {"kind": "status", "status": 402, **START, "after": 1, "times": None},
                    {"kind": "status", "status": 500, **START, "after": 1, "times": None},
                )
            )
        ],
        tries_at_once=2,
        market="one room",
    ),
    FaultSet(
        "one room, two installations",
        lambda rng: rng.choice(([], [lost_answer(rng)])),
        installations=2,
        market="one room",
        reapers="owners",
        late_s=LATE_S,
    ),
    # -- every way out --------------------------------------------------------------------------------------------
    FaultSet("ended by a signal", lambda rng: [], signals=_TERMINAL),
    FaultSet("ended by two signals", lambda rng: [], signals=_TERMINAL, signals_again=True),
    FaultSet(
        "ended by a signal, answer lost",
        lambda rng: [lost_answer(rng)],
        signals=_TERMINAL,
        late_s=LATE_S,
    ),
    FaultSet(
        "ended by two signals, answer lost",
        lambda rng: [lost_answer(rng)],
        signals=_TERMINAL,
        signals_again=True,
        late_s=LATE_S,
    ),
    # -- the truth about money, and about what runs -------------------------------------------------------------------
    FaultSet("a price rises", lambda rng: [_dearer(rng)], market="prices", max_price_usd=0.6),
    FaultSet(
        "a price rises, answer lost",
        lambda rng: [_dearer(rng), lost_answer(rng)],
        market="prices",
        max_price_usd=0.6,
        late_s=LATE_S,
        overlap=IN_FLIGHT,
        overlap_after="POST",
    ),
    FaultSet(
        "lists miss an active session",
        lambda rng: [_lists_that_miss(rng)],
        overlap="the list that the next try begins with lacks the session",
    ),
    FaultSet(
        "the stop lies, lists miss it",
        lambda rng: [
            {"kind": "status", "status": rng.choice((200, 404)), **STOP, "times": rng.randint(1, 3)},
            {"kind": "missing_entry", **_ANY_LIST, "after": rng.randint(2, 4), "times": rng.randint(1, 3), "all": True},
        ],
        overlap="the list that the next try begins with lacks the session",
    ),
    FaultSet("clocks that jump", lambda rng: [], jumps=True, reapers="ages"),
    FaultSet(
        "clocks that jump, two installations",
        lambda rng: rng.choice(([], [lost_answer(rng)])),
        jumps=True,
        installations=2,
        reapers="ages",
        late_s=LATE_S,
        overlap=IN_FLIGHT,
        overlap_after="POST",
    ),
    # -- an API that keeps user_envs to itself -------------------------------------------------------------------------
    FaultSet(
        "user_envs not echoed, not killed",
        lambda rng: [
            _not_echoed(rng),
            *rng.choice(([], [{"kind": "drop_after", **START}], [{"kind": "status", "effect": True, **START}])),
        ],
        killed=False,
    ),
    FaultSet("user_envs not echoed, killed", lambda rng: [_not_echoed(rng)]),
    FaultSet(
        "user_envs not echoed, answer lost",
        lambda rng: [_not_echoed(rng), lost_answer(rng)],
        late_s=LATE_S,
        overlap=IN_FLIGHT,
        overlap_after="POST",
    ),
    FaultSet("user_envs not echoed, signal", lambda rng: [_not_echoed(rng)], signals=_TERMINAL),
    FaultSet("user_envs not echoed, clocks jump", lambda rng: [_not_echoed(rng)], jumps=True, reapers="ages"),
    FaultSet(
        "not echoed, two installations",
        lambda rng: [_not_echoed(rng), *rng.choice(([], [lost_answer(rng)]))],
        installations=2,
        market="one node",
        reapers="owners",
        late_s=LATE_S,
        overlap=IN_FLIGHT,
        overlap_after="POST",
        tellable=False,
    ),
    FaultSet(
        "not echoed, nothing shared",
        lambda rng: [_not_echoed(rng), *rng.choice(([], [lost_answer(rng)]))],
        installations=2,
        shared_state=False,
        market="one node",
        reapers="owners",
        late_s=LATE_S,
        overlap=IN_FLIGHT,
        overlap_after="POST",
        tellable=False,
        promised=False,
    ),
)
