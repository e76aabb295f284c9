"""One run: tries that are killed, the tries that follow, and what the ledger says in the end."""

from __future__ import annotations

import threading
import time
import zlib
from pathlib import Path
from typing import Any

from octa_provider.client import OctaClient
from octa_provider.emulator.testing import EmulatorHandle
from tests.chaos.ground import Ground
from tests.chaos.ledger_tail import LedgerTail
from tests.chaos.plan import TIMEOUT_S, TRIES, Plan
from tests.chaos.quick_clock import QuickClock
from tests.chaos.verdict import Try, Verdict, judge

REAPER = "tests.chaos.reaper_work"


def try_options(plan: Plan, emulator: EmulatorHandle, folder: Path, namespace: str = "") -> dict[str, Any]:
    """What each try of an installation is told.

    Args:
        plan: the run.
        emulator: where it takes place.
        folder: where tries keep their files.
        namespace: of the installation; empty for one that is alone.
    """
    token = f"work-{zlib.crc32(plan.key.encode()):08x}"
    place = folder if plan.fault_set.shared_state else folder / (namespace or "alone")
    return {
        "base_url": emulator.base_url,
        "api_key": emulator.api_key,
        "namespace": namespace,
        "key": plan.key,
        "full_key": plan.full_key(namespace),
        "speed": plan.fault_set.speed,
        "timeout_s": TIMEOUT_S,
        "max_price_usd": plan.fault_set.max_price_usd,
        "signals": bool(plan.fault_set.signals),
        "jumps": [],
        "state_file": str(folder / f"{token}{namespace}.json"),
        "environment": {"OCTA_STATE_DIR": str(place / f"{token}.intents")},
        # The same in all installations, as of two that run the same code.
        "marker": f"[{token}]",
        "command": f"sleep 0.1; echo '[{token}] exit {plan.exit_code}'; exec sleep 600",
        "exit_code": plan.exit_code,
        "user_agent": f"chaos/{namespace or 'alone'}",
    }


def carry_out(plan: Plan, ground: Ground) -> Verdict:
    """Carry a plan out, judge it, and leave the ground clean."""
    fault_set = plan.fault_set
    emulator = ground.market(fault_set.market)
    ledger = LedgerTail(emulator)
    emulator.clear_faults()
    emulator.faults(*plan.specs)
    lift = threading.Timer(fault_set.outage_s, emulator.clear_faults) if fault_set.outage_s else None
    if lift is not None:
        lift.start()
    tries: list[Try] = []
    left_by_signal = 0
    last_round = time.monotonic()
    for number in range(TRIES):
        waiting = [ns for ns in plan.namespaces if not any(t.namespace == ns and t.succeeded for t in tries)]
        if not waiting:
            break
        if number:
            time.sleep(plan.pause_s)
        last_round = time.monotonic()
        tries += _round(plan, ground, emulator, number, waiting)
        if number == 0 and fault_set.signals and plan.client.clears_up:
            # Whoever is ended by a signal clears up itself: nobody may come after it.
            left_by_signal = len(ledger.running(plan.key))
    if lift is not None:
        lift.join()
    # What comes late has come before the ledger is read.
    time.sleep(max(0.0, fault_set.late_s + 0.05 - (time.monotonic() - last_round)))
    emulator.clear_faults()
    if fault_set.reaped and plan.client.ours:
        with OctaClient(
            emulator.api_key, base_url=emulator.base_url, namespace="", clock=QuickClock(fault_set.speed)
        ) as client:
            client.rentals.reap(plan.key, dry_run=False)
    verdict = judge(plan, tries, ledger, emulator, left_by_signal)
    for namespace in plan.namespaces:
        Path(try_options(plan, emulator, ground.folder, namespace)["state_file"]).unlink(missing_ok=True)
    return verdict


def _round(plan: Plan, ground: Ground, emulator: EmulatorHandle, number: int, namespaces: list[str]) -> list[Try]:
    """The next try of each installation that is not done, all at the same time; in the first round perhaps several."""
    orders: list[dict[str, Any]] = []
    for namespace in namespaces:
        options = try_options(plan, emulator, ground.folder, namespace) | {"jumps": plan.jumps[number]}
        kill = dict(zip(plan.namespaces, plan.kills, strict=True))[namespace]
        for place, offset_s in enumerate(plan.offsets_s if number == 0 else (0.0,)):
            name = f"{options['user_agent']}/{number}.{place}"
            first = {"kill": kill, "ignored": plan.ignored} if (number, place) == (0, 0) else {}
            told = {"seed": f"{plan.seed}/{name}", "user_agent": name, "delay_s": offset_s}
            orders.append(options | told | first)
        if plan.fault_set.reapers and plan.client.ours:
            name = f"{options['user_agent']}/reaper{number}"
            orders.append(
                options
                | {"module": REAPER, "seed": f"{plan.seed}/{name}", "user_agent": name}
                | {"reapers": plan.fault_set.reapers, "any_namespace": number % 2 == 0}
            )
    outcomes = ground.zygotes.run(plan.client.module, orders)
    return [
        Try(
            order["namespace"],
            order["user_agent"],
            outcome,
            reaper=order.get("module") == REAPER,
            ignored=bool(order.get("ignored")),
        )
        for order, outcome in zip(orders, outcomes, strict=True)
    ]
