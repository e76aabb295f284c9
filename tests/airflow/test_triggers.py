"""The triggers, many at once on one event loop, against the emulator."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.models.trigger import Trigger as TriggerRow
from airflow_runs import Renting
from on_a_loop import Trigger, all_events, cancelled, event_of, on_a_loop, once_watched
from requests.adapters import HTTPAdapter
from waited_for import PATIENCE_S, once_there

from airflow_provider.job_json import job_to_json
from airflow_provider.triggers import account as account_module
from airflow_provider.triggers import job as job_module
from airflow_provider.triggers import killed_by_user
from airflow_provider.triggers.job import OctaJobTrigger
from airflow_provider.triggers.session import OctaSessionReadyTrigger
from octa_provider import JobOutcome, JobSpec, JobState, MachineRequest
from octa_provider.job.state import JobPhase
from octa_provider.models import Session
from octa_provider.watch.seen import SeenSessions

NEVER_READY = {"kind": "never_ready", "times": None}


def begun_job(renting: Renting, name: str, command: str = "sleep 600", **spec: Any) -> JobState:
    with renting.client() as client:
        return client.jobs.start(JobSpec(image="alpine:3", command=command, **spec), f"tests/triggers/job/{name}")


def job_trigger(state: JobState, **arguments: Any) -> OctaJobTrigger:
    defaults = {"octa_conn_id": "octa_default", "latest_end": time.time() + 7200, "poll_interval": 0.3}
    return OctaJobTrigger(job=job_to_json(state), **(defaults | arguments))


def begun_session(renting: Renting, name: str) -> str:
    with renting.client() as client:
        request = MachineRequest(image="alpine:3", start_command="sleep 600")
        return client.rentals.start(request, key=f"tests/triggers/session/{name}").uuid


def session_trigger(uuid: str, **arguments: Any) -> OctaSessionReadyTrigger:
    defaults = {"octa_conn_id": "octa_default", "deadline_at": time.time() + 600, "poll_interval": 0.3}
    return OctaSessionReadyTrigger(session={"uuid": uuid}, **(defaults | arguments))


def requests_since(renting: Renting, before: int, path: str) -> int:
    made = renting.emulator.ledger()["requests"][before:]
    return sum(1 for one in made if one["method"] == "GET" and one["path"] == path)


def stopped(renting: Renting, *uuids: str) -> None:
    """Stop what a test was right to leave running."""
    with renting.client() as client:
        for uuid in uuids:
            client.rentals.open(uuid).stop()


def test_all_triggers_of_a_connection_share_one_list_call(renting: Renting) -> None:
    renting.emulator.faults(NEVER_READY)
    jobs = [job_trigger(begun_job(renting, f"job-{n}"), poll_interval=1) for n in range(10)]
    sessions = [session_trigger(begun_session(renting, f"session-{n}"), poll_interval=1) for n in range(10)]
    before = len(renting.emulator.ledger()["requests"])

    async def main() -> float:
        begun = time.monotonic()
        tasks = [asyncio.create_task(event_of(trigger)) for trigger in (*jobs, *sessions)]
        while requests_since(renting, before, "/sessions") < 4:
            await asyncio.sleep(0.5)
        await cancelled(tasks)
        return time.monotonic() - begun

    waited_s = on_a_loop(main)
    asked = requests_since(renting, before, "/sessions")
    # One at once, then one a second, however many wait.
    assert 4 <= asked <= waited_s + 2
    assert len(renting.emulator.ledger()["requests"]) - before <= asked + 2
    # Cancelled as by a triggerer that shuts down: nothing is stopped.
    assert len(renting.running()) == 20
    stopped(renting, *renting.running())


def test_nothing_blocks_the_loop(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer comes before the loop lets it: a request made on the loop would hold it up for as long."""
    states = [begun_job(renting, f"slow-{n}", "echo hello") for n in range(3)]
    uuids = [begun_session(renting, f"slow-{n}") for n in range(3)]
    renting.emulator.faults({"kind": "delay", "seconds": 3600, "times": None})
    send, asked_by = HTTPAdapter.send, set[threading.Thread]()

    def noted(*arguments: Any, **options: Any) -> Any:
        asked_by.add(threading.current_thread())
        return send(*arguments, **options)

    def is_held() -> bool:
        (fault,) = renting.emulator.request("GET", "/_emulator/faults").json()
        return bool(fault["met"])

    async def main() -> list[dict[str, Any]]:
        triggers: list[Trigger] = [job_trigger(state) for state in states]
        triggers += [session_trigger(uuid) for uuid in uuids]
        events = asyncio.gather(*(event_of(trigger) for trigger in triggers))
        while not await asyncio.to_thread(is_held):
            await asyncio.sleep(0.05)
        await asyncio.to_thread(renting.emulator.clear_faults)
        return await events

    with monkeypatch.context() as patch:
        patch.setattr(HTTPAdapter, "send", noted)
        events = on_a_loop(main)
    assert [event["what"] for event in events] == ["ended"] * 3 + ["ready"] * 3
    assert asked_by
    assert threading.current_thread() not in asked_by
    assert len(renting.running()) == 3
    stopped(renting, *uuids)


def stored_and_made_anew(trigger: Trigger) -> Any:
    """As another triggerer gets it: through Airflow's own table, encrypted."""
    row = TriggerRow.from_object(trigger)
    module, _, name = row.classpath.rpartition(".")
    return getattr(importlib.import_module(module), name)(**row.kwargs)


def test_a_trigger_made_anew_has_the_same_deadlines(renting: Renting) -> None:
    state = JobState.from_dict(begun_job(renting, "anew").to_dict())
    job = job_trigger(state, deadline_at=1_900_000_000.5, latest_end=1_800_000_000.25, collects=True, stops=False)
    session = session_trigger(state.rental.uuid, deadline_at=1_900_000_000.5)
    for trigger in (job, session):
        again = stored_and_made_anew(trigger)
        assert again.serialize() == trigger.serialize()
        assert again.deadline_at == 1_900_000_000.5
        assert renting.emulator.api_key not in json.dumps(trigger.serialize())
    assert stored_and_made_anew(job).latest_end == 1_800_000_000.25
    stopped(renting, state.rental.uuid)


def test_a_deadline_that_passed_while_no_triggerer_ran_counts(renting: Renting) -> None:
    renting.emulator.faults({"kind": "never_ready", "times": 2})
    job = job_trigger(begun_job(renting, "passed"), deadline_at=time.time() - 1)
    session = session_trigger(begun_session(renting, "passed"), deadline_at=time.time() - 1)
    events = all_events(stored_and_made_anew(job), stored_and_made_anew(session))
    assert [event["what"] for event in events] == ["deadline", "late"]
    assert renting.running() == []


def test_an_error_of_the_poller_reaches_nobody(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    triggers = [
        job_trigger(begun_job(renting, "stumbles", "echo hello")),
        session_trigger(begun_session(renting, "stumbles")),
    ]
    ask, stumbled = SeenSessions.ask, []

    def stumbles(self: SeenSessions, uuids: Any) -> Any:
        if len(stumbled) < 2:
            stumbled.append(True)
            raise RuntimeError("a bug of ours")
        return ask(self, uuids)

    monkeypatch.setattr(SeenSessions, "ask", stumbles)
    events = all_events(*triggers)
    assert len(stumbled) == 2
    assert [event["what"] for event in events] == ["ended", "ready"]
    stopped(renting, *renting.running())


@pytest.mark.parametrize(
    "fault", [{"kind": "garbage"}, {"kind": "truncate"}, {"kind": "status", "status": 429, "retry_after": 1}]
)
def test_a_bad_answer_ends_no_wait(renting: Renting, fault: dict[str, Any]) -> None:
    trigger = job_trigger(begun_job(renting, "bad-answer", "echo hello"))
    renting.emulator.faults(fault | {"method": "GET", "path": "/sessions", "times": 2})
    (event,) = all_events(trigger)
    assert event["what"] == "ended"
    assert event["result"]["outcome"] == "succeeded"


def test_a_trigger_that_runs_twice_starts_nothing_and_ends_well_twice(renting: Renting, tmp_path: Path) -> None:
    """As when a triggerer that stalled comes back, and another has taken its triggers over."""
    trigger = job_trigger(begun_job(renting, "twice", f"echo run >> {tmp_path}/runs; sleep 1; echo whole"))
    events = all_events(trigger, stored_and_made_anew(trigger))
    assert [event["what"] for event in events] == ["ended", "ended"]
    assert [event["result"]["outcome"] for event in events] == ["succeeded", "succeeded"]
    assert [event["tail"] for event in events] == [["whole"], ["whole"]]
    assert (tmp_path / "runs").read_text() == "run\n"
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_trigger_that_runs_twice_leaves_the_machine_alone_that_took_the_place_of_one_that_never_came_up(
    renting: Renting,
) -> None:
    with renting.client() as client:
        spec = JobSpec(image="alpine:3", command="sleep 600", start_attempts=3)
        first = client.jobs.start(spec, "tests/triggers/job/elsewhere")
        never_up = first.having(phase=JobPhase.EXITED, outcome=JobOutcome.NOT_READY, never_up=True)
        other = client.jobs.start_elsewhere(never_up, spec)
    event = on_a_loop(lambda: event_of(job_trigger(never_up, namespace="")))
    assert event["what"] == "elsewhere"
    assert renting.running() == [other.rental.uuid]
    stopped(renting, other.rental.uuid)


def test_a_trigger_that_runs_twice_of_a_containers_job_leaves_the_machine_in_its_place_alone(renting: Renting) -> None:
    """The other trigger gave its machine up, and a worker has started another one, before this one looks."""
    with renting.client() as client:
        spec = JobSpec(image="alpine:3", command="sleep 600", start_attempts=3)
        first = client.jobs.start(spec, "tests/triggers/job/elsewhere-container")
        never_up = first.having(phase=JobPhase.EXITED, outcome=JobOutcome.NOT_READY, never_up=True)
        other = client.jobs.start_elsewhere(never_up, spec)
    event = on_a_loop(lambda: event_of(job_trigger(first, namespace="")))
    assert (event["what"], event["result"]["outcome"]) == ("ended", "lost")
    assert renting.running() == [other.rental.uuid]
    stopped(renting, other.rental.uuid)


def test_a_trigger_that_was_ended_goes_on_elsewhere(renting: Renting, tmp_path: Path) -> None:
    """A triggerer is shut down in the middle; another carries on with what was stored when the task deferred."""
    trigger = job_trigger(begun_job(renting, "moved", f"echo one; {once_there(tmp_path / 'moved')}; echo two"))

    async def main() -> None:
        task = asyncio.create_task(event_of(trigger))
        await once_watched(renting)
        await cancelled([task])

    on_a_loop(main)
    assert len(renting.running()) == 1
    (tmp_path / "moved").touch()
    (event,) = all_events(stored_and_made_anew(trigger))
    assert event["result"]["outcome"] == "succeeded"
    assert event["tail"][-1] == "two"
    assert renting.running() == []


def test_a_session_is_stopped_before_its_event_is_told(renting: Renting) -> None:
    """Resuming can wait minutes for a slot, and that time would be billed."""
    trigger = job_trigger(begun_job(renting, "told", "echo hello"))

    async def main() -> None:
        async for event in trigger.run():
            assert event.payload["what"] == "ended"
            assert renting.running() == []

    on_a_loop(main)


def test_log_lines_go_to_the_task_that_they_are_of(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose", default="nobody")
    seen: list[tuple[str, str]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append((whose.get(), record.getMessage()))

    handler = Handler(logging.INFO)
    triggers = {name: job_trigger(begun_job(renting, name, f"echo I am {name}; sleep 1")) for name in ("ann", "bob")}
    renting.emulator.faults({"kind": "status", "status": 503, "method": "GET", "path": "/sessions", "times": 3})

    async def one(name: str) -> dict[str, Any]:
        whose.set(name)
        return await event_of(triggers[name])

    async def main() -> list[dict[str, Any]]:
        return await asyncio.gather(*(asyncio.create_task(one(name)) for name in triggers))

    logger = logging.getLogger("octa_provider")
    # On Airflow 3 a trigger's own logger is no logger of `logging`.
    monkeypatch.setattr(OctaJobTrigger, "log", logger)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        events = on_a_loop(main)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert [event["what"] for event in events] == ["ended", "ended"]
    lines = {(who, line) for who, line in seen if line.startswith("[job]")}
    assert lines == {("ann", "[job] I am ann"), ("bob", "[job] I am bob")}
    # What the shared poller says is no task's own.
    polled = {who for who, line in seen if line.endswith("are watched")}
    assert polled == {"nobody"}


def test_airflow_that_does_not_tell_the_connection_ends_no_job(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its API server may be starting anew; a worker is to go on, and the job is left alone meanwhile."""
    monkeypatch.setattr(account_module, "ASK_AGAIN_AFTER_S", (0.1, 0.1))
    job = job_trigger(begun_job(renting, "no-connection"), octa_conn_id="octa_unknown")
    session = session_trigger(begun_session(renting, "no-connection"), octa_conn_id="octa_unknown")
    events = all_events(job, session)
    assert [event["what"] for event in events] == ["unwatched", "unwatched"]
    assert events[0]["job"] == job.job
    assert len(renting.running()) == 2
    stopped(renting, *renting.running())


def test_a_connection_that_comes_back_is_asked_for_again(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_module, "ASK_AGAIN_AFTER_S", (0.5,) * 1000)
    trigger = job_trigger(begun_job(renting, "comes-back", "echo hello"), octa_conn_id="octa_later")

    async def main() -> dict[str, Any]:
        task = asyncio.create_task(event_of(trigger))
        await asyncio.sleep(0.7)
        renting.connection("octa_later")
        return await task

    assert on_a_loop(main)["what"] == "ended"


class TaskInstance:
    """As much of one as a trigger tells its links and asks its state with."""

    dag_id, run_id, task_id, map_index, try_number = "dag", "run", "job", -1, 1


def test_a_link_that_cannot_be_told_ends_no_job(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def fails(*arguments: Any) -> None:
        asked.append(arguments)
        raise RuntimeError("no XCom today")

    monkeypatch.setattr("airflow_provider.links.push_from_trigger", fails)
    trigger = job_trigger(begun_job(renting, "no-link", "sleep 1; echo hello"))
    trigger.task_instance = TaskInstance()
    (event,) = all_events(trigger)
    assert len(asked) == 1
    assert event["what"] == "ended"
    assert event["result"]["outcome"] == "succeeded"


def test_no_end_waits_for_a_link_that_takes_its_time(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's API server may take seconds for it, which would be billed."""
    was_gone: list[bool] = []

    def takes_its_time(ti: object, session: Session) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while renting.running() and time.monotonic() < deadline:
            time.sleep(0.05)
        was_gone.append(not renting.running())

    monkeypatch.setattr("airflow_provider.links.push_from_trigger", takes_its_time)
    trigger = job_trigger(begun_job(renting, "slow-link", "sleep 1; echo hello"))
    trigger.task_instance = TaskInstance()
    (event,) = all_events(trigger)
    assert (event["result"]["outcome"], was_gone) == ("succeeded", [True])


@pytest.mark.parametrize(
    ("now", "arguments", "stops"),
    [
        # A triggerer that stalled is told so of triggers that were moved away (3.3): the task waits still.
        (("deferred", False), {}, False),
        (("failed", False), {}, True),
        (("success", False), {}, True),
        ((None, False), {}, True),
        # It was cleared, and the next try waits already.
        (("deferred", True), {}, True),
        # Cleared, and about to run again.
        (("scheduled", False), {}, True),
        (("failed", False), {"stops_on_kill": False}, False),
        # Resumed by another triggerer's event, its session kept for a look into it.
        (("running", False), {"stops": False}, False),
        (("failed", False), {"stops": False}, True),
    ],
)
def test_only_a_task_that_is_over_is_stopped(
    renting: Renting,
    monkeypatch: pytest.MonkeyPatch,
    now: tuple[str | None, bool],
    arguments: dict[str, Any],
    stops: bool,
) -> None:
    monkeypatch.setattr(killed_by_user, "task_now", lambda ti: killed_by_user.TaskNow(*now))
    trigger = job_trigger(begun_job(renting, "killed"), **arguments)
    trigger.task_instance = TaskInstance()
    on_a_loop(trigger.on_kill)
    assert (renting.running() == []) is stops
    stopped(renting, *renting.running())


def test_when_airflow_does_not_tell_the_state_nothing_is_stopped(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(ti: Any) -> Any:
        raise ConnectionError("the API server is away")

    monkeypatch.setattr(killed_by_user, "task_now", fails)
    trigger = job_trigger(begun_job(renting, "not-told"))
    trigger.task_instance = TaskInstance()
    on_a_loop(trigger.on_kill)
    assert len(renting.running()) == 1
    stopped(renting, *renting.running())


def test_a_kill_and_the_end_of_the_work_at_once_stop_once(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    """`on_kill` and the cancel that follows it may both run."""
    monkeypatch.setattr(killed_by_user, "task_now", lambda ti: killed_by_user.TaskNow("failed"))
    monkeypatch.setattr(job_module, "TELLS_KILLS", False)
    trigger = job_trigger(begun_job(renting, "both"))
    trigger.task_instance = TaskInstance()

    async def main() -> None:
        task = asyncio.create_task(event_of(trigger))
        await once_watched(renting)
        await asyncio.gather(trigger.on_kill(), cancelled([task]))

    on_a_loop(main)
    assert renting.running() == []


@pytest.mark.parametrize("tells_kills", [True, False], ids=["told", "cancelled"])
def test_a_cancel_that_comes_again_while_airflow_is_asked_keeps_no_session_from_its_stop(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, tells_kills: bool
) -> None:
    """Airflow cancels each second until the trigger has ended, and may take longer to answer."""
    is_asked, may_answer = threading.Event(), threading.Event()

    def answers_late(ti: Any) -> killed_by_user.TaskNow:
        is_asked.set()
        may_answer.wait(PATIENCE_S)
        return killed_by_user.TaskNow("failed")

    monkeypatch.setattr(killed_by_user, "task_now", answers_late)
    monkeypatch.setattr(job_module, "TELLS_KILLS", tells_kills)
    trigger = job_trigger(begun_job(renting, f"again-{tells_kills}"))
    trigger.task_instance = TaskInstance()

    async def main() -> None:
        task = asyncio.create_task(trigger.on_kill() if tells_kills else event_of(trigger))
        if not tells_kills:
            await once_watched(renting)
        # Once begun, it has something to cancel.
        await asyncio.sleep(0.1)
        while not is_asked.is_set():
            task.cancel()
            await asyncio.sleep(0.1)
        await cancelled([task])
        may_answer.set()
        while renting.running():
            await asyncio.sleep(0.1)

    on_a_loop(main)


def test_a_task_is_not_resumed_before_its_executor_has_told_of_the_deferral(
    renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow fails a task that runs again before; what `dag.test()` runs has no executor, and does not wait."""
    from types import SimpleNamespace

    from airflow_provider.triggers import resume_pace

    monkeypatch.setattr(resume_pace, "SOONEST_S", 3600.0)

    def pauses(task_instance: object, ran_s: float) -> list[float]:
        """What it waits for; nobody waits here."""
        told: list[float] = []

        async def sleep(seconds: float) -> None:
            told.append(seconds)

        monkeypatch.setattr(resume_pace, "asyncio", SimpleNamespace(sleep=sleep))
        trigger: Any = SimpleNamespace(task_instance=task_instance)
        asyncio.run(resume_pace.until_task_may_resume(trigger, time.monotonic() - ran_s))
        return told

    assert pauses(None, 0.0) == []
    assert pauses("a task", 3601.0) == [0.0]
    (waited_s,) = pauses("a task", 1800.0)
    assert 0 < waited_s <= 1800.0
