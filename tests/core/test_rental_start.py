"""Starting exactly once: the five steps, and what went wrong elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from octa_provider.client import OctaClient
from octa_provider.emulator.testing import start_emulator
from octa_provider.errors import (
    OctaAuthenticationError,
    OctaBudgetError,
    OctaCancelledError,
    OctaConfigError,
    OctaForbiddenError,
    OctaNoMachineError,
    OctaRateLimitError,
    OctaServerError,
    OctaStartUnclearError,
)
from octa_provider.http.hooks import ResponseContext
from octa_provider.market.request import MachineRequest, RenderRequest, VpnRequest
from octa_provider.market.requirements import Requirements
from octa_provider.rental.rental import Rental
from tests.core.rental_bench import EVERYTHING, LIST, MISSING, START, STOP, Bench, bench, emulator

#: What a gateway, a firewall or a login page may answer after the machine was started.
GATEWAYS = (
    300,
    301,
    302,
    303,
    307,
    308,
    405,
    408,
    409,
    410,
    413,
    418,
    421,
    423,
    424,
    425,
    426,
    428,
    431,
    451,
    499,
    520,
)
PAGE = "<html><h1>Please log in</h1></html>"

__all__ = ["bench", "emulator"]


DOWN = {"kind": "status", "status": 503, "times": None}


def cheapest(bench: Bench) -> int:
    """The machine that is asked first."""
    offers = bench.client.services.mr.available()
    return min((m for m in offers if m.price_usd is not None), key=lambda m: m.price_usd or 0).node_id


def test_a_start_rents_the_cheapest_machine_that_fits_and_says_what_it_costs(bench: Bench) -> None:
    rental = bench.start()
    offers = bench.client.services.mr.available()
    cheapest = min((m for m in offers if m.price_usd is not None), key=lambda m: m.price_usd or 0)
    assert rental.node_id == cheapest.node_id
    assert (rental.price_usd, rental.price_wei) == (cheapest.price_usd, cheapest.price_wei)
    assert rental.started_at is not None
    assert not rental.adopted
    assert bench.running() == [rental.uuid]


def test_a_render_session_carries_the_key_too(bench: Bench) -> None:
    rental = bench.start(request=RenderRequest())
    assert rental.service == "render"
    assert bench.running() == [rental.uuid]


# -- step 1: adopt ------------------------------------------------------------------------------------------------


def test_a_key_that_has_a_session_gets_that_session_and_posts_nothing(bench: Bench) -> None:
    earlier = bench.start()
    told: list[Rental] = []
    again = bench.start(on_started=told.append)
    assert again.uuid == earlier.uuid
    assert again.adopted
    assert [rental.uuid for rental in told] == [earlier.uuid]
    assert bench.posts() == 1


def test_of_several_sessions_the_oldest_is_adopted_and_the_others_are_stopped(bench: Bench) -> None:
    first, *_ = [bench.rent_elsewhere() for _ in range(3)]
    assert bench.start().uuid == first
    assert bench.running() == [first]


def test_a_session_that_is_listed_twice_is_adopted_and_not_stopped(bench: Bench) -> None:
    first = bench.start()
    bench.emulator.faults({"kind": "duplicate_entry", "all": True, "times": None})
    assert bench.start().uuid == first.uuid
    assert bench.running() == [first.uuid]


def test_an_odd_record_in_the_list_does_not_hide_ours(bench: Bench) -> None:
    uuid = bench.rent_elsewhere()
    ours = f'{{"uuid": "{uuid}", "node_id": 1003, "user_envs": {{"OCTA_RENTAL_KEY": "{bench.key}"}}}}'
    bench.emulator.faults({"kind": "garbage", "body": f'[null, {{"uuid": null}}, 7, {ours}]', **LIST})
    assert bench.start().uuid == uuid
    assert bench.posts() == 1


def test_sessions_of_other_keys_are_left_alone(bench: Bench) -> None:
    others = {bench.rent_elsewhere(key=None), bench.rent_elsewhere(key=f"{bench.key}/other")}
    rental = bench.start()
    rental.stop()
    assert rental.uuid not in others
    assert others <= set(bench.emulator.ledger(requests=False)["running_uuids"])


# -- step 2: a clear refusal ----------------------------------------------------------------------------------------


def test_machines_that_refuse_are_passed_over_in_the_order_of_the_ranking(bench: Bench) -> None:
    bench.emulator.faults({"kind": "refuse", "times": 2, "reason": "Node is busy"})
    rental = bench.start()
    priced = sorted(
        (m for m in bench.client.services.mr.available() if m.price_usd is not None), key=lambda m: m.price_usd or 0
    )
    assert rental.node_id == priced[2].node_id
    assert bench.running() == [rental.uuid]


def test_when_all_refuse_the_error_says_why_for_each_machine(bench: Bench) -> None:
    bench.emulator.faults({"kind": "refuse", "times": None, "reason": "Node is busy"})
    with pytest.raises(
        OctaNoMachineError, match=r"none of the \d+ machines asked took the session \(node \d+: "
    ) as caught:
        bench.start()
    assert len(caught.value.refusals) > 3
    assert {refusal.reason for refusal in caught.value.refusals} == {"Node is busy"}
    assert bench.sessions() == []


def test_when_nothing_fits_the_error_counts_the_reasons_and_names_the_nearest_machine(bench: Bench) -> None:
    with pytest.raises(OctaNoMachineError) as caught:
        bench.start(requirements=Requirements(gpu_model="4090", max_price_usd=0.001))
    text = str(caught.value)
    assert text.startswith("no machine fits: ")
    assert "too expensive (cheapest 0." in text
    assert "nearest" in text
    assert bench.posts() == 0


def test_a_422_is_a_refusal_and_the_next_machine_is_asked(bench: Bench) -> None:
    bench.emulator.faults({"kind": "status", "status": 422, **START})
    assert [bench.start().uuid] == bench.running()
    assert bench.posts() == 2
    assert bench.clock.at_s == 0


@pytest.mark.parametrize(("status", "error"), [(401, OctaAuthenticationError), (403, OctaForbiddenError)])
def test_a_refused_key_ends_the_start_at_once(bench: Bench, status: int, error: type[Exception]) -> None:
    bench.emulator.faults({"kind": "status", "status": status, **START})
    with pytest.raises(error):
        bench.start()
    assert bench.posts() == 1
    assert bench.running() == []


@pytest.mark.parametrize(("status", "error"), [(401, OctaAuthenticationError), (403, OctaForbiddenError)])
def test_a_key_that_is_refused_from_then_on_is_told_as_such_and_not_as_a_machine_that_may_bill(
    bench: Bench, status: int, error: type[Exception]
) -> None:
    bench.emulator.faults(
        {"kind": "status", "status": status, **START},
        {"kind": "status", "status": status, "times": None, "after": 1, **LIST},
    )
    with pytest.raises(error) as caught:
        bench.start()
    assert "/services/mr" in str(caught.value)
    assert "may have been left" not in str(caught.value)
    assert bench.running() == []


def test_a_429_waits_as_long_as_it_is_told_and_asks_the_same_machine_again(bench: Bench) -> None:
    bench.emulator.faults({"kind": "status", "status": 429, "retry_after": 7, **START})
    rental = bench.start()
    assert bench.clock.at_s >= 7
    assert rental.node_id == cheapest(bench)


# -- step 3: anything unclear ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop_after"},
        {"kind": "drop_after", "reset": True},
        {"kind": "status", "status": 500, "effect": True},
        {"kind": "status", "status": 502, "effect": True},
        *({"kind": "status", "status": status, "effect": True} for status in GATEWAYS),
        *({"kind": "status", "status": status, "effect": True, "body": PAGE} for status in (400, 401, 403, 404, 422)),
        *({"kind": "status", "status": status, "effect": True, "body": [1]} for status in (402, 429)),
        *({"kind": "status", "status": status, "effect": True} for status in (400, 401, 402, 403, 404, 422, 429)),
        {"kind": "garbage", "body": '{"message": "Please log in"}'},
        {"kind": "garbage"},
        {"kind": "garbage", "body": ""},
        {"kind": "garbage", "body": "[]"},
        {"kind": "garbage", "body": '{"status": "ok"}'},
        {"kind": "truncate"},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
def test_an_answer_that_is_lost_never_rents_a_second_machine(bench: Bench, fault: dict[str, Any]) -> None:
    bench.emulator.faults({**fault, **START})
    rental = bench.start()
    assert rental.adopted
    assert [s["uuid"] for s in bench.sessions()] == [rental.uuid]
    assert bench.posts() == 1


@pytest.mark.parametrize("fault", [{"kind": "drop_before"}, {"kind": "status", "status": 500}])
def test_an_unclear_answer_that_started_nothing_goes_on_after_the_settle_time(
    bench: Bench, fault: dict[str, Any]
) -> None:
    bench.emulator.faults({**fault, **START})
    rental = bench.start(settle_s=20)
    assert 20 <= bench.clock.at_s < 25
    assert bench.posts() == 2
    assert bench.running() == [rental.uuid]


def test_a_session_that_appears_within_the_settle_time_is_adopted(bench: Bench) -> None:
    bench.emulator.faults({"kind": "drop_before", **START})
    late: list[str] = []
    bench.clock.later(15, lambda: late.append(bench.rent_elsewhere()))
    rental = bench.start()
    assert [rental.uuid] == late
    assert rental.adopted
    assert bench.running() == late


def test_an_outage_while_it_looks_does_not_make_it_post_again(bench: Bench) -> None:
    bench.emulator.faults(
        {"kind": "drop_after", **START}, {"kind": "status", "status": 503, **LIST, "after": 1, "times": None}
    )
    bench.recover_after(100)
    rental = bench.start()
    assert [s["uuid"] for s in bench.sessions()] == [rental.uuid]
    assert bench.clock.at_s >= 100


def test_a_list_that_misses_the_entry_once_is_not_believed_before_the_settle_time(bench: Bench) -> None:
    bench.emulator.faults({"kind": "drop_after", **START}, {**MISSING, "times": 3})
    rental = bench.start()
    assert [s["uuid"] for s in bench.sessions()] == [rental.uuid]


# -- step 4: several with our key ------------------------------------------------------------------------------------


def test_a_late_commit_that_appears_after_our_start_is_stopped(bench: Bench) -> None:
    late: list[str] = []
    rental = bench.start(on_started=lambda rental: late or late.append(bench.rent_elsewhere()))
    assert bench.running() == [rental.uuid]
    assert {s["uuid"] for s in bench.sessions()} == {rental.uuid, *late}


def test_when_another_try_was_first_its_session_is_adopted_and_ours_is_stopped(bench: Bench) -> None:
    first: list[str] = []
    asked = iter(range(10))

    def just_before_the_post() -> bool:
        if next(asked) == 1:
            first.append(bench.rent_elsewhere())
        return False

    told: list[str] = []
    rental = bench.start(is_cancelled=just_before_the_post, on_started=lambda rental: told.append(rental.uuid))
    assert [rental.uuid] == first
    assert rental.adopted
    assert bench.running() == first
    assert told[-1] == rental.uuid


def test_a_list_that_cannot_be_read_after_the_start_does_not_lose_the_session(bench: Bench) -> None:
    bench.emulator.faults({"kind": "status", "status": 503, **LIST, "after": 1, "times": None})
    rental = bench.start()
    bench.emulator.clear_faults()
    assert bench.running() == [rental.uuid]


# -- on_started, cancelling, and giving up ----------------------------------------------------------------------------


def test_the_uuid_is_told_before_anything_else_can_fail(bench: Bench) -> None:
    requests: list[str] = []
    rental = bench.start(on_started=lambda rental: requests.extend(bench.requests()))
    assert requests[-1] == "POST /services/mr"
    assert bench.running() == [rental.uuid]


@pytest.mark.parametrize("error", [ValueError("the disk is full"), KeyboardInterrupt(), SystemExit(143)])
def test_when_the_uuid_cannot_be_written_down_the_session_is_stopped(bench: Bench, error: BaseException) -> None:
    def fail(rental: Rental) -> None:
        raise error

    with pytest.raises(type(error)):
        bench.start(on_started=fail)
    assert len(bench.sessions()) == 1
    assert bench.running() == []


@pytest.mark.parametrize("point", range(4))
def test_cancelling_leaves_nothing_running_whenever_it_comes(bench: Bench, point: int) -> None:
    bench.emulator.faults({"kind": "refuse"})
    asked = iter(range(100))
    with pytest.raises(OctaCancelledError, match="nothing of it runs"):
        bench.start(is_cancelled=lambda: next(asked) >= point)
    assert bench.running() == []
    # 0: before anything; 1: before the first machine; 2: before the second; 3: after it has started.
    assert bench.posts() == (0, 0, 1, 2)[point]


def test_cancelling_an_adopted_session_stops_it(bench: Bench) -> None:
    bench.start()
    asked = iter(range(100))
    with pytest.raises(OctaCancelledError):
        bench.start(is_cancelled=lambda: next(asked) >= 1)
    assert bench.running() == []


def test_an_interrupt_while_the_answer_is_unclear_still_finds_and_stops_the_session(bench: Bench) -> None:
    bench.emulator.faults({"kind": "drop_after", **START}, {**MISSING, "times": 2})

    def interrupt() -> None:
        raise KeyboardInterrupt

    bench.clock.later(1, interrupt)
    with pytest.raises(KeyboardInterrupt):
        bench.start()
    assert len(bench.sessions()) == 1
    assert bench.running() == []


def test_an_interrupt_in_an_outage_waits_for_the_api_and_stops_the_session(bench: Bench) -> None:
    bench.emulator.faults({"kind": "drop_after", **START}, {**DOWN, "path": "*", "after": 4})
    bench.recover_after(15)

    def interrupt() -> None:
        raise KeyboardInterrupt

    bench.clock.later(1, interrupt)
    with pytest.raises(KeyboardInterrupt):
        bench.start()
    assert len(bench.sessions()) == 1
    assert bench.running() == []


def test_an_interrupt_names_the_vpn_that_it_may_have_left_and_stops_none(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.emulator.faults({"kind": "drop_after", **START}, {**MISSING, "times": 2})

    def interrupt() -> None:
        raise KeyboardInterrupt

    bench.clock.later(1, interrupt)
    with pytest.raises(KeyboardInterrupt):
        bench.start(request=VpnRequest("wg"), requirements=Requirements())
    (left,) = bench.emulator.ledger(requests=False)["running_uuids"]
    assert f"octa-provider stop {left}" in caplog.text


def test_what_cannot_be_cleaned_up_is_said_and_left_to_the_next_try(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.emulator.faults({**DOWN, **STOP})

    def fail(rental: Rental) -> None:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        bench.start(on_started=fail)
    (left,) = bench.running()
    assert f"A machine of {bench.key} may have been left and bill on. Run: octa-provider stop {left}" in caplog.text
    bench.emulator.clear_faults()
    bench.start().stop()
    assert bench.running() == []


def test_a_machine_that_answers_429_for_ever_ends_the_start_at_its_deadline(bench: Bench) -> None:
    bench.emulator.faults({"kind": "status", "status": 429, "times": None, **START})
    with pytest.raises(OctaRateLimitError):
        bench.start(deadline_s=60)
    assert 60 <= bench.clock.at_s < 90


def test_of_several_sessions_one_that_cannot_be_stopped_now_is_left_to_the_stop(bench: Bench) -> None:
    first, _ = bench.rent_elsewhere(), bench.rent_elsewhere()
    bench.emulator.faults({**DOWN, **STOP})
    rental = bench.start(deadline_s=30)
    assert rental.uuid == first
    bench.emulator.clear_faults()
    rental.stop()
    assert bench.running() == []


def test_a_start_works_through_an_outage_of_minutes(bench: Bench) -> None:
    bench.emulator.faults({"kind": "status", "status": 503, **EVERYTHING})
    bench.recover_after(240)
    rental = bench.start(deadline_s=300)
    assert bench.running() == [rental.uuid]
    assert bench.clock.at_s >= 240


def test_a_start_gives_up_at_its_deadline_and_has_rented_nothing(bench: Bench) -> None:
    bench.emulator.faults({"kind": "status", "status": 503, **EVERYTHING})
    with pytest.raises(OctaServerError):
        bench.start(deadline_s=60)
    assert 60 <= bench.clock.at_s < 90
    bench.emulator.clear_faults()
    assert bench.sessions() == []


# -- money ----------------------------------------------------------------------------------------------------------


def test_an_empty_account_starts_nothing_and_is_told_to_top_up() -> None:
    with start_emulator(in_process=True, balance_octa=0) as emulator:
        bench = Bench(emulator, "test/empty")
        with bench.client, pytest.raises(OctaBudgetError, match=r"the account is empty .* top it up"):
            bench.start()
        assert bench.posts() == 0


def test_a_balance_that_does_not_pay_for_the_longest_run_starts_nothing() -> None:
    with start_emulator(in_process=True, balance_octa=1) as emulator:
        bench = Bench(emulator, "test/poor")
        with bench.client:
            with pytest.raises(OctaBudgetError, match="does not pay for 100 h: the cheapest machine that fits costs"):
                bench.start(max_duration_s=360_000)
            assert bench.posts() == 0
            assert bench.start(max_duration_s=60).max_duration_s == 60


def test_a_402_says_that_the_balance_does_not_pay(bench: Bench) -> None:
    bench.emulator.faults({"kind": "status", "status": 402, **START})
    with pytest.raises(OctaBudgetError, match="the balance does not pay for node"):
        bench.start()
    assert bench.running() == []


def test_a_balance_that_cannot_be_read_leaves_the_decision_to_the_api(bench: Bench) -> None:
    bench.emulator.faults({"kind": "status", "status": 503, "path": "/accounts/balance", "times": None})
    assert [bench.start().uuid] == bench.running()


@pytest.mark.parametrize("name", ["max_cost_usd", "max_duration_s"])
@pytest.mark.parametrize("value", [0, -1, True])
def test_a_cap_that_cannot_be_is_refused_before_any_request(bench: Bench, name: str, value: float) -> None:
    with pytest.raises(OctaConfigError, match=name):
        bench.start(**{name: value})
    assert bench.requests() == []


@pytest.mark.parametrize("key", ["", "two words", "tab\t", "ü", "x" * 16_385])
def test_a_key_that_cannot_travel_is_refused_before_any_request(bench: Bench, key: str) -> None:
    with pytest.raises(OctaConfigError, match="a rental key must be"):
        bench.start(key=key)
    assert bench.requests() == []


def test_an_environment_that_sets_another_key_is_refused(bench: Bench) -> None:
    with pytest.raises(OctaConfigError, match="OCTA_RENTAL_KEY"):
        bench.start(request=MachineRequest("ubuntu:24.04", envs={"OCTA_RENTAL_KEY": "else"}))
    assert bench.requests() == []


# -- without an echo of the environment -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["missing", "null"])
def test_without_the_echo_a_lost_answer_is_found_by_what_is_new_on_the_node(bench: Bench, form: str) -> None:
    stranger = bench.rent_elsewhere(key=None, node_id=1003)
    bench.emulator.faults({"kind": "no_user_envs", "times": None, "form": form}, {"kind": "drop_after", **START})
    rental = bench.start(requirements=Requirements(node_id=1003))
    assert rental.uuid != stranger
    assert [s["uuid"] for s in bench.sessions()] == [rental.uuid]
    rental.stop()
    assert bench.running() == []
    assert bench.session(stranger)["stopped_ms"] is None


def test_a_stranger_that_starts_on_the_node_meanwhile_is_not_taken_for_ours(bench: Bench) -> None:
    bench.emulator.faults({"kind": "drop_before", **START})
    strangers: list[str] = []
    asked_first = cheapest(bench)
    bench.clock.later(5, lambda: strangers.append(bench.rent_elsewhere(key=None, node_id=asked_first)))
    rental = bench.start()
    assert rental.node_id != asked_first
    assert bench.session(strangers[0])["stopped_ms"] is None


def test_a_vpn_whose_answer_is_lost_is_named_with_its_command_and_neither_taken_nor_doubled(bench: Bench) -> None:
    bench.emulator.faults({"kind": "drop_after", **START})
    for _ in range(2):
        with pytest.raises(OctaStartUnclearError, match="may be yours or somebody else's") as caught:
            bench.start(request=VpnRequest("wg"), requirements=Requirements())
    (left,) = bench.emulator.ledger(requests=False)["running_uuids"]
    assert caught.value.uuids == (left,)
    assert f"octa-provider stop {left}" in str(caught.value)
    bench.client.rentals.open(left).stop()
    rental = bench.start(request=VpnRequest("wg"), requirements=Requirements())
    assert not rental.adopted
    rental.stop()
    assert bench.emulator.ledger(requests=False)["running"] == 0


def test_a_vpn_of_somebody_else_on_the_same_machine_is_never_taken_nor_stopped(bench: Bench) -> None:
    strangers: list[str] = []

    def stranger(context: ResponseContext) -> None:
        if context.method == "POST" and not strangers:
            order = {"node_id": int(node.node_id), "subkind": "wg"}
            strangers.append(bench.emulator.request("POST", "/services/vpn", json=order).json()["uuid"])

    client = OctaClient(
        bench.emulator.api_key, base_url=bench.emulator.base_url, clock=bench.clock, on_response=stranger
    )
    node = client.services.vpn.available()[0]
    bench.emulator.faults({"kind": "drop_before", "method": "POST", "path": "/services/vpn"})
    with client, pytest.raises(OctaStartUnclearError):
        client.rentals.start(VpnRequest("wg"), key=bench.key, requirements=Requirements(node_id=node.node_id))
    assert bench.emulator.ledger(requests=False)["running_uuids"] == strangers


def test_a_vpn_whose_uuid_was_told_is_adopted_by_the_next_try(bench: Bench) -> None:
    first = bench.start(request=VpnRequest("wg"), requirements=Requirements())
    again = bench.start(request=VpnRequest("wg"), requirements=Requirements())
    assert (again.uuid, again.adopted) == (first.uuid, True)
    assert bench.client.rentals.find(bench.key) == again
    other = bench.start(request=VpnRequest("ss"), requirements=Requirements())
    assert bench.emulator.ledger(requests=False)["running_uuids"] == [other.uuid]
    other.stop()
    assert bench.client.intents.read(bench.key) == ()


# -- finding and opening --------------------------------------------------------------------------------------------


def test_find_gives_the_oldest_rental_of_a_key_or_none(bench: Bench) -> None:
    assert bench.client.rentals.find(bench.key) is None
    first, _ = bench.rent_elsewhere(), bench.rent_elsewhere()
    found = bench.client.rentals.find(bench.key)
    assert found is not None
    assert found.uuid == first
    assert found.adopted


def test_a_rental_survives_the_way_through_json_and_another_process(bench: Bench) -> None:
    rental = bench.start(max_cost_usd=2.5)
    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url) as elsewhere:
        restored = elsewhere.rentals.restore(rental.to_dict())
        assert restored == rental
        assert restored.info().uuid == rental.uuid
    assert bench.emulator.api_key not in repr(rental) + str(rental.to_dict())


def test_a_rental_without_a_client_says_how_to_reopen_it() -> None:
    with pytest.raises(OctaConfigError, match=r"client\.rentals\.restore"):
        Rental.from_dict({"uuid": "u", "unknown": 1}).info()
    with pytest.raises(OctaConfigError, match="missing required field `uuid`"):
        Rental.from_dict({"key": "k"})
