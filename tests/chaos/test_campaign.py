"""The campaign: 1,000 seeded runs of ours, and the same faults against others in the same loop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign, has_sdk, replay_command, run_campaign
from tests.chaos.table import as_json, as_text, broken_promises
from tests.chaos.verdict import Verdict

RUNS = {"rental": 667, "job": 333, "plain": 100, "sdk": 100}
LEAST_POINTS = 40


def told(verdicts: list[Verdict]) -> str:
    """Broken promises, each with the command that repeats it."""
    return "\n".join(f"{verdict}\n  replay: {replay_command(verdict)}" for verdict in verdicts)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_thousand_killed_runs_leak_nothing_double_nothing_and_tell_the_truth(tmp_path: Path) -> None:
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
    ("variant", "fault"),
    [
        ("without adoption", "none"),
        ("without settling", "500, yet committed"),
        ("without seeing it gone", "the stop's answer lies"),
    ],
)
def test_the_campaign_notices_when_a_rule_is_taken_out(variant: str, fault: str) -> None:
    verdicts, _ = run_campaign(Campaign({variant: 24}, seed=1, workers=4, faults=(fault,)))
    assert [verdict for verdict in verdicts if verdict.leaked or verdict.doubled]
