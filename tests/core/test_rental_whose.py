"""Whose machine it is: two tries of one key, two installations on one account, other work, a session that is going."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from held_clock import HeldClock

from octa_provider.client import OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.errors import (
    OctaBudgetError,
    OctaConfigError,
    OctaError,
    OctaNoMachineError,
    OctaStartUnclearError,
)
from octa_provider.http.hooks import RequestContext
from octa_provider.market.request import MachineRequest, RenderRequest, Request
from octa_provider.market.requirements import Requirements
from octa_provider.rental.intents import FolderIntents, Intent, state_folder
from octa_provider.rental.key import rental_key
from octa_provider.rental.mark import RentalMark
from octa_provider.rental.rental import Rental
from octa_provider.timing.clock import Clock
from octa_provider.watch.watcher import watcher_for
from tests.core.rental_bench import LIST, START, Bench, bench, emulator
from tests.forked_python import run_python, start_python

__all__ = ["bench", "emulator"]

REQUEST = MachineRequest("ubuntu:24.04", disk_gb=5)


@pytest.fixture
def scarce() -> Iterator[EmulatorHandle]:
    """A market with room for one."""
    with start_emulator(in_process=True, machines=1, room=1, start_delay_s=0, balance_octa=10**9) as handle:
        yield handle


def environment(handle: EmulatorHandle) -> dict[str, str]:
    """What a process of its own needs, the tests' state folder included."""
    return {**os.environ, **handle.env()}


def client_of(
    handle: EmulatorHandle, namespace: str = "", on_request: Callable[[RequestContext], object] | None = None
) -> OctaClient:
    return OctaClient(
        handle.api_key, base_url=handle.base_url, clock=HeldClock(), namespace=namespace, on_request=on_request
    )


def real_client(bench: Bench) -> OctaClient:
    """One whose clock is the system's."""
    return OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url)


# -- two tries of one key -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        None,
        {"kind": "status", "status": 402, **START},
        {"kind": "status", "status": 422, **START},
        {"kind": "status", "status": 500, **START},
        {"kind": "drop_before", **START},
        {"kind": "refuse", **START},
    ],
    ids=["busy", "402", "422", "500", "dropped", "refused"],
)
def test_a_try_that_gets_nothing_adopts_what_another_try_has_just_started(
    scarce: EmulatorHandle, fault: dict[str, object] | None
) -> None:
    won: list[Rental] = []
    winner = client_of(scarce)

    def first(context: RequestContext) -> None:
        # Between the look at the list and the request: the worst moment.
        if context.method == "POST" and not won:
            won.append(winner.rentals.start(REQUEST, key="scarce/one"))
            if fault is not None:
                scarce.faults(fault)

    with winner, client_of(scarce, on_request=first) as loser:
        got = loser.rentals.start(REQUEST, key="scarce/one")
    assert (got.uuid, got.adopted) == (won[0].uuid, True)
    assert scarce.ledger(requests=False)["running_uuids"] == [won[0].uuid]


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_try_that_fails_for_good_stops_nothing_of_another_one(scarce: EmulatorHandle, status: int) -> None:
    won: list[Rental] = []
    winner = client_of(scarce)

    def first(context: RequestContext) -> None:
        if context.method == "POST" and not won:
            won.append(winner.rentals.start(REQUEST, key="scarce/two"))
            # The lists no longer show it either, so that there is nothing to adopt.
            scarce.faults({"kind": "status", "status": status, **START}, {"kind": "missing_entry", "times": None})

    with winner, client_of(scarce, on_request=first) as loser, pytest.raises(OctaError):
        loser.rentals.start(REQUEST, key="scarce/two")
    assert scarce.ledger(requests=False)["running_uuids"] == [won[0].uuid]


def test_an_interrupted_try_stops_what_it_has_started_and_nothing_of_another_try(bench: Bench) -> None:
    other: list[str] = []

    def interrupt(rental: Rental) -> None:
        other.append(bench.rent_elsewhere())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.start(on_started=interrupt)
    assert bench.running() == other


def test_a_cancelled_try_ends_the_key(bench: Bench) -> None:
    cancelled = threading.Event()
    other: list[str] = []

    def cancel(rental: Rental) -> None:
        other.append(bench.rent_elsewhere())
        cancelled.set()

    with pytest.raises(OctaError, match="cancelled"):
        bench.start(on_started=cancel, is_cancelled=cancelled.is_set)
    assert bench.running() == []


PROGRAM = """
import sys
import tempfile
from octa_provider import MachineRequest, OctaClient
with OctaClient() as octa:
    print("ready", flush=True)
    sys.stdin.readline()
    print(octa.rentals.start(MachineRequest("ubuntu:24.04", disk_gb=5), key=sys.argv[1]).uuid, flush=True)
"""


def test_of_plain_processes_that_race_for_the_only_machine_each_gets_its_one_session(scarce: EmulatorHandle) -> None:
    for race in range(3):
        racers = [
            start_python(
                [sys.executable, "-c", PROGRAM, f"race/{race}"],
                env=environment(scarce),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        try:
            for racer in racers:
                assert racer.stdout is not None
                assert racer.stdout.readline() == "ready\n"
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write("go\n")
                racer.stdin.flush()
            uuids = {racer.communicate(timeout=600)[0].strip() for racer in racers}
        finally:
            for racer in racers:
                racer.kill()
                racer.wait()
        assert len(uuids) == 1
        assert scarce.ledger(requests=False)["running_uuids"] == list(uuids)
        with client_of(scarce) as octa:
            octa.rentals.stop(f"race/{race}")


@pytest.mark.parametrize("late_s", [0.3, 1.5])
def test_tries_at_once_whose_sessions_are_listed_late_get_one(bench: Bench, late_s: float) -> None:
    bench.emulator.faults({"kind": "late_listing", "seconds": late_s, "times": None, **START})
    together = threading.Barrier(3)

    def start(_: int) -> Rental:
        with real_client(bench) as octa:
            together.wait()
            return octa.rentals.start(bench.request, key=bench.key)

    with ThreadPoolExecutor(3) as pool:
        uuids = {rental.uuid for rental in pool.map(start, range(3))}
    assert len(uuids) == 1
    assert bench.running() == list(uuids)


def test_a_stop_believes_no_single_list_that_shows_nothing(bench: Bench) -> None:
    rental = bench.start()
    bench.emulator.faults({"kind": "missing_entry", "all": True, "times": 2, "path": "^/sessions$"})
    bench.client.rentals.stop(bench.key)
    assert bench.session(rental.uuid)["stopped_ms"] is not None


# -- two installations on one account -------------------------------------------------------------------------------


def test_two_installations_that_do_the_same_work_have_a_machine_each(bench: Bench) -> None:
    with client_of(bench.emulator, "prod") as prod, client_of(bench.emulator, "dev") as dev:
        first = prod.rentals.start(bench.request, key=bench.key)
        second = dev.rentals.start(bench.request, key=bench.key)
        assert (first.key, second.key) == (f"prod/{bench.key}", f"dev/{bench.key}")
        assert first.uuid != second.uuid
        assert prod.rentals.find(bench.key).uuid == first.uuid  # type: ignore[union-attr]
        assert prod.rentals.start(bench.request, key=first.key or "").uuid == first.uuid
        dev.rentals.stop(bench.key)
        running = bench.emulator.ledger(requests=False)["running_uuids"]
        assert first.uuid in running
        assert second.uuid not in running
        prod.rentals.restore(first.to_dict()).stop()
        assert first.uuid not in bench.emulator.ledger(requests=False)["running_uuids"]


def test_the_namespace_comes_from_the_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTA_NAMESPACE", "team/blue")
    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url) as octa:
        assert octa.namespace == "team%2Fblue"
        assert octa.rentals.full_key("a/b") == "team%2Fblue/a/b"
    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url, namespace="") as octa:
        assert octa.namespace == ""


def test_a_key_that_reads_like_another_installations_whole_key_is_not_its(bench: Bench) -> None:
    with client_of(bench.emulator, "nightly") as theirs, client_of(bench.emulator) as ours:
        foreign = theirs.rentals.start(REQUEST, key="shot-1")
        own = ours.rentals.start(MachineRequest("debian:12", disk_gb=5), key="nightly/shot-1")
        assert own.key == foreign.key
        assert own.uuid != foreign.uuid
        assert ours.rentals.find("nightly/shot-1").uuid == own.uuid  # type: ignore[union-attr]
        ours.rentals.stop("nightly/shot-1")
        assert foreign.uuid in bench.emulator.ledger(requests=False)["running_uuids"]
        theirs.rentals.stop("shot-1")


@pytest.mark.parametrize("namespaces", [("prod", ""), ("", "prod"), ("prod", "dev"), ("prod", "prod-2")])
def test_a_reaper_sees_its_own_namespace_alone_unless_told_so(bench: Bench, namespaces: tuple[str, str]) -> None:
    mine, theirs = namespaces
    with client_of(bench.emulator, mine) as here, client_of(bench.emulator, theirs) as there:
        own, foreign = (octa.rentals.start(bench.request, key=bench.key) for octa in (here, there))
        asked: list[str] = []

        def nobody_knows(key: str) -> None:
            asked.append(key)

        reaped = here.rentals.reap(bench.key, is_alive=nobody_knows, dry_run=False)
        assert (reaped.stopped, asked) == ((own.uuid,), [own.key])
        # Of a foreign one, an owner that is not found lives; one that is known to be gone does not.
        assert here.rentals.reap(is_alive=nobody_knows, any_namespace=True, dry_run=False).stopped == ()
        told = here.rentals.reap(is_alive=lambda key: key != foreign.key, any_namespace=True, dry_run=False)
        assert told.stopped == (foreign.uuid,)


def test_a_session_of_an_earlier_release_is_adopted_and_stopped_by_its_own_name(bench: Bench) -> None:
    earlier = bench.rent_elsewhere()
    with client_of(bench.emulator, "prod") as octa:
        rental = octa.rentals.start(bench.request, key=bench.key)
        assert (rental.uuid, rental.adopted, rental.key) == (earlier, True, bench.key)
        rental.stop()
    assert bench.running() == []


def test_a_session_of_an_earlier_release_under_a_key_that_was_cut_is_adopted(bench: Bench) -> None:
    key = rental_key(bench.key, "ежедневный рендер сцены номер сорок два")
    with client_of(bench.emulator, "prod") as octa:
        cut = octa.rentals.full_key(key).removeprefix("prod/")
        from octa_provider.rental.key import earlier_forms

        (earlier_key,) = earlier_forms(cut, "prod")
        assert len(earlier_key) == 240
        earlier = bench.rent_elsewhere(key=earlier_key)
        assert octa.rentals.start(bench.request, key=key).uuid == earlier
        octa.rentals.open(earlier).stop()


def test_a_session_of_an_earlier_release_is_reaped_by_nobody_who_has_a_namespace(bench: Bench) -> None:
    earlier = bench.rent_elsewhere()
    with client_of(bench.emulator, "prod") as octa:
        assert octa.rentals.reap(dry_run=False).stopped == ()
        assert octa.rentals.reap(is_alive=lambda key: None, any_namespace=True, dry_run=False).stopped == ()
    assert bench.running() == [earlier]


def test_another_installation_without_a_namespace_keeps_its_machine(bench: Bench) -> None:
    theirs = bench.start()
    with client_of(bench.emulator, "prod") as octa:
        mine = octa.rentals.start(bench.request, key=bench.key)
        assert mine.uuid != theirs.uuid
        mine.stop()
    assert bench.running() == [theirs.uuid]


# -- other work under the same key ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        MachineRequest("ubuntu:22.04", disk_gb=5),
        MachineRequest("ubuntu:24.04", disk_gb=5, start_command="sleep 9"),
        MachineRequest("ubuntu:24.04", disk_gb=5, envs={"A": "b"}),
        MachineRequest("ubuntu:24.04", disk_gb=5, ports=(8080,)),
        RenderRequest(disk_gb=5),
    ],
    ids=["image", "command", "environment", "ports", "service"],
)
def test_what_was_started_for_something_else_is_stopped_and_started_anew(bench: Bench, other: Request) -> None:
    before = bench.start()
    after = bench.start(request=other)
    assert not after.adopted
    assert bench.running() == [after.uuid]
    assert before.uuid != after.uuid


def test_the_same_work_on_another_disk_is_adopted(bench: Bench) -> None:
    before = bench.start()
    assert bench.start(request=MachineRequest("ubuntu:24.04", disk_gb=6)).uuid == before.uuid


def test_two_that_want_different_things_under_one_key_are_told_so(bench: Bench) -> None:
    others = iter([MachineRequest("debian:12", disk_gb=5), MachineRequest("debian:13", disk_gb=5)])

    def interfere(context: RequestContext) -> None:
        if context.method == "GET" and context.url.endswith("/sessions") and bench.clock.at_s >= 0:
            for other in others:
                bench.client.rentals.start(other, key=bench.key)
                break

    bench.start()
    told = pytest.raises(OctaConfigError, match="two different pieces of work")
    with client_of(bench.emulator, on_request=interfere) as octa, told:
        octa.rentals.start(MachineRequest("alpine:3", disk_gb=5), key=bench.key)


def test_a_session_tells_what_it_was_started_for_without_telling_it(bench: Bench) -> None:
    rental = bench.start(request=MachineRequest("ubuntu:24.04", disk_gb=5, envs={"TOKEN": "s3cret"}))
    mark = RentalMark.of(rental.info())
    assert mark is not None
    assert len(mark.fingerprint) == 16
    assert "s3cret" not in repr(mark)


# -- a session that is being stopped --------------------------------------------------------------------------------


def slow_to_stop(seconds: float) -> AbstractContextManager[EmulatorHandle]:
    return start_emulator(in_process=True, machines=4, start_delay_s=0, stop_delay_s=seconds, balance_octa=10**9)


def test_a_session_that_is_being_stopped_is_waited_out_and_started_anew() -> None:
    with slow_to_stop(1.0) as handle, OctaClient(handle.api_key, base_url=handle.base_url) as octa:
        going = octa.rentals.start(REQUEST, key="going/one")
        octa.services.session(going.uuid).stop()
        rental = octa.rentals.start(REQUEST, key="going/one")
        assert rental.uuid != going.uuid
        assert not rental.adopted
        assert handle.ledger()["max_running_by_key"]["going/one"]["max_running"] == 1
        rental.stop()


def test_a_session_whose_stop_hangs_is_named_at_the_deadline() -> None:
    with slow_to_stop(10_000.0) as handle, client_of(handle) as octa:
        going = octa.rentals.start(REQUEST, key="going/two")
        octa.services.session(going.uuid).stop()
        with pytest.raises(OctaError, match=f"still being stopped.*octa-provider stop {going.uuid}"):
            octa.rentals.start(REQUEST, key="going/two", deadline_s=20)


# -- several sessions of one key ------------------------------------------------------------------------------------


def test_a_job_stops_a_later_session_of_its_key(bench: Bench) -> None:
    from octa_provider.job.spec import JobSpec
    from octa_provider.job.state import JobPhase

    state = bench.client.jobs.start(JobSpec(image="ubuntu:24.04", command="sleep 60"), bench.key)
    bench.rent_elsewhere()
    bench.wait_for(lambda: bench.session(state.rental.uuid)["system"][-1] == "service configured")
    assert bench.client.jobs.poll(state).phase is JobPhase.RUNNING
    assert bench.running() == [state.rental.uuid]


def test_whoever_watches_a_session_has_its_later_twins_stopped_and_no_others(bench: Bench) -> None:
    stranger = bench.rent_elsewhere(key="somebody/else")
    rental = bench.start()
    twin = bench.rent_elsewhere()
    with (
        OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url) as octa,
        watcher_for(octa, 0.02) as watcher,
    ):
        watcher.wait(rental.uuid, lambda session: bench.session(twin)["stopped_ms"] is not None, deadline_s=600)
    assert bench.running() == [rental.uuid]
    assert bench.session(stranger)["stopped_ms"] is None


def test_whoever_watches_the_later_of_two_leaves_the_older_one_to_its_holder(bench: Bench) -> None:
    older = bench.rent_elsewhere()
    later = bench.rent_elsewhere()
    looks: list[object] = []
    with (
        OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url) as octa,
        watcher_for(octa, 0.02) as watcher,
    ):
        watcher.wait(later, lambda session: looks.append(session) or len(looks) > 5, deadline_s=600)
    assert sorted(bench.running()) == sorted([older, later])


# -- without an echo of the environment -----------------------------------------------------------------------------

KILLED = """
import os, sys
from octa_provider import JobSpec, MachineRequest, OctaClient
def die(context):
    if context.method == "POST":
        os._exit(9)
with OctaClient(on_response=die) as octa:
    if sys.argv[2] == "job":
        octa.jobs.start(JobSpec("ubuntu:24.04", "echo done; exit 5"), sys.argv[1])
    else:
        octa.rentals.start(MachineRequest("ubuntu:24.04", disk_gb=5), key=sys.argv[1])
"""


def killed_in_its_post(bench: Bench, what: str) -> None:
    ended = run_python([sys.executable, "-c", KILLED, bench.key, what], env=environment(bench.emulator), timeout=600)
    assert ended.returncode == 9
    assert len(bench.running()) == 1


@pytest.fixture
def unechoed(bench: Bench) -> Iterator[Bench]:
    """An API that keeps what a session was started with to itself."""
    bench.emulator.faults({"kind": "no_user_envs", "times": None})
    yield bench
    bench.emulator.clear_faults()


@pytest.fixture
def roomy() -> Iterator[Bench]:
    """The same, where one machine takes several sessions."""
    with start_emulator(in_process=True, machines=2, room=4, start_delay_s=0, balance_octa=10**9) as handle:
        handle.faults({"kind": "no_user_envs", "times": None})
        bench = Bench(handle, "roomy/one")
        yield bench
        bench.client.close()


def test_what_a_killed_try_has_left_is_adopted_though_it_tells_no_key(unechoed: Bench) -> None:
    killed_in_its_post(unechoed, "rental")
    rental = unechoed.start()
    assert [rental.uuid] == unechoed.running()
    assert rental.adopted
    rental.stop()
    assert unechoed.running() == []
    assert unechoed.client.intents.read(unechoed.key) == ()


class SetClock(Clock):
    """A wall clock that somebody has set."""

    def __init__(self, by_s: float) -> None:
        self._by_s = by_s

    def time(self) -> float:
        return super().time() + self._by_s


@pytest.mark.parametrize("hours", [-26, -1, 0.2, 2, 26])
def test_it_is_found_also_when_the_wall_clock_was_set_meanwhile(unechoed: Bench, hours: float) -> None:
    killed_in_its_post(unechoed, "rental")
    clock = SetClock(hours * 3600)
    with OctaClient(unechoed.emulator.api_key, base_url=unechoed.emulator.base_url, clock=clock) as octa:
        rental = octa.rentals.start(unechoed.request, key=unechoed.key)
    assert [rental.uuid] == unechoed.running()
    assert len(unechoed.sessions()) == 1


def test_a_job_that_a_killed_try_has_left_is_carried_on_though_it_tells_no_key(unechoed: Bench) -> None:
    from octa_provider.job.spec import JobSpec

    killed_in_its_post(unechoed, "job")
    with OctaClient(unechoed.emulator.api_key, base_url=unechoed.emulator.base_url) as octa:
        result = octa.jobs.run(JobSpec("ubuntu:24.04", "echo done; exit 5"), unechoed.key, poll_s=0.1)
    assert result.exit_code == 5
    assert len(unechoed.sessions()) == 1
    assert unechoed.running() == []


def test_another_job_under_that_key_stops_it_and_starts_anew(unechoed: Bench) -> None:
    killed_in_its_post(unechoed, "rental")
    (left,) = unechoed.running()
    rental = unechoed.start(request=MachineRequest("debian:12", disk_gb=5))
    assert rental.uuid != left
    assert unechoed.running() == [rental.uuid]


def test_what_cannot_be_told_from_a_strangers_session_is_named_and_never_stopped(roomy: Bench) -> None:
    killed_in_its_post(roomy, "rental")
    (left,) = roomy.running()
    stranger = roomy.rent_elsewhere(key=None, node_id=roomy.session(left)["node_id"])
    with pytest.raises(OctaError, match="can't be told") as caught:
        roomy.start()
    for uuid in (left, stranger):
        assert roomy.session(uuid)["stopped_ms"] is None
        assert uuid in str(caught.value)
    # Two by other means, none by us.
    assert roomy.posts() == 2


def test_a_session_that_another_key_is_known_to_have_is_not_taken(roomy: Bench) -> None:
    killed_in_its_post(roomy, "rental")
    (left,) = roomy.running()
    node_id = roomy.session(left)["node_id"]
    other = roomy.start(key="somebody/else", requirements=Requirements(node_id=node_id))
    assert other.uuid != left
    rental = roomy.start()
    assert (rental.uuid, rental.adopted) == (left, True)
    other.stop()
    assert roomy.running() == [left]


def rival_of(roomy: Bench, node_id: int) -> Intent:
    """Another key's request for the same machine whose answer nobody has, as its try has written it down."""
    return Intent("rival", "other work", "mr", node_id, before=(), at=roomy.clock.time())


def test_a_session_that_another_keys_lost_request_may_have_left_is_named_and_never_stopped(roomy: Bench) -> None:
    killed_in_its_post(roomy, "rental")
    (left,) = roomy.running()
    roomy.client.intents.put("somebody/else", rival_of(roomy, roomy.session(left)["node_id"]))
    with pytest.raises(OctaStartUnclearError, match="can't be told") as caught:
        roomy.start()
    assert caught.value.uuids == (left,)
    assert roomy.session(left)["stopped_ms"] is None
    assert roomy.posts() == 1


@pytest.mark.parametrize("answer", ["another session", "none"])
def test_another_keys_request_that_gets_its_answer_meanwhile_leaves_ours_to_us(roomy: Bench, answer: str) -> None:
    killed_in_its_post(roomy, "rental")
    (left,) = roomy.running()
    rival = rival_of(roomy, roomy.session(left)["node_id"])
    intents = roomy.client.intents
    intents.put("somebody/else", rival)
    if answer == "none":
        roomy.clock.later(5, lambda: intents.remove("somebody/else", rival.attempt))
    else:
        roomy.clock.later(5, lambda: intents.put("somebody/else", rival.started("another")))
    rental = roomy.start()
    assert (rental.uuid, rental.adopted) == (left, True)


def test_a_rental_without_an_echo_is_found_by_the_next_try_and_by_the_reaper(unechoed: Bench) -> None:
    rental = unechoed.start()
    assert unechoed.start().uuid == rental.uuid
    found = unechoed.client.rentals.find(unechoed.key)
    assert found is not None
    assert found.uuid == rental.uuid
    assert unechoed.client.rentals.reap(unechoed.key, dry_run=False).stopped == (rental.uuid,)


def test_without_an_echo_too_a_reaper_sees_its_own_namespace_alone(unechoed: Bench) -> None:
    with client_of(unechoed.emulator, "prod") as prod, client_of(unechoed.emulator, "dev") as dev:
        first, second = (octa.rentals.start(unechoed.request, key=unechoed.key) for octa in (prod, dev))
        assert unechoed.client.rentals.reap(dry_run=False).stopped == ()
        assert dev.rentals.reap(dry_run=False).stopped == (second.uuid,)
        assert prod.rentals.reap(dry_run=False).stopped == (first.uuid,)


@pytest.mark.parametrize("way", ["find", "stop", "reap"])
def test_what_a_killed_try_has_left_is_found_by_whoever_asks(unechoed: Bench, way: str) -> None:
    killed_in_its_post(unechoed, "rental")
    (left,) = unechoed.running()
    rentals = unechoed.client.rentals
    if way == "find":
        found = rentals.find(unechoed.key)
        assert found is not None
        assert found.uuid == left
        found.stop()
    elif way == "stop":
        assert [bill.uuid for bill in rentals.stop(unechoed.key)] == [left]
    else:
        assert rentals.reap(unechoed.key, dry_run=False).stopped == (left,)
    assert unechoed.running() == []


@pytest.mark.parametrize("way", ["find", "stop", "reap"])
def test_what_cannot_be_told_is_named_by_whoever_asks(roomy: Bench, way: str, caplog: pytest.LogCaptureFixture) -> None:
    killed_in_its_post(roomy, "rental")
    (left,) = roomy.running()
    stranger = roomy.rent_elsewhere(key=None, node_id=roomy.session(left)["node_id"])
    rentals = roomy.client.rentals
    if way == "reap":
        assert rentals.reap(dry_run=False).stopped == ()
        told = caplog.text
    else:
        with pytest.raises(OctaStartUnclearError) as caught:
            getattr(rentals, way)(roomy.key)
        told = str(caught.value)
    assert f"octa-provider stop {left} {stranger}" in told or f"octa-provider stop {stranger} {left}" in told
    assert set(roomy.emulator.ledger(requests=False)["running_uuids"]) == {left, stranger}


def test_an_api_that_tells_every_environment_as_empty_echoes_none(bench: Bench) -> None:
    earlier = bench.start(key=f"{bench.key}/earlier")
    bench.emulator.faults({"kind": "no_user_envs", "times": None, "form": "empty"}, {"kind": "drop_after", **START})
    rental = bench.start()
    assert rental.adopted
    assert [rental.uuid] == bench.running()
    rental.stop()
    bench.emulator.clear_faults()
    earlier.stop()


def test_stopping_the_key_finds_it_without_an_echo(unechoed: Bench) -> None:
    unechoed.start()
    unechoed.client.rentals.stop(unechoed.key)
    assert unechoed.running() == []
    assert unechoed.client.intents.read(unechoed.key) == ()


def test_a_folder_that_cannot_be_written_costs_a_warning_and_no_start(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OCTA_STATE_DIR", str(tmp_path / "file"))
    with client_of(bench.emulator) as octa:
        octa.rentals.start(bench.request, key=bench.key).stop()
    assert "Set OCTA_STATE_DIR to a folder that can be written" in caplog.text


def test_a_user_without_a_home_has_a_state_folder_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OCTA_STATE_DIR", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nobody)
    assert state_folder(("https://api.example", "0")).parent.parent == Path(tempfile.gettempdir())


def test_a_folder_of_another_user_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = FolderIntents(tmp_path)
    store.put("k", Intent("a", "f", "mr", 1, (), 5.0))
    monkeypatch.setattr(os, "getuid", lambda: 1 + tmp_path.stat().st_uid)
    assert store.read("k") == ()
    assert "belongs to another user" in caplog.text


def test_two_that_come_and_go_in_one_folder_lose_nothing_that_is_written_down(tmp_path: Path) -> None:
    lost: list[str] = []

    def come_and_go(key: str) -> None:
        store = FolderIntents(tmp_path / "state")
        for number in range(300):
            intent = Intent(f"try {number}", "f", "mr", 1, (), 5.0)
            store.put(key, intent)
            if store.read(key) != (intent,):
                lost.append(f"{key} {number}")
            store.remove(key, intent.attempt)

    threads = [threading.Thread(target=come_and_go, args=(key,)) for key in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []


def test_an_adopted_session_that_tells_its_key_needs_no_intent_any_more(bench: Bench) -> None:
    killed_in_its_post(bench, "rental")
    assert len(bench.client.intents.read(bench.key)) == 1
    assert bench.start().adopted
    assert bench.client.intents.read(bench.key) == ()


def test_what_nobody_has_asked_for_in_months_is_removed(tmp_path: Path) -> None:
    store = FolderIntents(tmp_path)
    store.put("old", Intent("a", "f", "mr", 1, (), 5.0, uuid="gone"))
    (path,) = tmp_path.glob("*.json")
    os.utime(path, (0, 0))
    store.put("new", Intent("b", "f", "mr", 1, (), 5.0))
    assert store.read("old") == ()
    assert len(store.read("new")) == 1


def test_nothing_that_is_written_down_stays_when_the_session_tells_its_key(bench: Bench) -> None:
    rental = bench.start()
    assert rental.claim is None
    assert bench.client.intents.read(bench.key) == ()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 1}', '{"key": "k", "at": "x"}'])
def test_what_is_no_intent_is_passed_over(bench: Bench, text: str, tmp_path: Path) -> None:
    store = FolderIntents(tmp_path)
    store.put("k", Intent("a", "f", "mr", 1, ("u",), 5.0))
    next(tmp_path.glob("*.json")).with_name("odd.json").write_text(text)
    (intent,) = store.read("k")
    assert Intent.from_dict(intent.to_dict()) == intent
    assert store.claimed() == {}
    store.put("k", intent.started("session"))
    assert store.claimed() == {"session": "k"}


INTENT = Intent("a", "f", "mr", 1, ("u",), 5.0, "s", "ns", "boot", 2.5)


def test_an_intent_that_an_orchestrator_or_the_release_before_has_kept_is_read() -> None:
    kept = json.loads(json.dumps(INTENT.to_dict()))
    assert Intent.from_dict(kept | {"key": "k", "node_id": "1", "novelty": 1}) == INTENT
    for name in ("uuid", "namespace", "boot", "counted"):
        del kept[name]
    assert Intent.from_dict(kept) == Intent("a", "f", "mr", 1, ("u",), 5.0)


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        *(("node_id", "x"), ("node_id", None), ("before", "u"), ("before", [1]), ("at", float("nan")), ("at", "soon")),
        *(("attempt", 1), ("uuid", 5), ("counted", float("inf")), ("boot", None)),
    ],
)
def test_what_is_no_intent_is_refused(name: str, odd: object) -> None:
    with pytest.raises(OctaConfigError, match="this is not an intent"):
        Intent.from_dict(INTENT.to_dict() | {name: odd})


def test_a_listing_that_comes_late_after_a_kill_is_waited_for(bench: Bench) -> None:
    bench.emulator.faults({"kind": "late_listing", "seconds": 1.0, **START})
    ended = run_python(
        [sys.executable, "-c", KILLED, bench.key, "rental"], env=environment(bench.emulator), timeout=600
    )
    assert ended.returncode == 9
    with OctaClient(bench.emulator.api_key, base_url=bench.emulator.base_url) as octa:
        rental = octa.rentals.start(bench.request, key=bench.key)
    assert rental.adopted
    assert bench.running() == [rental.uuid]


def test_nothing_fits_is_told_at_once(bench: Bench) -> None:
    with pytest.raises(OctaNoMachineError):
        bench.start(requirements=Requirements(gpu_count=1000))
    assert bench.clock.at_s == 0
    assert bench.requests().count(f"GET {LIST['path']}") == 2


def test_an_empty_account_is_told_at_once(bench: Bench) -> None:
    bench.emulator.faults({"kind": "garbage", "path": "/accounts/balance", "status": 200, "body": '{"balance": 0}'})
    with pytest.raises(OctaBudgetError, match="empty"):
        bench.start()
    assert bench.clock.at_s == 0


def test_a_start_that_ends_while_another_reads_what_all_have_begun_is_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last one takes the folder with it."""
    folder, enough = tmp_path / "intents", threading.Event()

    def start_and_end() -> None:
        store, intent = FolderIntents(folder), Intent("attempt", "print", "mr", 7, ("before",), 1.0)
        while not enough.is_set():
            store.put("key", intent)
            store.remove("key", "attempt")

    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(start_and_end)
        for _ in range(3000):
            FolderIntents(folder).pending()
        enough.set()
        ending.result()
    assert [one.message for one in caplog.records if "can't be read" in one.message] == []
