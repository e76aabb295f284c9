"""The pace at which jobs are looked at, on the emulator: by the requests that they make, and not by the clock."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from octa_provider import JobSpec, OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.job.look_pace import LookPace
from octa_provider.job.pacing import LONGEST_PAUSE_S, WHOLE_LOG_BYTES_PER_S, look_pause_s
from octa_provider.job.state import GRACE_S, JobPhase, JobState
from octa_provider.logs.cursor import TAIL_BYTES, LogCursor
from octa_provider.models import Session
from octa_provider.rental.terms import Terms
from octa_provider.watch.log_reads import MOST_LOOKS_KEPT, READS_A_LOOK
from octa_provider.watch.watcher import Watcher, watcher_for

POLL_S = 0.1
PATIENCE_S = 600.0
QUIET = "sleep 600"
LISTS, LOGS = "GET /sessions", "GET /services/{uuid}/logs"


@pytest.fixture
def emulator() -> Iterator[EmulatorHandle]:
    with start_emulator(machines=12, room=8, start_delay_s=0.05, quirks=False) as emulator:
        yield emulator
        for uuid in emulator.ledger(requests=False)["running_uuids"]:
            emulator.end_session(uuid)


@pytest.fixture
def client(emulator: EmulatorHandle) -> Iterator[OctaClient]:
    with OctaClient(emulator.api_key, base_url=emulator.base_url) as client:
        yield client


def started(client: OctaClient, count: int, command: str = QUIET) -> list[JobState]:
    spec = JobSpec(image="alpine:3", command=command)
    return [client.jobs.start(spec, f"pace/{len(command)}/{number}") for number in range(count)]


class Followed:
    """A job that a coroutine follows, as a trigger does."""

    def __init__(self, client: OctaClient, watcher: Watcher, state: JobState) -> None:
        self.state = state
        self.looks = 0
        self.lines: list[str] = []
        self.pace = LookPace(watcher, client.clock, POLL_S)
        self._client = client

    async def follow(self) -> None:
        while not self.state.ended and self.state.phase is not JobPhase.EXITED:
            session = await self.pace.until_due(self.state)
            self.state = await asyncio.to_thread(
                self._client.jobs.poll, self.state, session=session, on_line=self.lines.append
            )
            self.looks += 1


def requests_of(emulator: EmulatorHandle) -> Counter[str]:
    return Counter(emulator.ledger(requests=False)["request_counts"])


async def reached(condition: Callable[[], bool]) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.02)

    await asyncio.wait_for(wait(), PATIENCE_S)


def test_forty_quiet_jobs_make_as_many_requests_as_few(emulator: EmulatorHandle, client: OctaClient) -> None:
    async def main() -> Counter[str]:
        with watcher_for(client, POLL_S) as watcher:
            jobs = [Followed(client, watcher, state) for state in states]
            tasks = [asyncio.create_task(job.follow()) for job in jobs]
            # All run, and each has been looked at once more since.
            await reached(lambda: all(job.looks >= 2 for job in jobs))
            before = requests_of(emulator)
            await reached(lambda: (requests_of(emulator) - before)[LISTS] >= 20)
            made = requests_of(emulator) - before
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return made

    states = started(client, 40)
    made = asyncio.run(main())
    # One look may have begun before it was counted, and what was not used for a while is kept.
    assert made[LOGS] <= READS_A_LOOK * (made[LISTS] + 1 + MOST_LOOKS_KEPT)
    assert {route for route in made if "/_emulator" not in route} == {LISTS, LOGS}


def test_one_that_speaks_is_heard_beside_many_that_are_quiet(emulator: EmulatorHandle, client: OctaClient) -> None:
    async def main() -> None:
        with watcher_for(client, POLL_S) as watcher:
            jobs = [Followed(client, watcher, state) for state in quiet]
            speaker = Followed(client, watcher, speaking)
            tasks = [asyncio.create_task(job.follow()) for job in [*jobs, speaker]]
            await reached(lambda: len(speaker.lines) >= 3)
            # And its end, with the last line whole.
            await reached(lambda: speaker.state.phase is JobPhase.EXITED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert speaker.lines == ["1", "2", "3", "4", "5", "last"]

    quiet = started(client, 20)
    (speaking,) = started(client, 1, "for n in 1 2 3 4 5; do echo $n; sleep 0.5; done; printf last")
    asyncio.run(main())


def test_what_somebody_else_tells_of_its_end_is_looked_at_without_a_turn(
    emulator: EmulatorHandle, client: OctaClient, tmp_path: Path
) -> None:
    async def main() -> None:
        with watcher_for(client, POLL_S) as watcher:
            uuid = state.rental.uuid

            def take_all_turns(session: Session) -> bool:
                turns = [watcher.log_reads.ask(("first", number), 0.0) for number in range(100)]
                return not turns

            greedy = asyncio.create_task(watcher.wait_async(uuid, take_all_turns, 600))
            await asyncio.sleep(0)
            job = Followed(client, watcher, state)
            task = asyncio.create_task(job.follow())
            await reached(lambda: job.state.phase is JobPhase.RUNNING)
            end.touch()
            looks, lists = job.looks, requests_of(emulator)[LISTS]
            await reached(lambda: requests_of(emulator)[LISTS] >= lists + 10)
            assert job.looks == looks
            job.pace.hurry()
            await asyncio.wait_for(task, PATIENCE_S)
            assert job.state.exit_code == 0
            greedy.cancel()

    end = tmp_path / "end"
    (state,) = started(client, 1, f"while [ ! -e {end} ]; do sleep 0.1; done")
    asyncio.run(main())


def test_each_who_tells_of_its_end_is_believed_once(emulator: EmulatorHandle, client: OctaClient) -> None:
    """A flow run says that it is over, its process ends a moment later, and a machine may lie."""

    async def main() -> None:
        with watcher_for(client, POLL_S) as watcher:
            pace = LookPace(watcher, client.clock, 600.0)
            for by in ("the flow run", "the machine"):
                waiting = asyncio.ensure_future(pace.until_due(state))
                await asyncio.sleep(0)
                pace.hurry(by)
                assert await asyncio.wait_for(waiting, PATIENCE_S) is None
            waiting = asyncio.ensure_future(pace.until_due(state))
            await asyncio.sleep(0)
            pace.hurry()
            lists = requests_of(emulator)[LISTS]
            await reached(lambda: requests_of(emulator)[LISTS] >= lists + 5)
            assert not waiting.done()
            waiting.cancel()

    (started_state,) = started(client, 1)
    state = started_state.running(client.clock, client.services.session(started_state.rental.uuid).info())
    asyncio.run(main())


def test_an_end_that_is_told_in_the_moment_of_a_list_is_looked_at_once(
    emulator: EmulatorHandle, client: OctaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a list is older than what was told; the look asks for itself, and the next one has no reason to come."""

    async def main() -> None:
        with watcher_for(client, POLL_S) as watcher:
            pace = LookPace(watcher, client.clock, POLL_S)

            async def told_meanwhile(*arguments: Any) -> Session:
                session = await Watcher.wait_async(watcher, *arguments)
                pace.hurry()
                return session

            with monkeypatch.context() as patched:
                patched.setattr(watcher, "wait_async", told_meanwhile)
                assert await asyncio.wait_for(pace.until_due(state), PATIENCE_S) is None
            assert pace.reads_log
            assert await asyncio.wait_for(pace.until_due(state), PATIENCE_S) is not None

    (started_state,) = started(client, 1)
    state = started_state.running(client.clock, client.services.session(started_state.rental.uuid).info())
    asyncio.run(main())


def test_of_few_quiet_jobs_each_is_read_at_every_look_and_of_many_none(
    emulator: EmulatorHandle, client: OctaClient
) -> None:
    """What is noticed late is billed; what is read for nothing is a request."""

    async def main() -> None:
        with watcher_for(client, POLL_S) as watcher:
            others = list[asyncio.Task[Session]]()
            for count in (0, 2):
                others += [asyncio.create_task(watcher.wait_async(uuid, never, 600)) for _ in range(count)]
                await asyncio.sleep(0)
                few = LookPace(watcher, client.clock, POLL_S)
                assert await asyncio.wait_for(few.until_due(quiet), PATIENCE_S) is not None
            others.append(asyncio.create_task(watcher.wait_async(uuid, never, 600)))
            await asyncio.sleep(0)
            many = asyncio.ensure_future(LookPace(watcher, client.clock, POLL_S).until_due(quiet))
            lists = requests_of(emulator)[LISTS]
            await reached(lambda: requests_of(emulator)[LISTS] >= lists + 10)
            assert not many.done()
            for task in (many, *others):
                task.cancel()

    def never(session: Session) -> bool:
        return False

    (state,) = started(client, 1)
    uuid = state.rental.uuid
    runs = state.running(client.clock, client.services.session(uuid).info())
    # For an hour.
    quiet = runs.having(timeout_s=7200.0, end_by=(runs.end_by or 0.0) + 7200 - runs.timeout_s - 3600)
    asyncio.run(main())


def test_a_list_that_is_slow_to_come_is_missed_by_no_thread(emulator: EmulatorHandle, client: OctaClient) -> None:
    """A thread looks up from its wait each second; the list takes longer, as over a slow line."""
    spec = JobSpec(image="alpine:3", command="true")
    state = client.jobs.start(spec, "pace/slow-list")
    emulator.faults({"kind": "delay", "path": "/sessions", "seconds": 1.2, "times": None})
    before = requests_of(emulator)[LISTS]
    result = client.jobs.watch(
        state, spec, poll_s=POLL_S, is_cancelled=lambda: requests_of(emulator)[LISTS] > before + 10
    )
    assert result.succeeded


def running(ran_s: float, timeout_s: float = 1e6) -> JobState:
    end_by = 1000.0 + timeout_s + GRACE_S - ran_s
    return JobState("k", Terms("u"), "n", False, timeout_s, 0.0, 0.0, phase=JobPhase.RUNNING, end_by=end_by)


def test_a_quiet_job_is_looked_at_ever_more_seldom_and_one_that_speaks_closely() -> None:
    pauses = [look_pause_s(running(ran_s), 1000.0, 5.0) for ran_s in (0, 250, 500, 1000, 3000, 100_000)]
    assert pauses == pytest.approx([5, 5, 10, 20, LONGEST_PAUSE_S, LONGEST_PAUSE_S])
    assert look_pause_s(running(100_000), 1000.0, 5.0, quiet_s=3.0) == 5.0
    assert look_pause_s(running(100_000), 1000.0, 5.0, quiet_s=1000.0) == pytest.approx(20.0)
    # What was heard before it ran, as at an adopted one, is nothing heard.
    assert look_pause_s(running(500), 1000.0, 5.0, quiet_s=9999.0) == pytest.approx(10.0)


def test_a_log_that_has_become_long_is_read_more_seldom_and_never_later_than_a_fiftieth() -> None:
    def speaking(log_bytes: int, *, of_file: bool = False) -> JobState:
        tail = b"x" * min(log_bytes, TAIL_BYTES)
        return running(3000).having(log=LogCursor(log_bytes, tail, of_file=of_file))

    pauses = [look_pause_s(speaking(size), 1000.0, 5.0, quiet_s=1.0) for size in (10**5, 10**6, 4 * 10**6, 10**9)]
    assert pauses == pytest.approx([5.0, 5.0, 4 * 10**6 / WHOLE_LOG_BYTES_PER_S, 60.0])
    early = running(300).having(log=speaking(10**9).log)
    assert look_pause_s(early, 1000.0, 5.0, quiet_s=1.0) == pytest.approx(6.0)
    # Over SSH only what is new comes, however long it is.
    assert look_pause_s(speaking(10**9, of_file=True), 1000.0, 5.0, quiet_s=1.0) == 5.0
