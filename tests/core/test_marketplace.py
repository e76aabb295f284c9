"""Which machines fit, in which order, and why the others do not."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octa_provider import OctaConfigError, OctaNoMachineError, Refusal, Requirements
from octa_provider.market.ranking import rank, rank_vpn
from octa_provider.market.requirement_checks import REQUIREMENT_NAMES
from octa_provider.models import Machine, VpnMachine

FULL: dict[str, Any] = {
    "country": "Germany",
    "country_iso": "DE",
    "cpu_cores": 16,
    "total_memory": 64 * 1000**3,
    "free_disk": 200 * 1000**3,
    "gpus": [{"model": "NVIDIA GeForce RTX 4090", "mem_total_mb": 24564}] * 2,
    "blender_score": 5000,
    "total_price_usd": 0.5,
    "reliability": {"s_normal": 99, "s_failed": 1},
}


def machine(node_id: int, **changes: Any) -> Machine:
    return Machine.from_payload({"node_id": node_id, **FULL, **changes})


def vpn(node_id: int, **fields: Any) -> VpnMachine:
    return VpnMachine.from_payload({"node_id": node_id, **fields})


def ids(machines: Any) -> list[int]:
    return [m.node_id for m in machines]


CHECKS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"gpu_model": "4090"}, {"gpus": [{"model": "NVIDIA A100", "mem_total_mb": 81920}]}, "without a 4090 GPU"),
    ({"gpu_count": 2}, {"gpus": [{"model": "NVIDIA GeForce RTX 4090", "mem_total_mb": 24564}]}, "too few GPUs"),
    (
        {"gpu_model": "rtx 4090", "gpu_count": 2},
        {"gpus": [{"model": "NVIDIA GeForce RTX 4090"}, {"model": "NVIDIA A100"}]},
        "too few GPUs",
    ),
    ({"gpu_memory_gb": 24}, {"gpus": [{"model": "x", "mem_total_mb": 22528}]}, "too little GPU memory"),
    ({"cpu_cores": 16}, {"cpu_cores": 15}, "too few cores"),
    ({"memory_gb": 64}, {"total_memory": 64 * 1000**3 - 1}, "too little memory"),
    ({"disk_gb": 200}, {"free_disk": 200 * 1000**3 - 1}, "too little disk"),
    ({"country": "de"}, {"country": "Austria", "country_iso": "AT"}, "not in de"),
    ({"country": " Germany "}, {"country": "Austria", "country_iso": "AT"}, "not in  Germany "),
    ({"min_blender_score": 5000}, {"blender_score": 4999}, "too slow in Blender"),
    ({"min_reliability": 99.0}, {"reliability": {"s_normal": 989, "s_failed": 11}}, "not reliable enough"),
    ({"max_price_usd": 0.5}, {"total_price_usd": 0.51}, "too expensive (cheapest 0.51 USD/h)"),
    ({"exclude_nodes": (2,)}, {}, "excluded"),
]


@pytest.mark.parametrize(("wanted", "lacking", "reason"), CHECKS)
def test_each_requirement_parts_those_that_meet_it_from_those_that_do_not(
    wanted: dict[str, Any], lacking: dict[str, Any], reason: str
) -> None:
    ranking = rank([machine(2, **lacking), machine(1)], Requirements(**wanted))
    assert ids(ranking.machines) == [1]
    assert ranking.refusals == (Refusal(2, reason),)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"gpu_model": "4090"}, "gpus"),
        ({"gpu_count": 1}, "gpus"),
        ({"gpu_memory_gb": 1}, "gpus"),
        ({"cpu_cores": 1}, "cpu_cores"),
        ({"memory_gb": 1}, "total_memory"),
        ({"disk_gb": 1}, "free_disk"),
        ({"min_blender_score": 1}, "blender_score"),
        ({"min_reliability": 0}, "reliability"),
        ({"max_price_usd": 1000}, "total_price_usd"),
    ],
)
def test_what_a_machine_does_not_tell_counts_as_not_met(wanted: dict[str, Any], field: str) -> None:
    assert rank([machine(1, **{field: None})], Requirements(**wanted)).machines == ()
    assert ids(rank([machine(1, **{field: None})], Requirements()).machines) == [1]


@pytest.mark.parametrize(("sold_gb", "told_mib"), [(24, 24564), (24, 24268), (16, 16376), (80, 81251), (48, 49140)])
def test_a_card_sold_with_so_many_gb_has_them(sold_gb: int, told_mib: int) -> None:
    offered = machine(1, gpus=[{"model": "x", "mem_total_mb": told_mib}])
    assert rank([offered], Requirements(gpu_memory_gb=sold_gb)).machines == (offered,)


def test_the_cheapest_comes_first_and_the_unpriced_last() -> None:
    offers = [machine(1, total_price_usd=None), machine(2, total_price_usd=0.9), machine(3, total_price_usd=0.2)]
    assert ids(rank(offers, Requirements()).machines) == [3, 2, 1]


def test_the_fastest_comes_first_by_blender_score() -> None:
    offers = [machine(1, blender_score=None), machine(2, blender_score=100), machine(3, blender_score=900)]
    assert ids(rank(offers, Requirements(order_by="blender_score")).machines) == [3, 2, 1]


def test_the_most_speed_for_the_money_comes_first_by_score_per_usd() -> None:
    offers = [
        machine(1, blender_score=1000, total_price_usd=1.0),
        machine(2, blender_score=900, total_price_usd=0.3),
        machine(3, blender_score=9000, total_price_usd=None),
        machine(4, blender_score=9000, total_price_usd=0),
    ]
    assert ids(rank(offers, Requirements(order_by="score_per_usd")).machines)[:2] == [2, 1]


@given(st.randoms(use_true_random=False))
def test_two_workers_rank_the_same_catalogue_alike(shuffler: random.Random) -> None:
    offers = [machine(n, total_price_usd=price) for n, price in enumerate([0.1, 0.1, 0.1, 0.2, None, None])]
    shuffler.shuffle(offers)
    for order in ("price", "blender_score", "score_per_usd"):
        assert ids(rank(offers, Requirements(order_by=order)).machines) == [0, 1, 2, 3, 4, 5]


def test_one_node_that_is_asked_for_is_taken_alone_or_explained() -> None:
    offers = [machine(1), machine(2, total_price_usd=9.0)]
    assert ids(rank(offers, Requirements(node_id=2)).machines) == [2]
    gone = rank(offers, Requirements(node_id=7))
    assert gone.refusals == (Refusal(7, "not on offer"),)
    assert gone.explain() == "no machine fits: 1 not on offer"
    assert rank(offers, Requirements(node_id=2, max_price_usd=1)).machines == ()


def test_the_explanation_counts_the_reasons_and_names_the_nearest() -> None:
    few = [{"model": "NVIDIA GeForce RTX 4090", "mem_total_mb": 24564}]
    offers = [machine(n, total_price_usd=0.62 + n) for n in range(3)] + [machine(9, gpus=few), machine(8, gpus=[])]
    ranking = rank(offers, Requirements(gpu_model="4090", gpu_count=2, max_price_usd=0.6))
    assert ranking.explain() == (
        "no machine fits: 3 too expensive (cheapest 0.62 USD/h), 1 too few GPUs, 1 without a 4090 GPU; "
        "nearest: node 9 (1 x NVIDIA GeForce RTX 4090, 0.50 USD/h)"
    )
    assert ranking.nearest is not None
    error = ranking.error()
    assert isinstance(error, OctaNoMachineError)
    assert str(error) == ranking.explain()
    assert len(error.refusals) == 5


def test_the_nearest_may_have_neither_gpu_nor_price() -> None:
    ranking = rank([machine(1, gpus=None, total_price_usd=None)], Requirements(max_price_usd=1))
    assert ranking.explain() == "no machine fits: 1 too expensive; nearest: node 1 (no GPU, price unknown)"


def test_an_empty_catalogue_is_said_to_be_empty() -> None:
    assert rank([], Requirements()).explain() == "no machine fits: the catalogue is empty"


@given(st.lists(st.floats(0.01, 5) | st.none(), max_size=20), st.floats(0.01, 5))
def test_every_machine_either_fits_or_is_refused(prices: list[float | None], cap: float) -> None:
    offers = [machine(n, total_price_usd=price) for n, price in enumerate(prices)]
    ranking = rank(offers, Requirements(max_price_usd=cap))
    assert sorted([*ids(ranking.machines), *ids(ranking.refusals)]) == list(range(len(prices)))
    assert all(m.price_usd is not None and m.price_usd <= cap for m in ranking.machines)


@pytest.mark.parametrize(
    "wrong",
    [
        {"node_id": -1},
        {"node_id": "7"},
        {"gpu_count": 1.5},
        {"cpu_cores": True},
        {"gpu_memory_gb": -1},
        {"memory_gb": float("nan")},
        {"disk_gb": float("inf")},
        {"max_price_usd": 0},
        {"max_price_usd": "0.5"},
        {"min_blender_score": True},
        {"min_reliability": -0.1},
        {"gpu_model": ""},
        {"gpu_model": 4090},
        {"country": "  "},
        {"order_by": "cheapest"},
        {"node_id": 7, "exclude_nodes": (7,)},
        {"exclude_nodes": "12"},
        {"exclude_nodes": None},
        {"exclude_nodes": ["12"]},
    ],
)
def test_requirements_that_no_machine_could_meet_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OctaConfigError):
        Requirements(**wrong)


def test_requirements_come_from_a_mapping_and_unknown_names_are_told() -> None:
    wanted = Requirements.from_mapping({"gpu_model": "4090", "exclude_nodes": [1, 2]})
    assert wanted == Requirements(gpu_model="4090", exclude_nodes=(1, 2))
    with pytest.raises(OctaConfigError, match=r"no gpu, price: choose from .*gpu_model"):
        Requirements.from_mapping({"price": 1, "gpu": "4090"})


def test_more_nodes_can_be_excluded() -> None:
    assert Requirements(exclude_nodes=(1,)).without_nodes([2, 3]).exclude_nodes == (1, 2, 3)


def test_vpn_machines_are_chosen_by_place_and_ordered_by_traffic_price() -> None:
    offers = [
        vpn(1, country="Germany", country_iso="DE", traffic_price_usd=0.2),
        vpn(2, country="Germany", country_iso="DE", traffic_price_usd=0.1),
        vpn(3, country="Austria", country_iso="AT", traffic_price_usd=0.01),
        vpn(4, country="Germany", country_iso="DE"),
    ]
    assert ids(rank_vpn(offers, Requirements())) == [3, 2, 1, 4]
    assert ids(rank_vpn(offers, Requirements(country="de"))) == [2, 1, 4]
    assert ids(rank_vpn(offers, Requirements(node_id=1))) == [1]
    assert ids(rank_vpn(offers, Requirements(country="DE", exclude_nodes=(2,)))) == [1, 4]
    with pytest.raises(OctaNoMachineError):
        rank_vpn(offers, Requirements(country="FR"))
    with pytest.raises(OctaConfigError, match="gpu_model, max_price_usd"):
        rank_vpn(offers, Requirements(gpu_model="4090", max_price_usd=1))


@pytest.mark.parametrize("texts", [["A100", "rtx 4090"], ("rtx 4090", "A100"), {"A100", "rtx 4090"}])
def test_one_of_several_models_or_countries_will_do(texts: Any) -> None:
    offers = [
        machine(1),
        machine(2, gpus=[{"model": "NVIDIA A100"}, {"model": "NVIDIA GeForce RTX 4090"}]),
        machine(3, gpus=[{"model": "NVIDIA A100"}] * 2, country="Austria", country_iso="AT"),
        machine(4, gpus=[{"model": "NVIDIA GeForce RTX 3060"}] * 2),
        machine(5, country="France", country_iso="FR"),
    ]
    wanted = Requirements(gpu_model=texts, gpu_count=2, country=["Germany", "at"])
    ranking = rank(offers, wanted)
    # A job can't share its work between cards of two models.
    assert sorted(ids(ranking.machines)) == [1, 3]
    reasons = {refusal.node_id: refusal.reason for refusal in ranking.refusals}
    assert reasons[2] == "too few GPUs"
    assert reasons[4] in {"without a A100 or rtx 4090 GPU", "without a rtx 4090 or A100 GPU"}
    assert reasons[5] == "not in Germany or at"
    assert Requirements.from_mapping(json.loads(json.dumps(asdict(wanted)))) == wanted
    assert hash(wanted) == hash(Requirements.from_mapping(asdict(wanted)))


def test_a_list_of_one_is_that_one() -> None:
    assert Requirements(gpu_model=["4090"], country=("DE",)) == Requirements(gpu_model="4090", country="DE")


@pytest.mark.parametrize("texts", [[], [""], ["4090", None], ["4090", 3090], {"4090": 1}, 4090])
def test_a_list_that_names_nothing_is_refused(texts: Any) -> None:
    for name in ("gpu_model", "country"):
        with pytest.raises(OctaConfigError, match=f"{name} must be text, such as '4090' or 'DE', a list of these"):
            Requirements(**{name: texts})


def test_a_vpn_exit_may_be_in_one_of_several_countries() -> None:
    offers = [vpn(1, country="Germany", country_iso="DE"), vpn(2, country="France", country_iso="FR"), vpn(3)]
    assert {one.node_id for one in rank_vpn(offers, Requirements(country=["DE", "france"]))} == {1, 2}


def test_what_checks_requirements_knows_all_of_them() -> None:
    assert tuple(field.name for field in fields(Requirements)) == REQUIREMENT_NAMES
