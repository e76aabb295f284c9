"""NaN, negative, endless and other odd numbers: refused before a request is made; a stop happens all the same."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from octa_provider import JobSpec, MachineRequest, OctaClient, OctaConfigError, OctaStopError
from octa_provider.cli.options.durations import seconds
from octa_provider.logs.session_log import SessionLog, follow
from octa_provider.timing.clock import SYSTEM_CLOCK
from octa_provider.timing.deadline import Deadline
from octa_provider.timing.limits import checked_cap, checked_pause, checked_seconds, usable_seconds
from octa_provider.watch.watcher import Watcher, watcher_for
from tests.core.rental_bench import Bench, bench, emulator

__all__ = ["bench", "emulator"]

NAN, INF = float("nan"), float("inf")
NO_LENGTH = (NAN, INF, -INF, -1, -0.001, 10**400, 1e18, True, "5", None, [1])
NO_PAUSE = (*NO_LENGTH, 0, 0.0, 1e-9)
SPEC = JobSpec("ubuntu:24.04", "true")
REQUEST = MachineRequest("ubuntu:24.04")

Call = Callable[[OctaClient, Any], object]


def watch(octa: OctaClient, odd: Any) -> None:
    with watcher_for(octa, odd):
        pass


def rent(octa: OctaClient, odd: Any) -> None:
    with octa.rentals.rent(REQUEST, key="k", stop_deadline_s=odd):
        pass


PAUSES: dict[str, Call] = {
    "wait_until_ready": lambda octa, odd: octa.rentals.open("u").wait_until_ready(poll_s=odd),
    "jobs.run": lambda octa, odd: octa.jobs.run(SPEC, "k", poll_s=odd),
    "follow": lambda octa, odd: follow(octa, "u", on_line=print, poll_s=odd),
    "SessionLog.follow": lambda octa, odd: list(SessionLog(octa, "u").follow(poll_s=odd)),
    "Watcher": lambda octa, odd: Watcher(octa, odd),
    "watcher_for": watch,
}
LENGTHS: dict[str, Call] = {
    "wait_until_ready": lambda octa, odd: octa.rentals.open("u").wait_until_ready(deadline_s=odd),
    "start deadline": lambda octa, odd: octa.rentals.start(REQUEST, key="k", deadline_s=odd),
    "start settle": lambda octa, odd: octa.rentals.start(REQUEST, key="k", settle_s=odd),
    "rent": rent,
    "reap older": lambda octa, odd: octa.rentals.reap("k", older_than_s=odd),
    "Watcher.wait": lambda octa, odd: Watcher(octa).wait("u", bool, odd),
    "last_lines": lambda octa, odd: list(SessionLog(octa, "u").last_lines(odd)),
    "timeout_s": lambda octa, odd: JobSpec("u", "true", timeout_s=odd),
    "ready_timeout_s": lambda octa, odd: JobSpec("u", "true", ready_timeout_s=odd),
    "client timeout": lambda octa, odd: OctaClient("k", timeout=odd),
}


@pytest.mark.parametrize("odd", NO_PAUSE, ids=repr)
@pytest.mark.parametrize("name", PAUSES)
def test_a_pause_that_is_none_is_refused_before_any_request(name: str, odd: Any, connect: Any) -> None:
    asked: list[object] = []
    octa = connect("http://127.0.0.1:1", on_request=asked.append)
    with pytest.raises(OctaConfigError, match="poll_s must be a number of seconds"):
        PAUSES[name](octa, odd)
    assert asked == []


@pytest.mark.parametrize("odd", NO_LENGTH, ids=lambda odd: str(odd)[:9])
@pytest.mark.parametrize("name", LENGTHS)
def test_a_length_of_time_that_never_passes_is_refused_before_any_request(name: str, odd: Any, connect: Any) -> None:
    asked: list[object] = []
    octa = connect("http://127.0.0.1:1", on_request=asked.append)
    with pytest.raises(OctaConfigError):
        LENGTHS[name](octa, odd)
    assert asked == []


@pytest.mark.parametrize("odd", [NAN, INF, "soon", None, -5])
def test_a_stop_with_an_odd_deadline_stops(odd: Any, bench: Bench) -> None:
    rental = bench.start()
    rental.stop(deadline_s=odd) if odd != -5 else bench.client.rentals.stop(bench.key)
    assert bench.running() == []


@pytest.mark.parametrize("odd", [NAN, INF, -1, 0])
def test_a_stop_with_an_odd_deadline_ends_though_the_api_refuses(odd: float, bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.faults({"kind": "status", "status": 500, "path": "/services/*/stop", "times": None})
    with pytest.raises(OctaStopError):
        rental.stop(deadline_s=odd)


def test_a_deadline_of_nan_is_no_deadline_anywhere() -> None:
    with pytest.raises(OctaConfigError):
        Deadline(SYSTEM_CLOCK, NAN)


@pytest.mark.parametrize("odd", [NAN, INF, 0, -1, True, "5", 10**400])
def test_a_cap_that_holds_nothing_is_refused(odd: Any) -> None:
    with pytest.raises(OctaConfigError):
        checked_cap("max_cost_usd", odd)
    with pytest.raises(OctaConfigError):
        JobSpec("u", "true", max_cost_usd=odd)


def test_what_can_be_used_is_used() -> None:
    assert [checked_seconds("a", 0), checked_seconds("a", 86400), checked_pause("a", 0.5)] == [0.0, 86400.0, 0.5]
    assert [usable_seconds("a", value, 300.0) for value in (5, 0, -5, NAN, "x")] == [5.0, 0.0, 0.0, 300.0, 300.0]


@pytest.mark.parametrize("written", ["9" * 400, "9" * 400 + "d", "367d", "1e400"])
def test_the_command_line_knows_no_endless_time(written: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        seconds(written)


@pytest.mark.parametrize(
    "odd",
    [
        *({"outputs": {"o": None}}, {"outputs": {"o": 5}}, {"outputs": {"o": ""}}, {"outputs": []}),
        *({"requirements": None}, {"envs": None}, {"command": None}, {"command": 5}, {"http_ports": None}),
        *({"inputs": {5: "x"}}, {"inputs": {"a\0b": "x"}}, {"inputs": None}, {"inputs": {"x": 5}}, {"ports": 5}),
    ],
    ids=str,
)
def test_what_a_job_can_not_use_is_found_before_renting(odd: dict[str, Any]) -> None:
    with pytest.raises(OctaConfigError):
        JobSpec(**{"image": "ubuntu:24.04", "command": "true", **odd})
