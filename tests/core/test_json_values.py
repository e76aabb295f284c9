"""What leaves for an orchestrator: one shape for a session, a machine and an orphan, in Airflow as in Prefect."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import msgspec
import pytest

from octa_provider.client import OctaClient
from octa_provider.market.ranking import rank
from octa_provider.market.requirements import Requirements
from octa_provider.models import Machine, Session
from octa_provider.rental.json_values import addresses_json, machine_json, orphan_json, rental_json
from octa_provider.rental.reap import Orphan
from octa_provider.rental.session_text import session_text, started_text
from octa_provider.rental.terms import Terms

TERMS = Terms(
    uuid="u1",
    key="prod/airflow/d/r/t/-1",
    service="mr",
    node_id=7,
    price_usd=0.42,
    price_wei=2**70,
    started_at=datetime(2026, 11, 26, 12, tzinfo=timezone.utc),
    max_cost_usd=3.0,
)


def session(**payload: Any) -> Session:
    return Session.from_payload({"uuid": "u1"} | payload)


def check_carried(value: object) -> None:
    """JSON and msgpack take it, and give back the same."""
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value)) == value


def test_a_rental_keeps_all_that_it_is_known_by_and_its_wei_are_text() -> None:
    told = rental_json(TERMS)
    check_carried(told)
    # The machines before are told where there were any.
    assert told.keys() == set(Terms.__struct_fields__) - {"tried"}
    assert told["price_wei"] == str(2**70)
    assert told["started_at"] == "2026-11-26T12:00:00+00:00"
    assert Terms.from_dict(told) == TERMS


def test_what_was_told_of_a_rental_opens_it_again_with_its_caps() -> None:
    with OctaClient("key", base_url="http://127.0.0.1:1") as octa:
        rental = octa.rentals.restore(rental_json(TERMS, session(urls={"80": "https://p.example/"})))
    assert rental.terms == TERMS


def test_of_a_session_that_is_up_its_addresses_are_told_beside_the_rental() -> None:
    up = session(
        ssh_direct={"host": "1.2.3.4", "port": 2222},
        ssh_proxy={"host": "proxy.example", "port": 22},
        ssh_web="https://term.example/u1",
        urls={"8080": "https://page.example/"},
    )
    addresses = {
        "urls": {"8080": "https://page.example/"},
        "ssh": {"host": "1.2.3.4", "port": 2222},
        "ssh_web": "https://term.example/u1",
    }
    assert addresses_json(up) == addresses
    assert rental_json(TERMS, up) == rental_json(TERMS) | addresses


def test_without_a_direct_address_the_proxys_is_told_and_without_any_none() -> None:
    assert addresses_json(session(ssh_proxy={"host": "proxy.example", "port": 22}))["ssh"]["host"] == "proxy.example"
    assert addresses_json(session()) == {}


def test_an_address_that_is_no_web_page_is_left_out() -> None:
    told = addresses_json(session(ssh_web="javascript:x", urls={"80": "data:x", "81": "https://p.example/"}))
    assert told == {"urls": {"81": "https://p.example/"}}


def test_what_a_stranger_wrote_is_made_fit_to_be_carried() -> None:
    odd = session(ssh_direct={"host": "half \ud83d", "port": 22})
    check_carried(rental_json(Terms(uuid="u\ud800", key="k", price_wei=2**300), odd))


def test_a_machine_is_told_by_what_it_is_chosen_by() -> None:
    payload = {
        "node_id": 7,
        "country": "Germany",
        "country_iso": "DE",
        "total_price_usd": 0.42,
        "total_price_wei": str(2**70),
        "gpus": [{"model": "NVIDIA GeForce RTX 4090", "mem_total_mb": 24576}],
    }
    told = machine_json(Machine.from_payload(payload))
    check_carried(told)
    assert (told["node_id"], told["country"], told["gpu_count"]) == (7, "DE", 1)
    assert (told["price_usd"], told["price_wei"]) == (0.42, str(2**70))
    assert told["gpu_memory_gb"] == 25.7


def test_a_machine_meets_what_it_tells_in_the_same_units() -> None:
    payload = {
        "node_id": 7,
        "total_price_usd": 0.42,
        "total_memory": 67_416_670_208,
        "free_disk": 123_456_789_012,
        "gpus": [{"model": "NVIDIA GeForce RTX 4090", "mem_total_mb": 24564}],
    }
    machine = Machine.from_payload(payload)
    told = machine_json(machine)
    assert (told["gpu_memory_gb"], told["memory_gb"], told["free_disk_gb"]) == (25.7, 67.4, 123.4)
    wanted = Requirements(
        gpu_memory_gb=told["gpu_memory_gb"], memory_gb=told["memory_gb"], disk_gb=told["free_disk_gb"]
    )
    assert rank([machine], wanted).machines == (machine,)


def test_what_a_machine_does_not_tell_is_none_and_never_missing() -> None:
    told = machine_json(Machine.from_payload({"node_id": 7}))
    assert list(told) == [
        "node_id",
        "gpu_model",
        "gpu_count",
        "gpu_memory_gb",
        "price_usd",
        "price_wei",
        "country",
        "blender_score",
        "memory_gb",
        "cpu_cores",
        "free_disk_gb",
    ]
    assert {name for name, value in told.items() if value} == {"node_id"}


def test_an_orphan_is_told_with_what_it_has_cost_so_far() -> None:
    told = orphan_json(Orphan("u1", "k", 7, 60.0, 2**70))
    check_carried(told)
    assert told == {"uuid": "u1", "key": "k", "node_id": 7, "age_s": 60.0, "charge_wei": str(2**70)}


@pytest.mark.parametrize(
    ("adopted", "price_usd", "told"),
    [
        (False, 0.123456, "Started session u1 on node 7 at 0.1235 USD/h"),
        (True, None, "Adopted session u1 on node 7"),
    ],
)
def test_a_start_is_told_in_one_sentence(adopted: bool, price_usd: float | None, told: str) -> None:
    terms = Terms(uuid="u1", node_id=7, price_usd=price_usd, adopted=adopted)
    assert started_text(terms) == told
    assert told.endswith(session_text(terms))
