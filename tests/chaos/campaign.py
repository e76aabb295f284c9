"""Many runs, some at the same time, each on a ground of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tests.chaos.ground import ROOT, Ground, open_ground
from tests.chaos.plan import CLIENTS, Plan, draw
from tests.chaos.run import carry_out, try_options
from tests.chaos.verdict import Verdict

SDK_PYTHON = ROOT / ".venvs" / "sdk" / "bin" / "python"
#: After so many runs a ground is left for a new one: its ledger grows, and nodes that died stay dead.
RUNS_ON_A_GROUND = 90


@dataclass(frozen=True)
class Campaign:
    """What to run.

    Attributes:
        runs: client -> how many.
        seed: what every run's seed begins with.
        workers: how many runs at the same time.
        faults: names of the fault sets to draw from; None for all.
    """

    runs: dict[str, int]
    seed: int = 1
    workers: int = 4
    faults: tuple[str, ...] | None = None


def interpreters() -> dict[str, str]:
    """Which Python runs which client: the SDK's has an environment of its own."""
    return {"": sys.executable, CLIENTS["sdk"].module: str(SDK_PYTHON)}


def has_sdk() -> bool:
    """Whether `make sdk` has made the environment of the official SDK."""
    return SDK_PYTHON.exists()


def find_points(client: str, ground: Ground) -> dict[str, int]:
    """The boundaries that a run without faults and without a kill crosses, and how often: found by doing it."""
    plan = draw("points", client, {}, fault="none, not killed")
    crossed: dict[str, int] = {}
    emulator = ground.market(plan.fault_set.market)
    emulator.clear_faults()
    for number in range(2):
        # Twice, so that a wait that was too short to need a second look is made up for.
        again = replace(plan, seed=f"points/{number}")
        options = try_options(again, emulator, ground.folder) | {"timeout_s": 5.0, "seed": "points"}
        outcome = ground.zygotes.run(plan.client.module, [options])[0]
        if "result" not in outcome:
            raise RuntimeError(f"{client} does not do its work even without faults: {outcome}")
        for name, times in outcome["crossed"].items():
            crossed[name] = min(times, crossed.get(name, times))
    return dict(sorted(crossed.items()))


def run_campaign(
    campaign: Campaign, on_verdict: Callable[[Plan, Verdict], object] = lambda plan, verdict: None
) -> tuple[list[Verdict], dict[str, dict[str, int]]]:
    """Carry a campaign out.

    Returns:
        The verdicts, and the boundaries of each client.
    """
    with open_ground(interpreters()) as ground:
        points = {client: find_points(client, ground) for client, runs in campaign.runs.items() if runs}
    plans = [
        draw(f"{campaign.seed}-{number}", client, points[client], _fault(campaign.faults, number))
        for client, runs in campaign.runs.items()
        for number in range(runs)
    ]
    # Dealt out, so that every worker has some of each client and all end at about the same time.
    count = max(campaign.workers, -(-len(plans) // RUNS_ON_A_GROUND))
    batches = [batch for start in range(count) if (batch := plans[start::count])]
    verdicts: list[Verdict] = []
    lock = threading.Lock()

    def work(batch: Sequence[Plan]) -> None:
        with open_ground(interpreters()) as ground:
            for plan in batch:
                verdict = carry_out(plan, ground)
                with lock:
                    verdicts.append(verdict)
                    on_verdict(plan, verdict)

    with ThreadPoolExecutor(campaign.workers) as pool:
        for done in [pool.submit(work, batch) for batch in batches]:
            done.result()
    return verdicts, points


def _fault(faults: Sequence[str] | None, number: int) -> str | None:
    return None if not faults else faults[number % len(faults)]


def replay_command(verdict: Verdict) -> str:
    """The command that repeats a run."""
    return f"{Path(sys.executable).name} -m tests.chaos --replay {verdict.client}:{verdict.seed}"
