"""A cap on cost is held however late the looks at the machines come, as soon as one of them came late."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from octa_provider.batch.run.parts import Pacing
from octa_provider.batch.run.spending import Spending
from octa_provider.timing.clock import Clock

CAP_WEI = 1_000
#: Wei a second.
RATE = 1


class Bench(Clock):
    """Machines that cost 1 wei a second, and somebody who looks at them when told to."""

    def __init__(self, max_cost_wei: int | None = CAP_WEI) -> None:
        self.at_s = 0.0
        parts = cast(Any, SimpleNamespace(clock=self, pacing=Pacing(poll_s=2.0)))
        crew = cast(Any, SimpleNamespace(spent_wei=lambda: int(self.at_s * RATE), wei_per_s=lambda: RATE))
        self.spending = Spending(parts, crew, max_cost_wei)

    def monotonic(self) -> float:
        return self.at_s

    def spent_when_it_ends(self, gaps_s: list[float]) -> int:
        """What was spent at the look that ends it, when looks come after such times, the last again and again."""
        while True:
            self.at_s += gaps_s.pop(0) if len(gaps_s) > 1 else gaps_s[0]
            if self.spending.is_at_its_end():
                return int(self.at_s * RATE)


def test_looks_that_come_in_time_spend_all_but_what_a_stop_takes() -> None:
    assert CAP_WEI - 15 <= Bench().spent_when_it_ends([2.0]) <= CAP_WEI - 10


def test_looks_that_come_late_end_it_before_the_look_that_would_be_too_late() -> None:
    for late_s in (7.0, 15.0, 29.0):
        spent = Bench().spent_when_it_ends([late_s])
        assert CAP_WEI - 2 * late_s - 10 <= spent <= CAP_WEI - 10


def test_a_look_that_was_late_once_is_expected_again_for_a_while_and_then_forgotten() -> None:
    assert Bench().spent_when_it_ends([965.0, 2.0]) == 965
    assert Bench().spent_when_it_ends([940.0, 2.0]) <= CAP_WEI - 25
    assert Bench().spent_when_it_ends([60.0, 2.0]) >= CAP_WEI - 15


def test_a_computer_that_slept_for_an_hour_leaves_no_more_money_than_half_a_minute_of_its_machines() -> None:
    bench = Bench(max_cost_wei=10_000)
    assert bench.spent_when_it_ends([3600.0, 2.0]) >= 10_000 - 15


def test_no_cap_never_ends_anything() -> None:
    bench = Bench(max_cost_wei=None)
    bench.at_s = 1e9
    assert not bench.spending.is_at_its_end()
