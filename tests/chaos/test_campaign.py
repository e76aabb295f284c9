"""The campaign: hundreds of seeded runs of ours, and the same faults against others in the same loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign, has_sdk, replay_command, run_campaign
from tests.chaos.table import as_json, as_text, broken_promises
from tests.chaos.verdict import Verdict

#: A share of what `make chaos` runs: a dozen of each kind of fault.
RUNS = {"rental": 380, "job": 190, "plain": 60, "sdk": 60}
LEAST_POINTS = 40


def told(verdicts: list[Verdict]) -> str:
    """Broken promises, each with the command that repeats it."""
    return "\n".join(f"{verdict}\n  replay: {replay_command(verdict)}" for verdict in verdicts)


@pytest.mark.chaos
def test_hundreds_of_runs_leave_nothing_double_nothing_touch_nobody_elses_and_tell_the_truth(tmp_path: Path) -> None:
    runs = RUNS if has_sdk() else RUNS | {"sdk": 0}
    verdicts, points = run_campaign(Campaign(runs, seed=1, workers=8))
    (tmp_path / "chaos.json").write_text(json.dumps(as_json(verdicts, points)))
    print(as_text(verdicts, points))
    assert len(verdicts) == sum(runs.values())
    broken = broken_promises(verdicts)
    assert not broken, told(broken)
    for client in ("rental", "job"):
        killed_at = {verdict.killed_at for verdict in verdicts if verdict.client == client and verdict.killed_at}
        assert len(points[client]) >= LEAST_POINTS
        assert len(killed_at) >= LEAST_POINTS
    others = [v for v in verdicts if v.client in ("plain", "sdk")]
    # The yardstick shows that the faults are real: whoever posts and remembers the uuid loses machines to them.
    assert any(verdict.leaked for verdict in others)


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("adoption", "none"),
        ("settling", "500, yet committed"),
        ("seeing it gone", "the stop's answer lies"),
        ("what was written down", "user_envs not echoed, killed"),
        ("hearing signals", "ended by a signal"),
    ],
)
def test_the_campaign_notices_when_a_rule_is_taken_out(rule: str, fault: str) -> None:
    assert is_noticed(rule, fault, lambda verdict: verdict.leaked or verdict.doubled)


@pytest.mark.parametrize(
    ("rule", "fault"), [("namespaces", "two installations"), ("leaving others alone", "one room, two tries")]
)
def test_it_notices_who_takes_or_stops_what_is_somebody_elses(rule: str, fault: str) -> None:
    assert is_noticed(rule, fault, lambda verdict: verdict.foreign)


def test_it_notices_what_runs_above_its_cap() -> None:
    told = [verdict.wrong for verdict in without("comparing prices", "a price rises")]
    assert [wrong for wrong in told if "above the cap" in wrong]


def without(rule: str, fault: str, seed: int = 1) -> list[Verdict]:
    """Runs of ours without one of its rules."""
    verdicts, _ = run_campaign(Campaign({f"without {rule}": 12}, seed=seed, workers=2, faults=(fault,)))
    return verdicts


def is_noticed(rule: str, fault: str, is_wrong: Callable[[Verdict], object]) -> bool:
    """Whether such runs do what is wrong; on a busy machine two tries meet less often."""
    return any(any(map(is_wrong, without(rule, fault, seed))) for seed in range(1, 6))
