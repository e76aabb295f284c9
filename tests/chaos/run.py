"""One run: a try that is killed, the tries that follow, and what the ledger says in the end."""

from __future__ import annotations

import threading
import time
import zlib
from dataclasses import asdict, dataclass
from typing import Any

from octa_provider.client import OctaClient
from tests.chaos.ground import Ground
from tests.chaos.plan import TIMEOUT_S, TRIES, Plan
from tests.chaos.quick_clock import QuickClock


@dataclass(frozen=True)
class Verdict:
    """What became of one run.

    Attributes:
        seed, client, fault: what was run.
        killed_at: the boundary at which the first try died; None when it was not killed, or did not get there.
        tries: how many tries it took.
        leaked: sessions of the key that still ran in the end.
        max_running: most sessions of the key at the same time.
        overlap_ms: how long more than one ran.
        doubled: more than one ran, and not while two concurrent starts resolved it.
        wrong: what the client said that is not so; empty when all is.
        errors: how the other tries ended.
        charge_wei: what all sessions of the key cost, by the ledger.
    """

    seed: str
    client: str
    fault: str
    killed_at: str | None
    tries: int
    leaked: int
    max_running: int
    overlap_ms: float
    doubled: bool
    wrong: str
    errors: tuple[str, ...]
    charge_wei: int

    @property
    def clean(self) -> bool:
        """Nothing leaked, doubled, or came out wrong."""
        return not (self.leaked or self.doubled or self.wrong)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as a JSON value."""
        return asdict(self)


def carry_out(plan: Plan, ground: Ground) -> Verdict:
    """Carry a plan out, judge it, and leave the ground clean."""
    emulator, fault_set = ground.emulator, plan.fault_set
    token = f"work-{zlib.crc32(plan.key.encode()):08x}"
    state_file = ground.folder / f"{token}.json"
    options = {
        "base_url": emulator.base_url,
        "api_key": emulator.api_key,
        "key": plan.key,
        "speed": fault_set.speed,
        "timeout_s": TIMEOUT_S,
        "state_file": str(state_file),
        "marker": f"[{token}]",
        "command": f"sleep 0.1; echo '[{token}] exit {plan.exit_code}'; exec sleep 600",
        "exit_code": plan.exit_code,
    }
    emulator.clear_faults()
    emulator.faults(*plan.specs)
    lift = threading.Timer(fault_set.outage_s, emulator.clear_faults) if fault_set.outage_s else None
    if lift is not None:
        lift.start()
    first = [
        options | {"seed": f"{plan.seed}/0/{n}", "delay_s": offset, "kill": plan.kill if n == 0 else None}
        for n, offset in enumerate(plan.offsets_s)
    ]
    outcomes = ground.zygotes.run(plan.client.module, first)
    last_try = time.monotonic()
    tries = 1
    while not any("result" in outcome for outcome in outcomes) and tries < TRIES:
        time.sleep(plan.pause_s)
        last_try = time.monotonic()
        outcomes += ground.zygotes.run(plan.client.module, [options | {"seed": f"{plan.seed}/{tries}"}])
        tries += 1
    if lift is not None:
        lift.join()
    # What comes late has come before the ledger is read.
    time.sleep(max(0.0, fault_set.late_s + 0.05 - (time.monotonic() - last_try)))
    emulator.clear_faults()
    if fault_set.reaped and plan.client.ours:
        with OctaClient(emulator.api_key, base_url=emulator.base_url, clock=QuickClock(fault_set.speed)) as client:
            client.rentals.reap(plan.key, dry_run=False)
    verdict = judge(plan, outcomes, tries, ground)
    state_file.unlink(missing_ok=True)
    return verdict


def judge(plan: Plan, outcomes: list[dict[str, Any]], tries: int, ground: Ground) -> Verdict:
    """The verdict by the ledger; afterwards what leaked is stopped."""
    ledger = ground.emulator.ledger(requests=False)
    sessions = {s["uuid"]: s for s in ledger["sessions"] if s["rental_key"] == plan.key}
    summary = ledger["max_running_by_key"].get(plan.key, {"max_running": 0, "overlap_ms": 0.0})
    leaked = [uuid for uuid, session in sessions.items() if session["stopped_ms"] is None]
    wrong = _what_is_wrong(plan, outcomes, sessions, ground)
    for uuid in leaked:
        ground.emulator.request("POST", f"/services/{uuid}/stop")
    killed_at = next((o["killed_at"] for o in outcomes if "killed_at" in o), None)
    return Verdict(
        seed=plan.seed,
        client=plan.client.name,
        fault=plan.fault_set.name,
        killed_at=killed_at,
        tries=tries,
        leaked=len(leaked),
        max_running=int(summary["max_running"]),
        overlap_ms=round(summary["overlap_ms"], 1),
        doubled=summary["max_running"] > plan.fault_set.may_run_at_once(killed_at),
        wrong=wrong,
        errors=tuple(o["error"] for o in outcomes if "error" in o),
        charge_wei=sum(session["charge_wei"] for session in sessions.values()),
    )


def _what_is_wrong(
    plan: Plan, outcomes: list[dict[str, Any]], sessions: dict[str, dict[str, Any]], ground: Ground
) -> str:
    if any("hung" in outcome for outcome in outcomes):
        return "a try hung"
    results = [outcome["result"] for outcome in outcomes if "result" in outcome]
    if not results:
        return "the work was never done"
    for result in results:
        session = sessions.get(result["uuid"])
        if session is None:
            return f"no session {result['uuid']} of this work"
        if not result["said"].endswith(f" exit {plan.exit_code}"):
            return f"said {result['said']!r}, but the command ended with {plan.exit_code}"
        told = ground.emulator.request("GET", f"/services/{result['uuid']}/logs?recent=true").json()["container"]
        if f" exit {plan.exit_code}" not in told:
            return "a success, but the command said nothing"
        charge = result.get("charge_wei")
        if charge is not None and charge != session["charge_wei"]:
            return f"billed {charge} wei, the ledger says {session['charge_wei']}"
    return ""
