"""Coarse guards: what got quick stays so. Ratios of CPU in one run, with a margin that a busy machine never fails."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks import catalogue, small_get, start_cost


def test_a_small_get_costs_less_than_a_bare_session_takes() -> None:
    # 0.45 as measured; 0.8 to 0.9 when every request is prepared anew.
    assert small_get.measure(rounds=9, times=20).figure < 0.7


def test_a_catalogue_is_read_and_ranked_in_the_time_of_plain_json() -> None:
    # 0.85 as measured; 2.4 when each machine's payload becomes a dict first.
    assert catalogue.measure(rounds=7, machines=1500).figure < 1.6


def test_the_help_of_the_command_line_loads_little(tmp_path: Path) -> None:
    row = start_cost.measure_help(rounds=3, folder=tmp_path)
    # 10 as measured; importing requests and asyncssh, or an orchestrator, is far more.
    assert statistics.median(row.ratios("octa-provider --help")) < 25
