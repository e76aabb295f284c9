"""What is sent again, how often, after how long: GET alone, full jitter, a capped Retry-After, no real sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from held_clock import HeldClock
from odd_server import OddServer, answer, hang_up, reset, silent, truncated

from octa_provider import OctaClient, OctaError, OctaNetworkError, OctaRateLimitError, OctaServerError, OctaTimeoutError

Serve = Callable[..., OddServer]
Connect = Callable[..., OctaClient]


@pytest.mark.parametrize("status", [429, 500, 501, 502, 503, 504, 599])
def test_a_get_is_sent_again_after_429_and_5xx(status: int, serve: Serve, connect: Connect, clock: HeldClock) -> None:
    server = serve(answer(status), answer(status), answer())
    assert list(connect(server).sessions.list()) == []
    assert len(server.received) == 3
    assert len(clock.slept) == 2


@pytest.mark.parametrize("trouble", [hang_up, reset, truncated(100, b"[")])
def test_a_get_is_sent_again_after_a_connection_error(trouble: Any, serve: Serve, connect: Connect) -> None:
    server = serve(trouble, answer())
    assert list(connect(server).sessions.list()) == []
    assert len(server.received) == 2


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 418, 422])
def test_other_statuses_are_not_retried(status: int, serve: Serve, connect: Connect, clock: HeldClock) -> None:
    server = serve(answer(status))
    with pytest.raises(OctaError):
        connect(server).sessions.list()
    assert len(server.received) == 1
    assert clock.slept == []


def test_an_answer_that_is_not_json_is_not_retried(serve: Serve, connect: Connect) -> None:
    server = serve(answer(body=b"<html>"))
    with pytest.raises(OctaError):
        connect(server).sessions.list()
    assert len(server.received) == 1


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_retries_bound_the_tries_for_the_client_and_for_one_call(retries: int, serve: Serve, connect: Connect) -> None:
    server = serve(answer(503))
    with pytest.raises(OctaServerError):
        connect(server, retries=retries).sessions.list()
    assert len(server.received) == retries + 1
    with pytest.raises(OctaServerError):
        connect(server, retries=7).sessions.list(retries=retries)
    assert len(server.received) == 2 * (retries + 1)


def test_two_retries_are_the_default(serve: Serve, connect: Connect) -> None:
    server = serve(answer(503))
    with pytest.raises(OctaServerError):
        connect(server).sessions.list()
    assert len(server.received) == 3


READS: dict[str, Callable[[OctaClient], object]] = {
    "accounts.get": lambda c: c.accounts.get(retries=1, timeout=2),
    "accounts.balance": lambda c: c.accounts.balance(retries=1, timeout=2),
    "network.get": lambda c: c.network.get(retries=1, timeout=2),
    "apps.list": lambda c: c.apps.list(retries=1, timeout=2),
    "nodes.list": lambda c: c.nodes.list(retries=1, timeout=2),
    "nodes.get": lambda c: c.nodes.get(1, retries=1, timeout=2),
    "mr.available": lambda c: c.services.mr.available(retries=1, timeout=2),
    "render.available": lambda c: c.services.render.available(retries=1, timeout=2),
    "vpn.available": lambda c: c.services.vpn.available(retries=1, timeout=2),
    "session.info": lambda c: c.services.session("u").info(retries=1, timeout=2),
    "session.logs": lambda c: c.services.session("u").logs(retries=1, timeout=2),
    "sessions.list": lambda c: c.sessions.list(retries=1, timeout=2),
    "idle_jobs.get": lambda c: c.idle_jobs.get(1, "j", retries=1, timeout=2),
    "idle_jobs.logs": lambda c: c.idle_jobs.logs(1, "j", retries=1, timeout=2),
}


@pytest.mark.parametrize("name", READS)
def test_every_read_takes_retries_and_timeout_for_one_call(name: str, serve: Serve, connect: Connect) -> None:
    server = serve(answer(503))
    with pytest.raises(OctaServerError):
        READS[name](connect(server, retries=5))
    assert len(server.received) == 2


EFFECTS: dict[str, Callable[[OctaClient], object]] = {
    "generate_wallet": lambda c: c.accounts.generate_wallet(),
    "update_prices": lambda c: c.nodes.update_prices(1, base_wei=1, storage_wei=2, traffic_wei=3),
    "reboot": lambda c: c.nodes.reboot(1),
    "mr.start": lambda c: c.services.mr.start(node_id=1, image="blender:4.5"),
    "render.start": lambda c: c.services.render.start(node_id=1),
    "vpn.start": lambda c: c.services.vpn.start(node_id=1, subkind="wg"),
    "stop": lambda c: c.services.session("u").stop(),
}


@pytest.mark.parametrize("trouble", [answer(500), answer(429, Retry_After="0"), hang_up, reset, truncated(9, b"[")])
@pytest.mark.parametrize("name", EFFECTS)
def test_a_side_effect_is_never_sent_twice(
    name: str, trouble: Any, serve: Serve, connect: Connect, clock: HeldClock
) -> None:
    server = serve(trouble)
    with pytest.raises(OctaError):
        EFFECTS[name](connect(server, retries=5))
    assert len(server.received) == 1
    assert clock.slept == []


def test_a_side_effect_is_not_sent_twice_on_a_stale_connection(serve: Serve, connect: Connect) -> None:
    server = serve(answer(), hang_up)
    client = connect(server)
    client.sessions.list()
    with pytest.raises(OctaNetworkError) as caught:
        client.services.render.start(node_id=1)
    assert caught.value.maybe_sent
    assert len(server.received) == 2


def test_the_pauses_are_fully_jittered_within_the_exponential_steps(serve: Serve, connect: Connect) -> None:
    server = serve(answer(503))
    seen: list[list[float]] = []
    for _ in range(40):
        clock = HeldClock()
        with pytest.raises(OctaServerError):
            connect(server, retries=3, clock=clock).sessions.list()
        seen.append(clock.slept)
    for number, step in enumerate((1.0, 2.0, 4.0)):
        waits = [slept[number] for slept in seen]
        assert all(0 <= wait <= step for wait in waits)
        # Full jitter: from nothing to the whole step, not a spread around its middle.
        assert min(waits) < step / 3
        assert max(waits) > step * 2 / 3


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_is_waited_for(status: int, serve: Serve, connect: Connect, clock: HeldClock) -> None:
    server = serve(answer(status, Retry_After="7"), answer())
    connect(server).sessions.list()
    assert clock.slept == [7.0]


def test_retry_after_as_a_date_is_waited_for(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    server = serve(answer(429, Retry_After=formatdate(time.time() + 30, usegmt=True)), answer())
    connect(server).sessions.list()
    assert clock.slept == [pytest.approx(30, abs=3)]


@pytest.mark.parametrize(
    "hostile",
    ["86400", "9" * 30, "9" * 5000, formatdate(time.time() + 9e6, usegmt=True), "Fri, 31 Dec 9999 23:59:59 GMT"],
    # Named: pytest-xdist refuses tests whose names differ from worker to worker, as those of two seconds do.
    ids=["a day", "thirty digits", "five thousand digits", "a date in months", "the last date"],
)
def test_a_hostile_retry_after_is_capped_at_a_minute(
    hostile: str, serve: Serve, connect: Connect, clock: HeldClock
) -> None:
    server = serve(answer(429, Retry_After=hostile), answer())
    connect(server).sessions.list()
    assert len(clock.slept) == 1
    assert clock.slept[0] <= 60.0


def test_the_cap_on_retry_after_can_be_chosen(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    server = serve(answer(429, Retry_After="100"), answer())
    connect(server, max_retry_after=90).sessions.list()
    assert clock.slept == [90.0]


@pytest.mark.parametrize("nonsense", ["soon", "-5", "1.5", "nan", "", "Mon, 99 Foo 2020"])
def test_a_senseless_retry_after_leaves_the_jittered_pause(
    nonsense: str, serve: Serve, connect: Connect, clock: HeldClock
) -> None:
    server = serve(answer(429, Retry_After=nonsense), answer())
    connect(server).sessions.list()
    assert 0 <= clock.slept[0] <= 1.0


def test_a_date_in_the_past_asks_for_no_wait(serve: Serve, connect: Connect, clock: HeldClock) -> None:
    server = serve(answer(503, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"), answer())
    connect(server).sessions.list()
    assert clock.slept == [0.0]


def test_the_rate_limits_error_carries_the_seconds(serve: Serve, connect: Connect) -> None:
    server = serve(answer(429, Retry_After="12"))
    with pytest.raises(OctaRateLimitError, match="12 s") as caught:
        connect(server, retries=0).sessions.list()
    assert caught.value.retry_after == 12.0


def test_a_calls_timeout_replaces_the_clients(serve: Serve, connect: Connect) -> None:
    server = serve(silent())
    started = time.monotonic()
    with pytest.raises(OctaTimeoutError):
        connect(server, timeout=900).sessions.list(timeout=0.1, retries=0)
    assert time.monotonic() - started < 600
