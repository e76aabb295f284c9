"""Coarse guards: what got quick stays so. Ratios of CPU in one run, with a margin that a busy machine never fails."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import start_cost

ROOT = Path(__file__).parents[2]


def figure(expression: str) -> float:
    """A figure of a row, measured in a process whose lines nobody counts, as the tests' coverage does."""
    program = f"from benchmarks import catalogue, small_get; print(({expression}).figure)"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    bare["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "core")))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=bare, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def test_a_small_get_costs_less_than_a_bare_session_takes() -> None:
    # 0.45 as measured; 0.8 to 0.9 when every request is prepared anew.
    assert figure("small_get.measure(rounds=9, times=20)") < 0.7


def test_a_catalogue_is_read_and_ranked_in_the_time_of_plain_json() -> None:
    # 0.85 as measured; 2.4 when each machine's payload becomes a dict first.
    assert figure("catalogue.measure(rounds=7, machines=1500)") < 1.6


def test_the_help_of_the_command_line_loads_little(tmp_path: Path) -> None:
    row = start_cost.measure_help(rounds=3, folder=tmp_path)
    # 10 as measured; importing requests and asyncssh, or an orchestrator, is far more.
    assert statistics.median(row.ratios("octa-provider --help")) < 25
