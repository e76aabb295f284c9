"""`python -m tests.chaos --runs N --seed S`: the campaign, its table, and a JSON file of every run."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tests.chaos.campaign import Campaign, find_points, has_sdk, interpreters, replay_command, run_campaign
from tests.chaos.fault_sets import BY_NAME
from tests.chaos.ground import open_ground
from tests.chaos.ledger_tail import LedgerTail
from tests.chaos.plan import CLIENTS, draw
from tests.chaos.run import carry_out
from tests.chaos.table import as_json, as_text, broken_promises


def main() -> int:
    """Run it; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="runs of our own clients together")
    parser.add_argument("--yardstick-runs", type=int, help="runs of each other client (default: a quarter of --runs)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4, help="runs at the same time")
    parser.add_argument("--fault", action="append", choices=sorted(BY_NAME), help="only these rows; repeatable")
    parser.add_argument("--client", action="append", choices=sorted(CLIENTS), help="only these clients; repeatable")
    parser.add_argument("--json", type=Path, default=Path("chaos.json"), help="where the runs are written")
    parser.add_argument("--replay", metavar="CLIENT:SEED", help="repeat one run, and show what it did")
    arguments = parser.parse_args()
    if arguments.replay:
        return replay(*arguments.replay.split(":", 1), fault=arguments.fault[0] if arguments.fault else None)
    runs = {"rental": arguments.runs - arguments.runs // 3, "job": arguments.runs // 3}
    others = arguments.runs // 4 if arguments.yardstick_runs is None else arguments.yardstick_runs
    runs |= {"plain": others, "sdk": others if has_sdk() else 0}
    if not has_sdk() and others:
        print("the official SDK is left out: make sdk makes its environment", file=sys.stderr)
    if arguments.client:
        runs = dict.fromkeys(arguments.client, arguments.runs)
    started = time.monotonic()

    def show(plan: object, verdict: object) -> None:
        print("." if verdict.clean else "x", end="", file=sys.stderr, flush=True)  # type: ignore[attr-defined]

    campaign = Campaign(runs, arguments.seed, arguments.workers, tuple(arguments.fault) if arguments.fault else None)
    verdicts, points = run_campaign(campaign, show)
    print(file=sys.stderr)
    print(as_text(verdicts, points))
    print(f"{len(verdicts)} runs in {time.monotonic() - started:.0f} s, seed {arguments.seed}")
    arguments.json.write_text(json.dumps(as_json(verdicts, points), indent=1))
    broken = broken_promises(verdicts)
    for verdict in broken:
        fault = f' --fault "{verdict.fault}"' if arguments.fault else ""
        print(f"BROKEN {verdict}\n  replay: {replay_command(verdict)}{fault}")
    return 1 if broken else 0


def replay(client: str, seed: str, fault: str | None) -> int:
    """Repeat one run."""
    with open_ground(interpreters()) as ground:
        plan = draw(seed, client, find_points(client, ground), fault)
        ledger = LedgerTail(ground.market(plan.fault_set.market))
        print(
            f"{plan.fault_set.name}: {json.dumps(plan.specs)}, killed at {plan.kills}, then {plan.pause_s} s of pause"
        )
        verdict = carry_out(plan, ground)
        for request in ledger.requests():
            sender = request["user_agent"].partition(" ")[0]
            print(request["at_ms"], sender, request["method"], request["path"], request["status"], *request["faults"])
    print(verdict)
    return 0 if verdict.clean else 1


if __name__ == "__main__":
    sys.exit(main())
