"""The emulated network looks like the live one, the same each time."""

import json

import pytest

from octa_provider.emulator.http.quirks import Quirks
from octa_provider.emulator.platform.apps import make_apps
from octa_provider.emulator.platform.catalogue import make_nodes
from octa_provider.emulator.platform.own_nodes import make_own_nodes

ODD = Quirks(True, 7)
PLAIN = Quirks(False, 7)


def payloads(count, quirks, seed=7):
    return [node.payload for node in make_nodes(count, quirks, seed).values()]


def test_same_seed_gives_the_same_machines():
    assert payloads(40, ODD) == payloads(40, ODD)
    assert payloads(40, ODD) != payloads(40, ODD, seed=8)


def test_a_catalogue_spreads_like_the_live_network():
    machines = payloads(100, PLAIN)
    prices = [machine["total_price_usd"] for machine in machines]
    models = {machine["gpus"][0]["model"] for machine in machines}
    assert min(prices) >= 0.05
    assert max(prices) <= 2.5
    assert max(prices) > 1.5
    assert len(models) >= 7
    assert len({machine["country_iso"] for machine in machines}) >= 6
    assert {len(machine["gpus"]) for machine in machines} == {1, 2, 4, 6, 8}


@pytest.mark.parametrize("seed", range(20))
def test_a_simple_blender_request_always_fits(seed):
    first = payloads(1, Quirks(True, seed), seed)[0]
    assert first["blender_score"] > 10_000
    assert first["total_price_usd"] < 0.5
    assert first["gpus"][0]["mem_total_mb"] >= 24_000
    assert first["free_disk"] >= 400 * 1024**3


def test_every_oddity_of_a_machine_appears_in_a_dozen():
    machines = payloads(12, ODD)
    assert any(machine["net_down_mbits"] > 100_000 for machine in machines)
    assert any("total_price_usd" not in machine for machine in machines)
    assert any(machine["gpus"] is None and isinstance(machine["gpu"], str) for machine in machines)
    assert not any(machine["gpus"] is None and machine.get("is_has_gpu") for machine in machines)
    assert any("blender_score" not in machine for machine in machines)
    assert any(machine.get("blender_score", 0) is None for machine in machines)
    assert any(isinstance(machine["total_price_wei"], str) for machine in machines)
    assert any(isinstance(machine["reliability"], float) for machine in machines)
    assert any(machine["reliability"] is None for machine in machines)
    assert any("tpm_version" in machine for machine in machines)


def test_the_unavailable_machine_is_the_most_expensive_of_the_odd_ones():
    nodes = list(make_nodes(12, ODD, 7).values())
    unavailable = [node for node in nodes if node.unavailable]
    assert len(unavailable) == 1
    assert unavailable[0].price_wei == max(node.price_wei for node in nodes[3:])
    assert not any(node.unavailable for node in make_nodes(7, ODD, 7).values())


def test_without_quirks_every_machine_is_complete():
    for machine in payloads(30, PLAIN):
        assert isinstance(machine["total_price_usd"], float)
        assert machine["net_down_mbits"] < 100_000
        assert machine["reliability"]["rating"]["count"]
    assert not any(node.unavailable or node.full_with_500 for node in make_nodes(30, PLAIN, 7).values())


def test_apps_give_their_ports_as_lists_and_as_json_strings():
    apps = make_apps(ODD)
    forms = [app[name] for app in apps for name in ("ports", "http_ports")]
    assert any(isinstance(form, list) for form in forms)
    assert any(form and isinstance(form, str) and isinstance(json.loads(form), list) for form in forms)
    values = [value for app in apps for value in app["envs"].values()]
    assert None in values
    assert any(isinstance(value, int) for value in values)


def test_empty_ports_come_as_an_empty_string_too():
    forms = [Quirks(True, seed).port_list([], ordinal) for seed in range(4) for ordinal in range(8)]
    assert {"[]" if form == [] else form for form in forms} == {"[]", ""}


def test_without_quirks_apps_are_plain():
    for app in make_apps(PLAIN):
        assert isinstance(app["ports"], list)
        assert all(isinstance(value, str) and value != "None" for value in app["envs"].values())
    assert any(value == "" for app in make_apps(PLAIN) for value in app["envs"].values())


def test_a_network_of_one_machine_has_own_nodes_too():
    nodes = make_nodes(1, ODD, 1)
    assert list(make_own_nodes(nodes, 0)) == [9001, 9002]
