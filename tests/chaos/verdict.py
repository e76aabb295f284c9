"""What became of one run, by the ledger: what was left, doubled, somebody else's, or not so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from octa_provider.emulator.platform.prices import wei_to_usd
from octa_provider.emulator.testing import EmulatorHandle
from tests.chaos.ledger_tail import LedgerTail
from tests.chaos.plan import TIMEOUT_S, Plan

#: The step in which a session tells its price.
PRICE_STEP_USD = 0.0001
#: What a job or a wait says that was ended by a clock.
_LATE = ("timed_out", "not_ready", "OctaWaitTimeoutError")


@dataclass(frozen=True)
class Try:
    """One process of a run.

    Attributes:
        namespace: of its installation.
        name: as its requests told it.
        outcome: what it reported.
        reaper: whether it did not do the work, but reaped.
        ignored: whether it ignored its signal.
    """

    namespace: str
    name: str
    outcome: dict[str, Any]
    reaper: bool = False
    ignored: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether it did the work."""
        return "result" in self.outcome and not self.reaper


@dataclass(frozen=True)
class Verdict:
    """What became of one run.

    Attributes:
        seed, client, fault: what was run.
        killed_at: the boundary at which a first try died, or got its signal; None when none did, or got there.
        tries: how many tries it took.
        leaked: sessions of the work that still ran in the end, or when the process had ended that a signal ended.
        shown: sessions that ran on since nothing tells whose they are, and that an error named.
        foreign: sessions that somebody adopted, stopped or reaped who had no right to.
        max_running: most sessions of a key at the same time.
        overlap_ms: how long more than one ran.
        doubled: more than one ran, and not while two concurrent starts resolved it.
        wrong: what the client said that is not so; empty when all is.
        errors: how the other tries ended.
        charge_wei: what all sessions of the work cost, by the ledger.
    """

    seed: str
    client: str
    fault: str
    killed_at: str | None
    tries: int
    leaked: int
    shown: int
    foreign: tuple[str, ...]
    max_running: int
    overlap_ms: float
    doubled: bool
    wrong: str
    errors: tuple[str, ...]
    charge_wei: int

    @property
    def clean(self) -> bool:
        """Nothing leaked, doubled, was taken from somebody else, or came out wrong."""
        return not (self.leaked or self.doubled or self.foreign or self.wrong)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as a JSON value."""
        return asdict(self)


def judge(
    plan: Plan, tries: Sequence[Try], ledger: LedgerTail, emulator: EmulatorHandle, left_by_signal: int = 0
) -> Verdict:
    """The verdict by the ledger; afterwards what leaked is stopped.

    Args:
        plan: the run.
        tries: in their order, reapers too.
        ledger: from the run's begin on.
        emulator: where it took place.
        left_by_signal: sessions that ran when the tries had ended that got a signal.
    """
    sessions = ledger.sessions(plan.key)
    errors = tuple(t.outcome["error"] for t in tries if "error" in t.outcome and not t.reaper)
    left = [uuid for uuid, session in sessions.items() if session["stopped_ms"] is None]
    shown = [uuid for uuid in left if not plan.fault_set.tellable and any(uuid in error for error in errors)]
    foreign = whose_was_not_theirs(plan, tries, sessions, ledger)
    wrong = _what_is_wrong(plan, tries, sessions, emulator)
    for uuid in left:
        emulator.request("POST", f"/services/{uuid}/stop")
    at_once = [ledger.overlaps.get(plan.full_key(ns), {"max_running": 0, "overlap_ms": 0.0}) for ns in plan.namespaces]
    killed = {
        ns: [t.outcome["killed_at"] for t in tries if t.namespace == ns and "killed_at" in t.outcome]
        for ns in plan.namespaces
    }
    may = [max(plan.fault_set.may_run_at_once(at) for at in (killed[ns] or [None])) for ns in plan.namespaces]
    return Verdict(
        seed=plan.seed,
        client=plan.client.name,
        fault=plan.fault_set.name,
        killed_at=next((at for ats in killed.values() for at in ats), None),
        tries=sum(not t.reaper for t in tries),
        leaked=max(len(left) - len(shown), left_by_signal),
        shown=len(shown),
        foreign=foreign,
        max_running=max(int(summary["max_running"]) for summary in at_once),
        overlap_ms=round(max(summary["overlap_ms"] for summary in at_once), 1),
        doubled=any(summary["max_running"] > most for summary, most in zip(at_once, may, strict=True)),
        wrong=wrong,
        errors=errors,
        charge_wei=sum(session["charge_wei"] for session in sessions.values()),
    )


def whose_was_not_theirs(
    plan: Plan, tries: Sequence[Try], sessions: dict[str, dict[str, Any]], ledger: LedgerTail
) -> tuple[str, ...]:
    """Each session that was adopted, stopped or reaped by somebody who had no right to, as a sentence."""
    requests = ledger.requests()
    starter = {
        r["uuid"]: _sender(r) for r in requests if r["method"] == "POST" and r["route"] == "/services/mr" and r["uuid"]
    }
    by_name = {t.name: t for t in tries}
    told = []
    for t in tries:
        for uuid in dict.fromkeys(t.outcome.get("held", [])):
            if uuid in sessions and sessions[uuid]["rental_key"] != plan.full_key(t.namespace):
                told.append(f"{t.name} took session {uuid} of {sessions[uuid]['rental_key']}")
    for request in requests:
        sent_by, session = by_name.get(_sender(request)), sessions.get(request["uuid"] or "")
        if sent_by is None or session is None or not request["route"].endswith("/stop"):
            continue
        uuid = session["uuid"]
        if session["rental_key"] != plan.full_key(sent_by.namespace):
            told.append(f"{sent_by.name} stopped session {uuid} of {session['rental_key']}")
        elif sent_by.reaper:
            told.append(f"{sent_by.name} reaped session {uuid}, whose owner lived")
        elif (
            # It came to nothing, yet what somebody else had started ended with it.
            "error" in sent_by.outcome
            and "held" in sent_by.outcome
            and not sent_by.outcome["held"]
            and starter.get(uuid, sent_by.name) != sent_by.name
        ):
            told.append(f"{sent_by.name}, which never had it, stopped session {uuid} of {starter[uuid]}")
    return tuple(dict.fromkeys(told))


def _sender(request: dict[str, Any]) -> str:
    return str(request["user_agent"]).partition(" ")[0]


def _what_is_wrong(
    plan: Plan, tries: Sequence[Try], sessions: dict[str, dict[str, Any]], emulator: EmulatorHandle
) -> str:
    if any("hung" in t.outcome for t in tries):
        return "a try hung"
    for t in tries:
        if t.ignored and "killed_at" in t.outcome and not t.succeeded:
            return f"{t.name} was ended by a signal that it ignores: {t.outcome.get('error')}"
        error = t.outcome.get("error", "")
        if plan.fault_set.jumps and any(word in error for word in _LATE):
            return f"{t.name} was ended by a clock: {error}"
    for namespace in plan.namespaces:
        mine = [t for t in tries if t.namespace == namespace and not t.reaper]
        wrong = _what_is_wrong_with(plan, namespace, mine, sessions, emulator)
        if wrong:
            return wrong
    return ""


def _saw_no_answer(one: Try) -> bool:
    """A busy machine answers nobody in so short a time as these tries give it; what they say of it is true."""
    return f"not within {TIMEOUT_S} s" in one.outcome.get("error", "")


def _what_is_wrong_with(
    plan: Plan, namespace: str, tries: Sequence[Try], sessions: dict[str, dict[str, Any]], emulator: EmulatorHandle
) -> str:
    results = [t.outcome["result"] for t in tries if t.succeeded]
    if not results:
        last = tries[-1].outcome.get("error", "")
        # It says so, and leaves it to people, where nothing tells whose a session is.
        unclear = not plan.fault_set.tellable and last.startswith("OctaStartUnclearError")
        return "" if unclear else "the work was never done"
    first = [t for t in tries if "/0." in t.name]
    alone = plan.fault_set.market == "one room" and plan.fault_set.installations == 1
    if alone and not any(t.succeeded or "killed_at" in t.outcome or _saw_no_answer(t) for t in first):
        return "of two tries with room for one, neither did the work"
    for result in results:
        session = sessions.get(result["uuid"])
        if session is None or session["rental_key"] != plan.full_key(namespace):
            return f"no session {result['uuid']} of this work"
        if not result["said"].endswith(f" exit {plan.exit_code}"):
            return f"said {result['said']!r}, but the command ended with {plan.exit_code}"
        log = emulator.request("GET", f"/services/{result['uuid']}/logs?recent=true").json()["container"]
        if f" exit {plan.exit_code}" not in log:
            return "a success, but the command said nothing"
        charge = result.get("charge_wei")
        # With what it counts among it: those whose place it took.
        owed = session["charge_wei"] + sum(sessions[uuid]["charge_wei"] for uuid in result.get("before", ()))
        if charge is not None and charge != owed:
            return f"billed {charge} wei, the ledger says {owed}"
        price_usd = wei_to_usd(session["price_wei"])
        if price_usd > plan.fault_set.max_price_usd + PRICE_STEP_USD:
            return f"done at {price_usd:.4f} USD/h, above the cap of {plan.fault_set.max_price_usd:g}"
    return ""
