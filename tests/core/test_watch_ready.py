"""Waiting over a shared watcher until a session can be used, and looking after its caps: in threads and coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from octa_provider.errors import OctaAuthenticationError, OctaBudgetError, OctaError, OctaSessionFailedError
from octa_provider.models import Session, SessionPhase
from octa_provider.rental.rental import Rental
from octa_provider.rental.terms import Terms
from octa_provider.rental.wait import may_still_appear
from octa_provider.watch.cap_keeper import watch_caps_async
from octa_provider.watch.ready import wait_until_ready, wait_until_ready_async
from octa_provider.watch.watcher import watcher_for
from tests.core.rental_bench import LIST, Bench, bench, emulator

__all__ = ["bench", "emulator"]

Wait = Callable[[Rental, float], "Session | None"]


def in_a_thread(rental: Rental, deadline_s: float) -> Session | None:
    with watcher_for(rental.api, 5) as watcher:
        return wait_until_ready(watcher, rental, deadline_s)


def in_a_coroutine(rental: Rental, deadline_s: float) -> Session | None:
    async def wait() -> Session | None:
        with watcher_for(rental.api, 5) as watcher:
            return await wait_until_ready_async(watcher, rental, deadline_s, asyncio.to_thread)

    return asyncio.run(wait())


both = pytest.mark.parametrize("wait", [in_a_thread, in_a_coroutine])


@both
def test_a_session_that_is_up_is_returned_with_its_addresses(bench: Bench, wait: Wait) -> None:
    rental = bench.ready(max_cost_usd=100)
    session = wait(rental, 900)
    assert session is not None
    assert session.phase is SessionPhase.READY
    assert session.ssh_direct is not None


@both
def test_what_is_too_late_runs_on_for_the_caller_to_stop(bench: Bench, wait: Wait) -> None:
    bench.emulator.faults({"kind": "never_ready"})
    rental = bench.start()
    assert wait(rental, 60) is None
    assert 60 <= bench.clock.at_s < 80
    assert bench.running() == [rental.uuid]


@both
def test_a_deadline_that_has_passed_is_too_late_at_once(bench: Bench, wait: Wait) -> None:
    bench.emulator.faults({"kind": "never_ready"})
    assert wait(bench.start(), 0) is None


@both
def test_a_cap_that_is_reached_while_it_comes_up_stops_it(bench: Bench, wait: Wait) -> None:
    bench.emulator.faults({"kind": "never_ready"})
    rental = bench.start(max_duration_s=600)
    bench.emulator.advance_clock(601)
    with pytest.raises(OctaBudgetError, match=r"has run 60\d s of at most 600; it was stopped"):
        wait(rental, 900)
    assert bench.running() == []


@both
def test_a_session_that_has_ended_is_told_with_the_reason(bench: Bench, wait: Wait) -> None:
    rental = bench.start()
    bench.emulator.end_session(rental.uuid, "node went away")
    with pytest.raises(OctaSessionFailedError, match=r"has ended \(node went away\)"):
        wait(rental, 900)


@both
def test_a_refused_key_ends_the_wait(bench: Bench, wait: Wait) -> None:
    rental = bench.ready()
    # For good: what is refused once may be a gateway's slip.
    bench.emulator.faults({"kind": "status", "status": 401, "times": None, **LIST})
    with pytest.raises(OctaAuthenticationError):
        wait(rental, 900)
    bench.emulator.clear_faults()


@both
def test_a_later_twin_is_stopped_by_the_watcher(bench: Bench, wait: Wait) -> None:
    rental = bench.ready()
    twin = bench.rent_elsewhere()
    assert wait(rental, 900) is not None
    bench.wait_for(lambda: bench.running() == [rental.uuid])
    assert bench.session(twin)["stopped_ms"] is not None


def test_a_wait_that_is_cancelled_leaves_the_session_running(bench: Bench) -> None:
    bench.emulator.faults({"kind": "never_ready"})
    rental = bench.start()
    with watcher_for(bench.client, 5) as watcher:
        assert wait_until_ready(watcher, rental, 900, is_cancelled=lambda: bench.clock.at_s > 20) is None
    assert bench.clock.at_s < 60
    assert bench.running() == [rental.uuid]


def test_a_ready_session_costs_a_coroutine_no_thread(bench: Bench) -> None:
    rental = bench.ready(max_cost_usd=100)

    def refused(*arguments: Any) -> Any:
        raise AssertionError("nothing is left to ask")

    async def wait() -> Session | None:
        with watcher_for(bench.client, 5) as watcher:
            return await wait_until_ready_async(watcher, rental, 900, refused)

    assert asyncio.run(wait()) is not None


# -- caps ----------------------------------------------------------------------------------------------------------


def watched(rental: Rental, within_s: float = 20) -> tuple[Session | None, str | None]:
    async def watch() -> tuple[Session | None, str | None]:
        with watcher_for(rental.api, 5) as watcher:
            return await watch_caps_async(watcher, rental, within_s)

    return asyncio.run(watch())


def test_a_session_below_its_caps_is_told_as_it_was_last_seen(bench: Bench) -> None:
    rental = bench.ready(max_duration_s=600)
    session, cap = watched(rental)
    assert session is not None
    assert (session.uuid, cap) == (rental.uuid, None)
    assert bench.clock.at_s >= 20


def test_a_cap_that_is_reached_is_told_at_once_and_the_session_runs_on(bench: Bench) -> None:
    rental = bench.ready(max_duration_s=600)
    bench.emulator.advance_clock(601)
    session, cap = watched(rental, 900)
    assert session is not None
    assert cap == f"has run {session.duration_s} s of at most 600"
    assert bench.clock.at_s < 20
    assert bench.running() == [rental.uuid]


def test_a_session_that_has_ended_is_told_so(bench: Bench) -> None:
    rental = bench.ready()
    bench.emulator.end_session(rental.uuid, "node went away")
    session, cap = watched(rental, 900)
    assert session is not None
    assert session.finished_at is not None
    assert cap is None


def test_a_session_that_no_list_shows_in_time_is_unseen(bench: Bench) -> None:
    rental = bench.ready()
    bench.emulator.faults({"kind": "status", "status": 503, "times": None, **LIST})
    assert watched(rental) == (None, None)


def test_a_session_that_nobody_knows_is_an_error(bench: Bench) -> None:
    with pytest.raises(OctaError):
        watched(bench.client.rentals.open("11111111-2222-4333-8444-555555555555", bench.key), 900)


# -- a session that no look shows ----------------------------------------------------------------------------------


def test_a_session_that_has_just_begun_may_still_appear(bench: Bench) -> None:
    begun = Terms(uuid="11111111-2222-4333-8444-555555555555", started_at=bench.clock.now())
    assert may_still_appear(bench.client, begun, None)
    bench.clock.sleep(20)
    # However short a while it has been waited for.
    assert not may_still_appear(bench.client, begun, bench.clock.now())


@pytest.mark.parametrize("hours", [-3, 3])
def test_how_new_a_session_is_is_our_own_count_where_the_apis_clock_is_another(bench: Bench, hours: float) -> None:
    # Five minutes to come: a busy computer's are no reason.
    began_s = bench.clock.time() + 300
    told = bench.clock.now() + timedelta(hours=hours)
    begun = Terms(uuid="11111111-2222-4333-8444-555555555555", started_at=told, known_from=began_s)
    assert may_still_appear(bench.client, begun, None)
    bench.clock.sleep(320)
    assert not may_still_appear(bench.client, begun, None)


def test_a_plain_uuid_counts_from_when_it_is_waited_for(bench: Bench) -> None:
    rental = bench.client.rentals.open("11111111-2222-4333-8444-555555555555")
    since = bench.clock.now()
    assert not may_still_appear(bench.client, rental, None)
    assert may_still_appear(bench.client, rental, since)
    bench.clock.sleep(20)
    assert not may_still_appear(bench.client, rental, since)


def test_a_session_that_has_ended_will_not_appear(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.end_session(rental.uuid, "node went away")
    assert not may_still_appear(bench.client, rental, bench.clock.now())
