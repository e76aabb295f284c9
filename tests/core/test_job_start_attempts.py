"""Another machine when one never comes up: never two at once, none twice, and each on the bill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import msgspec
import pytest
from job_bench import Bench, LeapingClock, emulator

from octa_provider import JobOutcome, JobResult, JobSpec, JobState, OctaConfigError, Requirements
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.errors import OctaCancelledError, OctaStopError
from octa_provider.job.found import find_job
from octa_provider.job.state import JobPhase
from octa_provider.models import Session
from octa_provider.rental.tried_machine import TriedMachine, cap_left, total
from octa_provider.rental.tried_mark import tried_before, tried_envs
from octa_provider.wire.session_envs import TRIED_ENV

__all__ = ["emulator"]

NEVER_READY = {"kind": "never_ready", "times": 1}
NEVER_AT_ALL = {"kind": "never_ready", "times": None}


def spec(command: str = "echo hello", **changes: Any) -> JobSpec:
    given: dict[str, Any] = {"image": "ubuntu:24.04", "command": command, "ready_timeout_s": 60, "start_attempts": 2}
    return JobSpec(**(given | changes))


@pytest.fixture
def bench(emulator: EmulatorHandle, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Whoever sleeps is woken at once: no machine that never comes up is waited for."""
    bench = Bench(emulator, f"start-attempts/{request.node.name}", LeapingClock())
    yield bench
    bench.stop()


def tried_one_by_one(bench: Bench) -> list[int]:
    """The nodes, in order: each another one, and each stopped before the next was started."""
    sessions = sorted(bench.sessions(), key=lambda session: session["started_ms"])
    nodes = [session["node_id"] for session in sessions]
    assert len(set(nodes)) == len(nodes)
    overlaps = bench.emulator.ledger(requests=False)["max_running_by_key"]
    assert overlaps[bench.key]["max_running"] == 1
    assert bench.running() == 0
    return nodes


def billed_wei(bench: Bench) -> int:
    return sum(session["charge_wei"] for session in bench.sessions())


@pytest.mark.parametrize("via", ["container", "ssh"])
def test_a_job_whose_machine_never_comes_up_runs_on_another(bench: Bench, via: str) -> None:
    bench.emulator.faults(NEVER_READY)
    states: list[JobState] = []
    lines: list[str] = []
    result = bench.client.jobs.run(
        spec(via=via), bench.key, private_key=bench.ssh_key, on_state=states.append, on_line=lines.append, poll_s=0.5
    )
    assert (result.outcome, lines) == (JobOutcome.SUCCEEDED, ["hello"])
    first, second = tried_one_by_one(bench)
    assert [one.node_id for one in result.tried] == [first]
    assert (result.node_id, result.attempts) == (second, 1)
    assert "not ready for the command in time" in result.tried[0].message
    assert result.cost_wei == billed_wei(bench)
    assert result.cost_wei > (result.tried[0].cost_wei or 0) > 0
    told = json.loads(json.dumps(result.to_dict()))
    assert told["tried"][0]["node_id"] == first
    assert result.to_json()["tried"][0]["cost_wei"] == str(result.tried[0].cost_wei)
    for state in states:
        assert JobState.from_dict(json.loads(json.dumps(state.to_dict()))) == state


def test_when_none_comes_up_so_many_are_tried_and_no_more(bench: Bench) -> None:
    bench.emulator.faults(NEVER_AT_ALL)
    result = bench.client.jobs.run(spec(start_attempts=3), bench.key, poll_s=0.5)
    assert result.outcome is JobOutcome.NOT_READY
    assert len(tried_one_by_one(bench)) == 3
    assert len(result.tried) == 2
    assert result.cost_wei == billed_wei(bench)


def test_without_being_asked_for_no_other_machine_is_tried(bench: Bench) -> None:
    bench.emulator.faults(NEVER_AT_ALL)
    result = bench.client.jobs.run(spec(start_attempts=1), bench.key, poll_s=0.5)
    assert (result.outcome, result.tried, len(bench.sessions())) == (JobOutcome.NOT_READY, (), 1)


def test_when_no_other_machine_fits_the_job_ends_and_says_so(bench: Bench) -> None:
    offered = [machine.node_id for machine in bench.client.services.mr.available()]
    bench.emulator.faults(NEVER_READY)
    only = Requirements(exclude_nodes=tuple(node for node in offered[1:] if node is not None))
    result = bench.client.jobs.run(spec(requirements=only), bench.key, poll_s=0.5)
    assert (result.outcome, result.tried) == (JobOutcome.NOT_READY, ())
    assert "not ready for the command in time. No other machine: no machine fits" in result.message
    assert result.cost_wei == billed_wei(bench)
    assert len(tried_one_by_one(bench)) == 1


def test_a_machine_that_says_that_it_failed_while_it_came_up_is_left_for_another(bench: Bench) -> None:
    state = bench.client.jobs.start(spec(), bench.key)
    info = {"uuid": state.rental.uuid, "progress": "error: no space left", "is_ready": False}
    bench.emulator.faults({"kind": "status", "status": 200, "path": "/services/*/info", "body": info})
    result = bench.client.jobs.watch(state, spec(), poll_s=0.5)
    assert result.outcome is JobOutcome.SUCCEEDED
    assert "error: no space left" in result.tried[0].message
    assert len(tried_one_by_one(bench)) == 2


@pytest.mark.parametrize(("via", "tried"), [("ssh", 1), ("container", 0)])
def test_a_machine_that_goes_before_it_is_up_is_left_for_another_where_no_command_can_have_run(
    bench: Bench, via: str, tried: int
) -> None:
    bench.emulator.faults(NEVER_READY)
    state = bench.client.jobs.start(spec(via=via), bench.key, private_key=bench.ssh_key)
    bench.emulator.end_session(state.rental.uuid)
    bench.clock.shift_s += 100
    result = bench.client.jobs.watch(state, spec(via=via), private_key=bench.ssh_key, poll_s=0.5)
    assert (result.succeeded, len(result.tried)) == (bool(tried), tried)
    assert len(tried_one_by_one(bench)) == 1 + tried


def test_a_machine_that_cannot_be_stopped_keeps_another_from_being_started(bench: Bench) -> None:
    state = bench.client.jobs.start(spec(), bench.key)
    bench.clock.shift_s += 100
    bench.emulator.faults(
        {"kind": "status", "status": 500, "method": "POST", "path": "/services/*/stop", "times": None}
    )
    bench.emulator.faults({"kind": "status", "status": 500, "method": "POST", "path": "/services/mr", "times": None})
    never_up = state.having(phase=JobPhase.EXITED, outcome=JobOutcome.NOT_READY, never_up=True)
    with pytest.raises(OctaStopError):
        bench.client.jobs.start_elsewhere(never_up, spec())
    assert len(bench.sessions()) == 1
    posts = [one for one in bench.emulator.ledger()["requests"] if one["path"] == "/services/mr"]
    assert [post["status"] for post in posts].count(500) == 0


def test_two_tries_that_give_up_the_same_machine_have_one_other_together(bench: Bench) -> None:
    """The one's worker was only taken for dead."""
    state = bench.client.jobs.start(spec(), bench.key)
    never_up = state.having(phase=JobPhase.EXITED, outcome=JobOutcome.NOT_READY, never_up=True)
    first = bench.client.jobs.start_elsewhere(never_up, spec())
    second = bench.client.jobs.start_elsewhere(never_up.having(attempts=2), spec())
    assert second.rental.uuid == first.rental.uuid != state.rental.uuid
    assert (second.nonce, second.attempts) == (first.nonce, 2)
    assert [one.uuid for one in second.tried] == [state.rental.uuid]
    assert (len(bench.sessions()), bench.running()) == (2, 1)


def test_a_machine_that_shows_again_after_its_stop_is_stopped_again_and_not_taken_for_the_other(bench: Bench) -> None:
    state = bench.client.jobs.start(spec(), bench.key)
    # A stop that did nothing, and everything that tells says the contrary.
    bench.emulator.faults(
        {"kind": "status", "status": 404, "method": "POST", "path": "/services/*/stop"},
        {"kind": "missing_entry", "all": True, "times": 2},
        {"kind": "status", "status": 404, "method": "GET", "path": "/services/*/info"},
    )
    never_up = state.having(phase=JobPhase.EXITED, outcome=JobOutcome.NOT_READY, never_up=True)
    other = bench.client.jobs.start_elsewhere(never_up, spec())
    assert [one.uuid for one in other.tried] == [state.rental.uuid]
    assert (other.rental.uuid != state.rental.uuid, other.rental.adopted) == (True, False)
    assert bench.running() == 1
    bench.client.rentals.stop(bench.key)
    assert len(tried_one_by_one(bench)) == 2


def beside(bench: Bench, state: JobState) -> str:
    """A session in the place of the job's, whose own stop has not lasted. Returns its uuid."""
    envs = bench.client.services.session(state.rental.uuid).info().user_envs or {}
    item = {"id": 0, "node_id": 1003, "disk_size": 10, "image": "ubuntu:24.04", "start_command": "sleep 600"}
    item["envs"] = dict(envs) | {"OCTA_REPLACES": state.rental.uuid}
    answer = bench.emulator.request("POST", "/services/mr", json=[item]).json()
    return str((answer[0] if isinstance(answer, list) else answer)["uuid"])


def test_a_machine_that_shows_again_once_the_other_runs_is_stopped_again_and_billed(bench: Bench) -> None:
    state = bench.client.jobs.start(spec(), bench.key)
    # The lists of its stop, and the one before the other start.
    bench.emulator.faults(
        {"kind": "status", "status": 404, "method": "POST", "path": "/services/*/stop"},
        {"kind": "missing_entry", "all": True, "times": 3},
        {"kind": "status", "status": 404, "method": "GET", "path": "/services/*/info"},
    )
    never_up = state.having(phase=JobPhase.EXITED, outcome=JobOutcome.NOT_READY, never_up=True)
    other = bench.client.jobs.start_elsewhere(never_up, spec())
    assert (other.rental.uuid != state.rental.uuid, other.rental.adopted) == (True, False)
    assert bench.running() == 1
    result = bench.client.jobs.watch(other, spec(), poll_s=0.5)
    assert (result.outcome, result.uuid) == (JobOutcome.SUCCEEDED, other.rental.uuid)
    assert result.cost_wei == billed_wei(bench)
    assert result.tried[0].cost_wei == next(s["charge_wei"] for s in bench.sessions() if s["uuid"] == state.rental.uuid)


def test_the_next_try_adopts_the_other_machine_and_not_the_one_that_shows_again(bench: Bench) -> None:
    state = bench.client.jobs.start(spec("sleep 600"), bench.key)
    other = beside(bench, state)
    found = bench.client.rentals.find(bench.key)
    assert found is not None
    assert found.uuid == other
    adopted = bench.client.jobs.start(spec("sleep 600"), bench.key)
    assert (adopted.rental.uuid, adopted.rental.adopted) == (other, True)
    assert bench.running() == 1


def test_while_the_other_machine_is_watched_the_one_that_shows_again_is_stopped(bench: Bench) -> None:
    state = bench.client.jobs.start(spec("sleep 600"), bench.key)
    other = state.having(rental=bench.client.rentals.open(beside(bench, state), bench.key).terms)

    def is_alone() -> bool:
        return bench.running() == 1

    with pytest.raises(OctaCancelledError):
        bench.client.jobs.watch(other, spec("sleep 600"), is_cancelled=is_alone, poll_s=0.5)
    first, second = sorted(bench.sessions(), key=lambda session: session["started_ms"])
    assert (first["uuid"], second["uuid"]) == (state.rental.uuid, other.rental.uuid)
    assert first["stopped_ms"] < second["stopped_ms"]


@pytest.mark.parametrize("is_gone", [True, False])
def test_who_watches_a_machine_that_another_has_given_up_leaves_the_one_in_its_place(
    bench: Bench, is_gone: bool
) -> None:
    """Two triggerers watch the same container; the one has seen that it never came up, and another was started."""
    state = bench.client.jobs.start(spec("sleep 600", max_duration_s=3600), bench.key)
    other = beside(bench, state)
    if is_gone:
        bench.emulator.end_session(state.rental.uuid)
    else:
        # A cap of the old one is reached.
        state = state.having(rental=msgspec.structs.replace(state.rental, max_duration_s=1e-9))
    ended = bench.polled(state)
    assert ended.outcome is (JobOutcome.LOST if is_gone else JobOutcome.OVER_BUDGET)
    assert bench.client.jobs.finish(ended).uuid == state.rental.uuid
    assert [session["uuid"] for session in bench.sessions() if session["stopped_ms"] is None] == [other]
    # A stop by key, of a task that is killed or cleared, leaves neither.
    bench.client.rentals.stop(bench.key)
    assert bench.running() == 0


def test_what_is_told_of_a_machine_before_is_one_short_sentence_without_its_log_or_secrets(bench: Bench) -> None:
    tail = "\n".join(f"\x1b[31mline {n}: " + 500 * "x" for n in range(20))
    said = f"session u on node 7 failed: error s3cr3t-value {600 * 'y'}; it was stopped. Its system log ends:\n{tail}"
    for text, told in (
        (said, None),
        (said.replace(600 * "y", ""), "session u on node 7 failed: error *** ; it was stopped"),
    ):
        job = spec(via="ssh", secret_envs={"TOKEN": "s3cr3t-value"})
        key = f"{bench.key}/{told is None}"
        state = bench.client.jobs.start(job, key, private_key=bench.emulator.ssh_private_key)
        failed = state.having(
            phase=JobPhase.EXITED, outcome=JobOutcome.NOT_READY, never_up=True, message=text, start_attempts=2
        )
        other = bench.client.jobs.start_elsewhere(failed, job, private_key=bench.emulator.ssh_private_key)
        (tried,) = other.tried
        assert tried.message == told or (told is None and len(tried.message) == 500)
        assert tried.message.startswith("session u on node 7 failed: error ***")
        bench.client.rentals.restore(other.rental).stop()


def test_a_key_that_a_machine_refuses_is_not_tried_on_others(bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "other"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(other))
    result = bench.client.jobs.run(spec(via="ssh"), bench.key, private_key=other, poll_s=0.5)
    assert result.outcome is JobOutcome.NOT_READY
    assert "refused the key" in result.message
    assert len(bench.sessions()) == 1


def test_a_command_that_was_begun_is_begun_nowhere_else(bench: Bench) -> None:
    state = bench.running_state(spec("echo begun; sleep 60"))
    bench.emulator.end_session(state.rental.uuid)
    result = bench.client.jobs.watch(state, spec("echo begun; sleep 60"), poll_s=0.5)
    assert (result.outcome, result.tried, len(bench.sessions())) == (JobOutcome.LOST, (), 1)


def test_what_the_machines_before_have_cost_is_taken_off_the_cap(bench: Bench) -> None:
    job = spec(max_cost_usd=5.0)
    state = bench.client.jobs.start(job, bench.key)
    bench.emulator.advance_clock(1800)
    never_up = state.having(phase=JobPhase.EXITED, outcome=JobOutcome.NOT_READY, never_up=True, message="late")
    other = bench.client.jobs.start_elsewhere(never_up, job)
    spent = other.tried[0].cost_usd
    assert spent is not None
    assert spent > 0
    assert other.rental.max_cost_usd == pytest.approx(5.0 - spent)
    # A try that carries on knows it too.
    again = bench.client.jobs.start(job, bench.key, earlier=JobState.from_dict(other.to_dict()))
    assert (again.rental.max_cost_usd, again.tried) == (other.rental.max_cost_usd, other.tried)


def test_when_nothing_is_left_of_the_cap_nothing_is_started(bench: Bench) -> None:
    job = spec(max_cost_usd=0.2)
    state = bench.client.jobs.start(job, bench.key)
    bench.emulator.advance_clock(10 * 3600)
    never_up = state.having(phase=JobPhase.EXITED, outcome=JobOutcome.NOT_READY, never_up=True, message="late")
    ended = bench.client.jobs.start_elsewhere(never_up, job)
    assert ended.message == "late. No other machine: nothing is left of max_cost_usd=0.2 for another machine"
    assert not ended.may_start_elsewhere
    # Not begun anew either, by whoever begins lost jobs anew: the cap would begin anew with it.
    assert ended.outcome is JobOutcome.OVER_BUDGET
    assert bench.client.jobs.finish(ended).cost_wei == billed_wei(bench)
    assert len(tried_one_by_one(bench)) == 1


def test_when_nobody_tells_what_the_machine_has_cost_a_cap_allows_no_other_and_says_why(bench: Bench) -> None:
    job = spec(max_cost_usd=5.0)
    state = bench.client.jobs.start(job, bench.key)
    bench.emulator.faults(
        {"kind": "missing_entry", "all": True, "times": None},
        {"kind": "status", "status": 404, "method": "GET", "path": "/services/*/info", "times": None},
    )
    never_up = state.having(phase=JobPhase.EXITED, outcome=JobOutcome.NOT_READY, never_up=True, message="late")
    ended = bench.client.jobs.start_elsewhere(never_up, job)
    assert "nobody tells what the machines before have cost, so max_cost_usd=5 can't be held" in ended.message
    assert len(bench.sessions()) == 1


def test_whoever_cancels_before_the_other_machine_has_none(bench: Bench) -> None:
    bench.emulator.faults(NEVER_AT_ALL)
    told: list[JobState] = []
    with pytest.raises(OctaCancelledError):
        bench.client.jobs.run(
            spec(), bench.key, on_state=told.append, is_cancelled=lambda: told[-1:] != [] and told[-1].ended, poll_s=0.5
        )
    assert len(tried_one_by_one(bench)) == 1


def test_a_watcher_that_dies_before_the_other_machine_is_started_leaves_it_to_the_next(bench: Bench) -> None:
    bench.emulator.faults(NEVER_READY)
    state = bench.client.jobs.start(spec(), bench.key)
    bench.clock.shift_s += 100
    state = bench.client.jobs.poll(state)
    assert state.may_start_elsewhere
    result: JobResult = bench.client.jobs.run(
        spec(), bench.key, earlier=JobState.from_dict(state.to_dict()), poll_s=0.5
    )
    assert (result.outcome, len(result.tried)) == (JobOutcome.SUCCEEDED, 1)
    assert len(tried_one_by_one(bench)) == 2


def never_up(state: JobState) -> JobState:
    return state.having(phase=JobPhase.EXITED, outcome=JobOutcome.NOT_READY, never_up=True, message="late")


def test_a_watcher_that_dies_with_the_other_machine_started_leaves_the_first_on_the_bill_and_off_the_cap(
    bench: Bench,
) -> None:
    """Nobody had written anything down yet: the other machine itself tells what was before it."""
    job = spec(max_cost_usd=5.0)
    state = bench.client.jobs.start(job, bench.key)
    bench.emulator.advance_clock(1800)
    other = bench.client.jobs.start_elsewhere(never_up(state), job)
    for earlier in (None, state, never_up(state)):
        again = bench.client.jobs.start(job, bench.key, earlier=earlier)
        (first,) = again.tried
        assert (again.rental.uuid, again.nonce) == (other.rental.uuid, other.nonce)
        assert (first.uuid, first.node_id) == (state.rental.uuid, state.rental.node_id)
        assert (first.cost_wei, first.cost_usd) == (other.tried[0].cost_wei, other.tried[0].cost_usd)
        assert again.rental.max_cost_usd == other.rental.max_cost_usd
    found = find_job(
        bench.client,
        msgspec.structs.replace(again.rental, max_cost_usd=5.0),
        timeout_s=60,
        ready_timeout_s=60,
        is_over_ssh=lambda envs: False,
        start_attempts=2,
    )
    assert (len(found.tried), found.rental.max_cost_usd) == (1, other.rental.max_cost_usd)
    result = bench.client.jobs.watch(again, job, poll_s=0.5)
    assert (result.outcome, len(result.tried)) == (JobOutcome.SUCCEEDED, 1)
    assert result.cost_wei == billed_wei(bench)


def test_a_watcher_that_dies_with_the_first_machine_stopped_leaves_it_on_the_bill(bench: Bench) -> None:
    state = bench.client.jobs.start(spec(), bench.key)
    bench.client.rentals.stop(bench.key)
    result = bench.client.jobs.run(spec(), bench.key, earlier=never_up(state), poll_s=0.5)
    assert (result.outcome, [one.uuid for one in result.tried]) == (JobOutcome.SUCCEEDED, [state.rental.uuid])
    assert result.cost_wei == billed_wei(bench)
    assert len(tried_one_by_one(bench)) == 2


def test_what_a_session_tells_of_the_machines_before_is_what_was_written() -> None:
    tried = (TriedMachine("u", 5, 10**19, 0.25, 12.5, "late", 1.5), TriedMachine("v"))
    told = tried_before(Session.from_payload({"uuid": "w", "user_envs": tried_envs(tried)}))
    assert [replace(one, message="") for one in told] == [replace(one, message="") for one in tried]
    assert tried_envs(()) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '[["u"]]',
        "[" * 100_000,
        '[["u", 5, "much", 0, 0, 0]]',
        "NaN",
        # One that would raise the cap.
        '[["u", 5, -1, -1.5, 0, 0]]',
    ],
)
def test_what_is_no_list_of_machines_is_none(text: str) -> None:
    assert tried_before(Session.from_payload({"uuid": "w", "user_envs": {TRIED_ENV: text}})) == ()


def test_a_command_does_not_see_what_the_machines_before_have_cost(bench: Bench) -> None:
    bench.emulator.faults(NEVER_READY)
    lines: list[str] = []
    bench.client.jobs.run(spec(f"env | grep -c {TRIED_ENV}"), bench.key, on_line=lines.append, poll_s=0.5)
    assert lines == ["0"]
    with pytest.raises(OctaConfigError, match=f"envs must not set {TRIED_ENV}"):
        spec(envs={TRIED_ENV: "[]"})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        *(
            ({"start_attempts": odd}, "start_attempts must be a whole number from 1 to 10")
            for odd in (0, 11, True, "2")
        ),
        ({"requirements": Requirements(node_id=5)}, "start_attempts=2 tries other machines, and node_id=5 allows none"),
    ],
)
def test_what_cannot_be_tried_is_refused_when_the_job_is_described(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OctaConfigError, match=sentence):
        spec(**wrong)


def test_a_machine_whose_charge_comes_late_is_taken_off_the_cap_by_its_time_and_price() -> None:
    late = TriedMachine("u", cost_wei=0, cost_usd=0.0, duration_s=1800.0, price_usd=3.0)
    assert (cap_left(2.0, [late]), cap_left(2.0, [late, late])) == (0.5, 0.0)
    assert cap_left(2.0, [TriedMachine("u", cost_usd=1.75, duration_s=1800.0, price_usd=3.0)]) == 0.25


def test_a_cost_that_nobody_tells_leaves_no_total_and_nothing_of_a_cap() -> None:
    known, unknown = TriedMachine("u", cost_usd=0.5), TriedMachine("v")
    assert (cap_left(2.0, [known]), cap_left(0.2, [known]), cap_left(2.0, [known, unknown])) == (1.5, 0.0, 0.0)
    assert cap_left(None, [unknown]) is None
    assert (total([1, 2]), total([1, None]), total([0.5])) == (3, None, 0.5)
