"""What runs on an account: whose it is, by the key and by what was written down, and what it has cost until now."""

from __future__ import annotations

from pathlib import Path

import pytest

from octa_provider.client import OctaClient
from octa_provider.market.request import VpnRequest
from octa_provider.rental.intents import FolderIntents
from octa_provider.rental.kept import note_kept
from octa_provider.rental.key import MAX_KEY_CHARS
from octa_provider.rental.running import OwnedSession
from tests.core.rental_bench import LIST, Bench, bench, emulator

__all__ = ["bench", "emulator"]


def installation(bench: Bench, namespace: str, folder: Path) -> OctaClient:
    where = {"base_url": bench.emulator.base_url, "clock": bench.clock}
    return OctaClient(bench.emulator.api_key, namespace=namespace, intents=FolderIntents(folder), **where)


def of(client: OctaClient, uuid: str) -> OwnedSession:
    return next(one for one in client.rentals.running().sessions if one.uuid == uuid)


def test_each_session_tells_whose_it_is(bench: Bench, tmp_path: Path) -> None:
    with installation(bench, "studio", tmp_path) as studio, installation(bench, "farm", tmp_path / "farm") as farm:
        ours = studio.rentals.start(bench.request, key="airflow/a/b/c/-1")
        theirs = farm.rentals.start(bench.request, key="airflow/a/b/c/-1")
        nobodys = bench.rent_elsewhere(key=None)
        earlier = bench.rent_elsewhere(key="airflow/a/b/c/-1")
        found = {one.uuid: one for one in studio.rentals.running().sessions}
    assert (found[ours.uuid].is_own, found[ours.uuid].work_key) == (True, "airflow/a/b/c/-1")
    assert found[ours.uuid].key == "studio/airflow/a/b/c/-1"
    assert (found[theirs.uuid].is_own, found[theirs.uuid].namespace, found[theirs.uuid].work_key) == (
        False,
        "farm",
        None,
    )
    assert (found[nobodys].is_own, found[nobodys].key, found[nobodys].namespace) == (False, None, None)
    # Who started it told no namespace: it may be anybody's.
    assert (found[earlier].is_own, found[earlier].namespace) == (False, "")


def test_a_session_that_tells_no_key_is_known_by_what_was_written_down(bench: Bench, tmp_path: Path) -> None:
    with installation(bench, "studio", tmp_path) as studio:
        vpn = studio.rentals.start(VpnRequest(), key="airflow/a/b/vpn/-1")
        found = of(studio, vpn.uuid)
    assert found.session.rental_key is None
    assert (found.is_own, found.work_key) == (True, "airflow/a/b/vpn/-1")


def test_a_session_that_is_kept_for_a_look_tells_until_when(bench: Bench, tmp_path: Path) -> None:
    with installation(bench, "studio", tmp_path) as studio, installation(bench, "farm", tmp_path / "farm") as farm:
        kept = studio.rentals.start(bench.request, key="airflow/a/b/kept/-1")
        other = studio.rentals.start(bench.request, key="airflow/a/b/other/-1")
        until = bench.clock.time() + 600
        assert note_kept(studio.rentals._api, kept.terms, until)
        assert of(studio, kept.uuid).kept_until == pytest.approx(until)
        found = studio.rentals.look_up(kept.uuid)
        assert found is not None
        assert found.kept_until == pytest.approx(until)
        assert of(studio, other.uuid).kept_until is None
        # Nobody has told an installation elsewhere.
        assert of(farm, kept.uuid).kept_until is None


def test_a_text_that_is_too_long_for_a_key_is_none(bench: Bench, tmp_path: Path) -> None:
    """A page of all sessions takes each key apart: of one with millions of parts it would not come to its end."""
    stranger = bench.rent_elsewhere(key="airflow/" * (MAX_KEY_CHARS // 8) + "x")
    ours = bench.rent_elsewhere(key="airflow/" + "a" * (MAX_KEY_CHARS - 8))
    with installation(bench, "", tmp_path) as octa:
        assert of(octa, stranger).key is of(octa, stranger).work_key is None
        assert of(octa, ours).key == "airflow/" + "a" * (MAX_KEY_CHARS - 8)


def test_each_session_tells_what_it_has_cost_until_now_the_oldest_first(bench: Bench) -> None:
    first = bench.rent_elsewhere()
    bench.emulator.advance_clock(3600)
    second = bench.rent_elsewhere()
    found = [one for one in bench.client.rentals.running().sessions if one.key == bench.key]
    assert [one.uuid for one in found] == [first, second]
    old, young = found
    assert old.age_s == pytest.approx(3600, abs=30)
    assert old.charge_wei is not None
    assert old.price_usd is not None
    # Its price is told in steps of 1/10,000 USD.
    assert old.charge_usd == pytest.approx(old.price_usd, rel=0.05)
    assert old.spent_usd == pytest.approx(old.price_usd, rel=0.05)
    assert young.charge_wei is not None
    assert young.charge_wei < old.charge_wei / 10


def test_a_record_that_cannot_be_read_is_counted(bench: Bench) -> None:
    bench.rent_elsewhere()
    bench.emulator.faults({"kind": "missing_fields", "fields": ["uuid"], **LIST})
    found = bench.client.rentals.running()
    assert (found.sessions, found.odd) == ((), 1)


def test_all_that_look_within_the_interval_share_one_request(bench: Bench, tmp_path: Path) -> None:
    uuid = bench.rent_elsewhere()
    with installation(bench, "studio", tmp_path) as another:
        for client in (bench.client, another, bench.client, another):
            assert uuid in {one.uuid for one in client.rentals.running(max_age_s=10).sessions}
        assert bench.requests().count("GET /sessions") == 1
        bench.clock.sleep(10.5)
        another.rentals.running(max_age_s=10)
        assert bench.requests().count("GET /sessions") == 2


def test_a_session_is_looked_up_while_it_runs_and_after_it_ended(bench: Bench) -> None:
    uuid = bench.rent_elsewhere()
    before = bench.client.rentals.look_up(uuid)
    assert before is not None
    assert (before.key, before.session.finished_at) == (bench.key, None)
    bill = bench.client.rentals.open(uuid).stop()
    after = bench.client.rentals.look_up(uuid)
    assert after is not None
    assert (after.key, after.charge_wei) == (bench.key, bill.charge_wei)
    assert after.session.finished_at is not None
    assert bench.client.rentals.look_up("00000000-0000-4000-8000-000000000000") is None
