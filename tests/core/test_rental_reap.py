"""Reaping: sessions of ours whose owner is gone, and nobody else's."""

from __future__ import annotations

import pytest

from octa_provider.client import OctaClient
from octa_provider.errors import OctaConfigError
from octa_provider.market.requirements import Requirements
from octa_provider.rental.reap import Reaped
from tests.core.rental_bench import EVERYTHING, STOP, Bench, bench, emulator

__all__ = ["bench", "emulator"]


def reap(bench: Bench, **options: object) -> Reaped:
    return bench.client.rentals.reap(bench.key, **options)  # type: ignore[arg-type]


def _installation(bench: Bench, namespace: str) -> OctaClient:
    return OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url, clock=bench.clock, namespace=namespace)


def test_a_dry_run_says_what_it_would_stop_and_stops_nothing(bench: Bench) -> None:
    uuid = bench.rent_elsewhere()
    bench.emulator.advance_clock(100)
    found = reap(bench)
    [orphan] = found.orphans
    assert (orphan.uuid, orphan.key, orphan.node_id) == (uuid, bench.key, 1003)
    assert orphan.age_s == pytest.approx(100, abs=5)
    assert orphan.charge_wei
    assert found.stopped == ()
    assert bench.running() == [uuid]


def test_reaping_stops_what_it_found(bench: Bench) -> None:
    uuids = {bench.rent_elsewhere(), bench.rent_elsewhere()}
    found = reap(bench, dry_run=False)
    assert set(found.stopped) == uuids
    assert found.failed == ()
    assert bench.running() == []


def test_a_prefix_matches_by_whole_segments(bench: Bench) -> None:
    inside, itself = bench.rent_elsewhere(key=f"{bench.key}/a/1"), bench.rent_elsewhere(key=f"{bench.key}/a")
    beside = bench.rent_elsewhere(key=f"{bench.key}/ab/1")
    found = bench.client.rentals.reap(f"{bench.key}/a/", dry_run=False)
    assert {orphan.uuid for orphan in found.orphans} == {inside, itself}
    assert bench.session(beside)["stopped_ms"] is None


def test_without_a_prefix_all_of_ours_are_found_and_nobody_elses(bench: Bench) -> None:
    stranger, ours = bench.rent_elsewhere(key=None), bench.rent_elsewhere()
    found = bench.client.rentals.reap(dry_run=False)
    assert [orphan.uuid for orphan in found.orphans] == [ours]
    assert bench.session(stranger)["stopped_ms"] is None


def test_young_sessions_are_kept(bench: Bench) -> None:
    old = bench.rent_elsewhere()
    bench.emulator.advance_clock(3600)
    young = bench.rent_elsewhere()
    found = reap(bench, older_than_s=1800, dry_run=False)
    assert found.stopped == (old,)
    assert found.kept == 1
    assert bench.running() == [young]


def test_a_session_whose_owner_lives_is_kept(bench: Bench) -> None:
    dead, alive = bench.rent_elsewhere(key=f"{bench.key}/dead"), bench.rent_elsewhere(key=f"{bench.key}/alive")
    found = reap(bench, is_alive=lambda key: key.endswith("/alive"), dry_run=False)
    assert found.stopped == (dead,)
    assert bench.session(alive)["stopped_ms"] is None


def test_an_owner_that_cannot_be_asked_counts_as_alive(bench: Bench) -> None:
    uuid = bench.rent_elsewhere()

    def ask(key: str) -> bool:
        raise ConnectionError("the orchestrator's database is down")

    found = reap(bench, is_alive=ask, dry_run=False)
    assert found.orphans == ()
    assert bench.running() == [uuid]


def test_what_cannot_be_stopped_in_time_is_told(bench: Bench) -> None:
    uuid = bench.rent_elsewhere()
    bench.emulator.faults({"kind": "status", "status": 503, "times": None, **STOP})
    found = reap(bench, dry_run=False, deadline_s=60)
    assert found.failed == (uuid,)
    assert found.stopped == ()


def test_reaping_works_through_an_outage(bench: Bench) -> None:
    uuid = bench.rent_elsewhere()
    bench.emulator.faults({"kind": "status", "status": 503, **EVERYTHING})
    bench.recover_after(120)
    assert reap(bench, dry_run=False).stopped == (uuid,)


def test_sessions_that_do_not_echo_their_environment_are_nobodys(bench: Bench) -> None:
    uuid = bench.rent_elsewhere()
    bench.emulator.faults({"kind": "no_user_envs", "times": None})
    assert reap(bench, dry_run=False).orphans == ()
    assert bench.running() == [uuid]


def test_a_store_that_two_installations_share_does_not_make_one_reap_the_others_sessions(bench: Bench) -> None:
    bench.emulator.faults({"kind": "no_user_envs", "times": None})
    with _installation(bench, "east") as east, _installation(bench, "west") as west:
        rental = west.rentals.start(bench.request, key=bench.key, requirements=Requirements(max_price_usd=5))
        assert east.rentals.reap(dry_run=False).orphans == ()
        assert east.rentals.reap(dry_run=False, any_namespace=True, is_alive=lambda key: None).orphans == ()
        assert bench.session(rental.uuid)["stopped_ms"] is None
        assert west.rentals.reap(dry_run=False).stopped == (rental.uuid,)


def test_an_age_that_cannot_be_is_refused(bench: Bench) -> None:
    with pytest.raises(OctaConfigError, match="older_than_s"):
        reap(bench, older_than_s=-1)
