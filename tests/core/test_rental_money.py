"""The truth about money: prices that rise, caps that hold, markets that are scarce, clocks that are wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from held_clock import HeldClock

from octa_provider.batch.run.left_machines import began_at
from octa_provider.client import OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.errors import (
    OctaBudgetError,
    OctaConfigError,
    OctaError,
    OctaNoMachineError,
    OctaServerError,
    OctaStopError,
)
from octa_provider.http.hooks import RequestContext
from octa_provider.market.node_memory import NodeMemory, Standing
from octa_provider.market.request import MachineRequest
from octa_provider.market.requirements import Requirements
from octa_provider.models import Machine, Session
from octa_provider.models.session import SessionPrices
from octa_provider.rental.caps import over_budget, spends_too_much
from octa_provider.rental.rental import Rental
from octa_provider.rental.terms import Terms
from octa_provider.timing.clock import Clock
from tests.core.job_bench import LeapingClock
from tests.core.rental_bench import EVERYTHING, INFO, LIST, START, STOP, Bench, bench, emulator

__all__ = ["bench", "emulator"]

DOWN = {"kind": "status", "status": 503, "times": None}
BUSY = {"kind": "status", "status": 429, "retry_after": 3600, "times": None}


def cheapest(bench: Bench) -> Machine:
    """The machine that is asked first."""
    offers = bench.client.services.mr.available()
    return min((m for m in offers if m.price_usd is not None), key=lambda m: m.price_usd or 0)


# -- a price that rises ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1.3, 5, 1000])
def test_a_machine_whose_price_rises_above_the_limit_before_the_start_is_not_kept(bench: Bench, factor: float) -> None:
    dear, limit = cheapest(bench), 5.0
    # Enough for it to be above the limit, whatever it cost.
    bench.emulator.faults({"kind": "raise_price", "factor": factor * limit / (dear.price_usd or 1), **START})
    rental = bench.start(requirements=Requirements(max_price_usd=limit))
    prices = rental.info().prices
    assert prices is not None
    assert prices.base_usd is not None
    assert prices.base_usd <= limit
    assert rental.node_id != dear.node_id
    assert bench.running() == [rental.uuid]


def test_the_only_machine_that_fits_and_becomes_too_dear_leaves_nothing_running(bench: Bench) -> None:
    dear = cheapest(bench)
    bench.emulator.faults({"kind": "raise_price", "factor": 5, **START})
    wanted = Requirements(node_id=dear.node_id, max_price_usd=(dear.price_usd or 0) * 1.2)
    with pytest.raises(OctaNoMachineError, match=r"its price is .* USD/h now, above max_price_usd"):
        bench.start(requirements=wanted)
    assert bench.running() == []


def test_a_rental_tells_the_price_that_its_session_has(bench: Bench) -> None:
    bench.emulator.faults({"kind": "raise_price", "factor": 3, **START})
    offered = cheapest(bench)
    rental = bench.start()
    assert rental.price_usd == pytest.approx((offered.price_usd or 0) * 3, abs=0.001)
    bill = rental.stop()
    assert bill.charge_usd is not None


def test_a_price_that_the_list_does_not_tell_is_compared_while_the_session_is_waited_for(bench: Bench) -> None:
    rental = bench.ready()
    dear = Rental(**{**rental.to_dict(), "started_at": None, "max_price_usd": 0.0001}, _api=bench.client)
    with pytest.raises(OctaBudgetError, match=r"costs too much.*it was stopped"):
        dear.wait_until_ready()
    assert bench.running() == []


def test_an_adopted_session_that_is_too_dear_is_replaced(bench: Bench) -> None:
    dear = bench.start(requirements=Requirements(order_by="blender_score"))
    price = dear.info().prices
    assert price is not None
    assert price.base_usd is not None
    rental = bench.start(requirements=Requirements(max_price_usd=price.base_usd / 2))
    assert rental.uuid != dear.uuid
    assert bench.running() == [rental.uuid]


# -- caps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max_cost_usd", "max_duration_s"])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), "5", 0, -1, True, [1]])
def test_a_cap_that_is_no_amount_is_refused_in_one_sentence(bench: Bench, name: str, value: Any) -> None:
    with pytest.raises(OctaConfigError, match=f"^{name} must be a number above 0, or left out, not"):
        bench.start(**{name: value})
    assert bench.requests() == []


def test_a_cap_that_does_not_pay_for_a_minute_rents_nothing(bench: Bench) -> None:
    with pytest.raises(OctaBudgetError, match="does not pay for 60 s of the cheapest machine"):
        bench.start(max_cost_usd=1e-9)
    assert bench.posts() == 0


def test_a_cap_on_cost_takes_no_machine_whose_price_nobody_tells(bench: Bench) -> None:
    unpriced = [m.node_id for m in bench.client.services.mr.available() if not m.price_usd]
    assert unpriced
    with pytest.raises(OctaBudgetError, match="tells its price"):
        bench.start(requirements=Requirements(node_id=unpriced[0]), max_cost_usd=1.0)
    assert bench.posts() == 0


@pytest.mark.parametrize(
    ("told", "reached"),
    [
        ({"charge_wei": 10**30}, True),
        ({"charge_wei": 10**15}, False),
        ({"charge_wei": None, "duration_s": 7200}, True),
        ({"charge_wei": 0, "duration_s": 7200}, True),
        ({"charge_wei": None, "duration_s": 10}, False),
        ({"charge_wei": None, "duration_s": None}, False),
    ],
)
def test_a_cap_holds_by_the_charge_and_by_the_time_whichever_is_told(
    bench: Bench, told: dict[str, Any], reached: bool
) -> None:
    rental = bench.start(max_cost_usd=0.05)
    session = msgspec.structs.replace(rental.info(), **told)
    assert (over_budget(rental, session, bench.clock) is not None) is reached


SILENT = {"duration_s": None, "charge_wei": None}


def test_a_session_that_tells_no_duration_reaches_its_caps_by_our_own_count(bench: Bench) -> None:
    bench.emulator.faults(
        {"kind": "missing_fields", "fields": ["duration", "started_at", "charge_amount"], "times": None}
    )
    rental = bench.start(max_duration_s=600)
    bench.clock.sleep(590)
    assert over_budget(rental, rental.info(), bench.clock) is None
    assert not (enough := spends_too_much(rental, rental.info(), bench.clock))()
    bench.clock.sleep(20)
    assert enough()
    with pytest.raises(OctaBudgetError, match=r"has run 6\d\d s of at most 600; it was stopped"):
        rental.wait_until_ready()
    assert bench.running() == []


def test_a_session_that_tells_no_duration_reaches_its_cap_on_cost_by_its_price(bench: Bench) -> None:
    rental = bench.start(max_cost_usd=0.05)
    silent = msgspec.structs.replace(rental.info(), **SILENT, started_at=None)
    assert over_budget(rental, silent, bench.clock) is None
    bench.clock.sleep(0.06 * 3600 / (rental.price_usd or 1))
    assert over_budget(rental, silent, bench.clock) is not None


@pytest.mark.parametrize("adopted", [False, True])
def test_when_a_session_says_that_it_began_counts_where_we_did_not_start_it(adopted: bool) -> None:
    """Our clock may be hours off the API's."""
    clock = LeapingClock()
    began = datetime.fromtimestamp(clock.time() - 7200, tz=timezone.utc)
    terms = Terms("u", max_duration_s=3600, adopted=adopted, known_from=clock.steady_time() - 60)
    session = Session(uuid="u", started_at=began)
    assert (over_budget(terms, session, clock) is not None) is adopted
    # Of an earlier release's state, the start is all that is known.
    assert over_budget(Terms("u", max_duration_s=3600), session, clock) is not None
    ended = Session(uuid="u", started_at=began, finished_at=began + timedelta(seconds=60))
    assert over_budget(Terms("u", max_duration_s=3600), ended, clock) is None


def test_a_rental_at_a_price_of_nothing_is_stopped_while_something_arrives_by_its_time_alone() -> None:
    """A catalogue said 0; a cap on cost came later, with the next try."""
    terms = Terms("u", price_usd=0.0, price_wei=0, max_cost_usd=1.0, max_duration_s=60.0)
    session = Session(uuid="u", duration_s=50, charge_wei=10**18, prices=SessionPrices(market_price=0.5))
    clock = LeapingClock()
    enough = spends_too_much(terms, session, clock)
    assert not enough()
    clock.shift_s += 10
    assert enough()


def test_a_cap_that_nothing_can_tell_of_is_not_left_open(bench: Bench) -> None:
    rental = bench.start()
    bare = Rental(rental.uuid, key=rental.key, max_cost_usd=1.0, _api=bench.client)
    blank = {"prices": None, "charge_wei": 10**30}
    assert over_budget(bare, msgspec.structs.replace(rental.info(), **blank, duration_s=30), bench.clock) is None
    why = over_budget(bare, msgspec.structs.replace(rental.info(), **blank, duration_s=120), bench.clock)
    assert why is not None
    assert "max_cost_usd can't be held" in why


# -- a scarce market ------------------------------------------------------------------------------------------------


@pytest.fixture
def market() -> Iterator[EmulatorHandle]:
    """Room for 60, on machines of which some refuse and some answer 500 when they are full."""
    with start_emulator(in_process=True, machines=60, room=1, start_delay_s=0, balance_octa=10**9) as handle:
        yield handle


@pytest.mark.no_cover  # The same lines 45 times: other tests count them.
def test_no_start_fails_while_a_machine_that_fits_is_free(market: EmulatorHandle) -> None:
    with OctaClient(market.api_key, base_url=market.base_url) as octa:
        free = sum(1 for m in octa.services.mr.available() if m.price_usd)
    tries = min(45, free - 8)

    def start(number: int) -> str:
        # A client and a clock of its own, as a process of its own has.
        with OctaClient(market.api_key, base_url=market.base_url, clock=LeapingClock()) as octa:
            wanted = Requirements(max_price_usd=50)
            return octa.rentals.start(MachineRequest("ubuntu"), key=f"mapped/{number}", requirements=wanted).uuid

    with ThreadPoolExecutor(tries) as pool:
        uuids = set(pool.map(start, range(tries)))
    assert len(uuids) == tries
    assert set(market.ledger(requests=False)["running_uuids"]) == uuids


def test_a_machine_that_comes_on_offer_meanwhile_is_asked_too(bench: Bench) -> None:
    refusing = cheapest(bench)
    only = msgspec.json.encode([refusing.raw]).decode()
    bench.emulator.faults(
        {"kind": "refuse", "node_id": refusing.node_id, "times": None, **START},
        {"kind": "garbage", "path": "/services/mr", "method": "GET", "body": only, "after": 0},
    )
    assert bench.start().node_id != refusing.node_id


def test_what_one_start_has_learnt_of_a_node_is_known_to_the_next(bench: Bench) -> None:
    first = cheapest(bench).node_id
    bench.emulator.faults({"kind": "status", "status": 500, "node_id": first, "times": None, **START})
    bench.start().stop()
    before = bench.clock.at_s
    bench.start(key=f"{bench.key}/next")
    assert bench.clock.at_s - before < 20


def test_a_node_is_asked_last_while_it_fails_or_is_full() -> None:
    memory, machine = NodeMemory(), Machine(raw={}, node_id=7)
    assert memory.standing(machine, 0) is Standing.FREE
    memory.refused(7, now=0)
    assert memory.standing(machine, 29) is Standing.TAKEN
    assert memory.standing(machine, 30) is Standing.FREE
    memory.failed(7, now=30)
    assert memory.standing(machine, 300) is Standing.FAILING
    memory.took(7)
    assert memory.standing(machine, 300) is Standing.FREE


def test_a_node_that_the_accounts_own_sessions_fill_is_asked_last(bench: Bench) -> None:
    first = bench.start()
    memory = NodeMemory()
    memory.saw(bench.client.sessions.list())
    node = next(m for m in bench.client.services.mr.available() if m.node_id == first.node_id)
    expected = Standing.TAKEN if node.gpu_count <= 1 else Standing.FREE
    assert memory.standing(node, 0) is expected


# -- what is told when it goes wrong --------------------------------------------------------------------------------


def test_a_start_that_may_have_left_a_machine_says_so_with_its_key_and_command(bench: Bench) -> None:
    def down(context: RequestContext) -> None:
        if context.method == "POST":
            bench.emulator.faults({**DOWN, "path": "/sessions*"})

    bench.emulator.faults({"kind": "drop_after", **START})
    with (
        OctaClient(
            bench.emulator.api_key, base_url=bench.emulator.base_url, clock=bench.clock, on_request=down
        ) as octa,
        pytest.raises(OctaServerError, match=f"A machine of {bench.key} may have been left") as caught,
    ):
        octa.rentals.start(bench.request, key=bench.key, requirements=Requirements(max_price_usd=5))
    assert f"octa-provider stop --key {bench.key}" in str(caught.value)
    assert len(bench.running()) == 1
    # And what it says helps.
    bench.emulator.clear_faults()
    bench.client.rentals.stop(bench.key)
    assert bench.running() == []


@pytest.mark.parametrize("what", ["job", "rent"])
def test_an_api_that_is_away_before_anything_was_sent_needs_no_stop_and_gives_no_alarm(bench: Bench, what: str) -> None:
    from octa_provider.job.spec import JobSpec

    bench.emulator.faults({**DOWN, **EVERYTHING})

    def work() -> None:
        if what == "job":
            bench.client.jobs.run(JobSpec("ubuntu", "true"), bench.key)
        else:
            with bench.client.rentals.rent(bench.request, key=bench.key):
                pass

    with pytest.raises(OctaError) as caught:
        work()
    assert not isinstance(caught.value, OctaStopError)
    assert "bill" not in str(caught.value)
    assert not [name for name in bench.requests() if name.startswith("POST")]


def test_a_stop_that_fails_after_an_error_neither_hides_it_nor_is_hidden(bench: Bench) -> None:
    def fail() -> None:
        bench.emulator.faults({**DOWN, **EVERYTHING})
        raise OctaConfigError("the first error")

    with (
        pytest.raises(OctaConfigError, match=r"the first error.*still billing.*octa-provider stop"),
        bench.client.rentals.rent(bench.request, key=bench.key, stop_deadline_s=5),
    ):
        fail()
    bench.emulator.clear_faults()


# -- deadlines ------------------------------------------------------------------------------------------------------


def test_a_stop_keeps_its_deadline_whatever_pause_the_server_asks_for(bench: Bench) -> None:
    rental = bench.ready()
    bench.emulator.faults({**BUSY, **LIST})
    before = bench.clock.at_s
    with pytest.raises(OctaStopError):
        rental.stop(deadline_s=5)
    assert bench.clock.at_s - before <= 6


def test_a_start_keeps_its_deadline_whatever_pause_the_server_asks_for(bench: Bench) -> None:
    bench.emulator.faults({**BUSY, **LIST})
    with pytest.raises(OctaError):
        bench.start(deadline_s=5)
    assert bench.clock.at_s <= 6


def test_a_wait_keeps_its_deadline_whatever_pause_the_server_asks_for(bench: Bench) -> None:
    bench.emulator.faults({"kind": "never_ready", **START})
    rental = bench.start()
    bench.emulator.faults({**BUSY, **INFO})
    before = bench.clock.at_s
    with pytest.raises(OctaError):
        rental.wait_until_ready(deadline_s=5)
    assert bench.clock.at_s - before <= 12


def test_many_sessions_are_stopped_at_the_same_time(bench: Bench) -> None:
    for number in range(12):
        bench.start(key=f"{bench.key}/{number}")
    bench.emulator.faults({"kind": "delay", "seconds": 2.0, **STOP, "times": None})
    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url) as octa:
        reaped = octa.rentals.reap(bench.key, dry_run=False, deadline_s=600)
    assert (len(reaped.stopped), reaped.failed) == (12, ())
    stops = [one for one in bench.emulator.ledger()["requests"] if one["faults"] == ["delay"]]
    begun = sorted(stop["at_ms"] for stop in stops)
    # One after the other, each would have begun when the one before was over.
    assert begun[-1] - begun[0] < (len(begun) - 1) * 2000


@pytest.mark.parametrize("score", [0, 6, True, "5", 2.5])
def test_a_score_that_is_none_keeps_no_stop_from_happening(
    bench: Bench, score: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bench.ready().stop(score=score)
    assert bench.running() == []
    assert "is left out: it must be a whole number from 1 to 5" in caplog.text


def test_a_session_that_runs_and_is_among_the_recent_ones_is_not_taken_for_stopped(bench: Bench) -> None:
    rental = bench.ready()
    bench.emulator.faults(
        {"kind": "status", "status": 200, "body": "{}", "times": None, **STOP},
        {"kind": "missing_entry", "all": True, "times": None, "path": "^/sessions$"},
    )
    with pytest.raises(OctaStopError, match=rental.uuid):
        rental.stop(deadline_s=5)
    bench.emulator.clear_faults()


# -- clocks ---------------------------------------------------------------------------------------------------------


class OffClock(HeldClock):
    """A wall clock that is off, and that may jump."""

    def __init__(self, off_s: float = 0.0) -> None:
        super().__init__()
        self.off_s = off_s

    def time(self) -> float:
        return time.time() + self.at_s + self.off_s


@pytest.mark.parametrize("hours", [-48, -2, 2, 48])
def test_the_age_of_a_session_is_the_apis_and_not_this_machines(bench: Bench, hours: float) -> None:
    rental = bench.ready()
    clock = OffClock(hours * 3600)
    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url, clock=clock) as octa:
        reaped = octa.rentals.reap(bench.key, older_than_s=3600)
        assert reaped.orphans == ()
        (orphan,) = octa.rentals.reap(bench.key).orphans
        assert orphan.age_s is not None
        assert orphan.age_s < 600
        assert octa.rentals.reap(bench.key, max_age_s=3600, is_alive=lambda key: True).orphans == ()
    rental.stop()


@pytest.mark.parametrize("hours", [-48, -2, 2, 48])
def test_what_is_adopted_has_run_since_it_began_by_the_apis_count(bench: Bench, hours: float) -> None:
    """A batch that goes on would be over its time at once, or never."""
    rental = bench.ready()
    bench.emulator.advance_clock(1000)
    clock = OffClock(hours * 3600)
    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url, clock=clock) as octa:
        found = octa.rentals.find(bench.key)
        assert found is not None
        for adopted in (found, octa.rentals.start(bench.request, key=bench.key)):
            assert adopted.uuid == rental.uuid
            assert 1000 <= clock.monotonic() - began_at(adopted, clock) < 1600
    rental.stop()


def test_the_clock_of_the_documentation_can_be_held(bench: Bench) -> None:
    class Held(Clock):
        now = 0.0  # type: ignore[assignment]

        def monotonic(self) -> float:
            return self.now  # type: ignore[return-value]

        def sleep(self, seconds: float) -> None:
            self.now += seconds

    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url, clock=Held()) as octa:
        octa.rentals.start(bench.request, key=bench.key)
        assert len(octa.rentals.reap(bench.key, dry_run=False).stopped) == 1


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_wall_clock_that_is_set_ends_no_job(bench: Bench, hours: float) -> None:
    from octa_provider.job.spec import JobSpec
    from octa_provider.job.state import JobPhase, JobState

    spec = JobSpec("ubuntu:24.04", "sleep 60", timeout_s=600)
    clock = OffClock()
    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url, clock=clock) as octa:
        state = octa.jobs.start(spec, bench.key)
        bench.wait_for(lambda: bench.session(state.rental.uuid)["system"][-1] == "service configured")
        clock.off_s = hours * 3600
        state = octa.jobs.poll(state)
        assert state.phase is JobPhase.RUNNING
        clock.off_s *= 2
        assert octa.jobs.poll(state).outcome is None
    # And none that another process carries on with.
    elsewhere = OffClock(hours * 3600)
    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url, clock=elsewhere) as octa:
        assert octa.jobs.poll(JobState.from_dict(state.to_dict())).outcome is None
        octa.rentals.stop(bench.key)


def test_the_own_namespaces_oldest_sessions_are_reaped_although_their_owner_lives(bench: Bench) -> None:
    bench.ready()
    bench.emulator.advance_clock(7200)
    reap = bench.client.rentals.reap
    assert reap(bench.key, max_age_s=10_000, is_alive=lambda key: True).orphans == ()
    assert len(reap(bench.key, max_age_s=3600, is_alive=lambda key: True, dry_run=False).stopped) == 1
    with pytest.raises(OctaConfigError, match="max_age_s"):
        reap(bench.key, max_age_s=0)
