"""Many waits, one list call per interval."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from held_clock import HeldClock

from octa_provider import OctaClient
from octa_provider.api.sessions import APPEARING_S
from octa_provider.emulator.testing import start_emulator
from octa_provider.errors import (
    OctaAuthenticationError,
    OctaConfigError,
    OctaForbiddenError,
    OctaNetworkError,
    OctaNotFoundError,
    OctaRateLimitError,
    OctaServerError,
    OctaSessionFailedError,
    OctaWaitTimeoutError,
)
from octa_provider.models import Records, Session, SessionPhase
from octa_provider.timing.asking import asked_pause, is_fatal
from octa_provider.timing.backoff import LONGEST_PAUSE_S, pause_s
from octa_provider.timing.clock import Clock
from octa_provider.watch.absence import Absence
from octa_provider.watch.shared import SharedByUsers
from octa_provider.watch.watcher import Watcher, watcher_for

QUICK_S = 0.02


def session(uuid: str, **fields: object) -> Session:
    return Session.from_payload({"uuid": uuid, "progress": "pulling", **fields})


def ready(uuid: str) -> Session:
    return session(uuid, progress="running")


def finished(uuid: str) -> Session:
    return session(uuid, finished_at=1_700_000_000_000)


def is_ready(seen: Session) -> bool:
    return seen.phase is SessionPhase.READY


class Api:
    """Stands for a client: its lists and infos are set by the test, each request is written down."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or HeldClock(breath_s=0.0005)
        self.active: dict[str, Session] = {}
        self.recent: dict[str, Session] = {}
        self.infos: dict[str, Session] = {}
        self.odd: list[object] = []
        self.problems: list[BaseException] = []
        self.requests: list[tuple[float, str]] = []
        self.threads: set[threading.Thread] = set()
        self.sessions = self
        self.services = self
        self.transport = self
        self.key_was_accepted = False

    def ask(self, what: str) -> None:
        self.threads.add(threading.current_thread())
        self.requests.append((self.clock.monotonic(), what))
        if self.problems:
            raise self.problems.pop(0)

    def list(self, *, recent: bool = False, retries: int | None = None) -> Records[Session]:
        assert retries == 0
        self.ask("recent" if recent else "list")
        return Records(self.recent.values()) if recent else Records(self.active.values(), self.odd)

    def session(self, uuid: str) -> Any:
        api = self

        class Info:
            def info(self, *, retries: int | None = None) -> Session:
                api.ask(f"info {uuid}")
                if uuid not in api.infos:
                    raise OctaNotFoundError("unknown", status=404)
                return api.infos[uuid]

        return Info()

    def count(self, what: str) -> int:
        return sum(asked == what for _, asked in self.requests)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def watcher(api: Api) -> Iterator[Watcher]:
    watcher = Watcher(api, poll_s=5.0)  # type: ignore[arg-type]
    yield watcher
    assert_quiet(watcher)


def assert_quiet(watcher: Watcher) -> None:
    """Nobody waits, and no thread is left."""
    assert watcher.waiting == 0
    for thread in threading.enumerate():
        if thread.name == "octa-watcher":
            thread.join(600)
            assert not thread.is_alive()


def at(api: Api, moment: float, act: Callable[[], object]) -> None:
    assert isinstance(api.clock, HeldClock)
    api.clock.later(moment - api.clock.at_s, act)


def elapsed(api: Api) -> float:
    return api.clock.monotonic()


# -- the rules -----------------------------------------------------------------------------------------------------


def test_the_pause_grows_with_failures_and_never_undercuts_the_interval_or_the_server() -> None:
    assert pause_s(5, 0, None, 0) == 5
    assert pause_s(5, 0, None, 1) == pytest.approx(5.5)
    assert [pause_s(5, n, None, 0) for n in (1, 2, 3, 4, 99)] == [10, 20, 40, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert pause_s(5, 1, 45, 0) == 45
    assert pause_s(300, 3, None, 0) == 300


def test_an_absence_is_looked_up_once_and_again_when_it_is_over() -> None:
    assert Absence(since=0).must_look_up(0)
    assert not Absence(since=0, looked_up=True).must_look_up(APPEARING_S - 1)
    assert Absence(since=0, looked_up=True).must_look_up(APPEARING_S)


def test_only_what_waiting_cannot_help_is_fatal() -> None:
    assert all(map(is_fatal, [OctaAuthenticationError(), OctaForbiddenError(), OctaConfigError()]))
    assert not any(map(is_fatal, [OctaServerError(), OctaRateLimitError(), OctaNetworkError(), ValueError()]))


def test_only_the_server_can_ask_for_a_pause() -> None:
    assert asked_pause(OctaRateLimitError(retry_after=7)) == 7
    assert asked_pause(OctaRateLimitError()) is None
    assert asked_pause(ValueError()) is None


# -- one wait ------------------------------------------------------------------------------------------------------


def test_a_wait_ends_when_the_predicate_says_yes(api: Api, watcher: Watcher) -> None:
    api.active["a"] = session("a")
    at(api, 12, lambda: api.active.update(a=ready("a")))
    assert watcher.wait("a", is_ready, 100) == ready("a")
    assert [what for _, what in api.requests] == ["list"] * 4
    moments = [moment for moment, _ in api.requests]
    assert all(5 <= later - earlier <= 5.5 for earlier, later in itertools.pairwise(moments))


def test_a_wait_that_follows_another_one_keeps_the_interval(api: Api, watcher: Watcher) -> None:
    api.active["a"] = ready("a")
    for _ in range(4):
        watcher.wait("a", is_ready, 100)
    assert api.count("list") == 4
    assert elapsed(api) >= 15


def test_a_session_that_leaves_the_list_is_looked_up_once(api: Api, watcher: Watcher) -> None:
    api.active["a"] = session("a")

    def end() -> None:
        api.recent["a"] = finished(api.active.pop("a").uuid)

    at(api, 7, end)
    assert watcher.wait("a", is_ready, 100) == finished("a")
    assert [what for _, what in api.requests] == ["list", "list", "list", "recent"]


def test_a_session_that_only_info_knows_as_finished_is_given_too(api: Api, watcher: Watcher) -> None:
    api.infos["a"] = finished("a")
    assert watcher.wait("a", is_ready, 100) == finished("a")
    assert [what for _, what in api.requests] == ["list", "recent", "info a"]


def test_a_recent_session_without_a_time_has_finished_when_nothing_else_knows_it(api: Api, watcher: Watcher) -> None:
    api.recent["a"] = session("a", termination_reason="gone")
    ended = watcher.wait("a", is_ready, 100)
    assert (ended.phase, ended.termination_reason) == (SessionPhase.FINISHED, "gone")


def test_a_session_that_the_list_misses_and_info_knows_is_waited_for(api: Api, watcher: Watcher) -> None:
    api.infos["a"] = session("a")
    at(api, 9, lambda: api.infos.update(a=ready("a")))
    assert watcher.wait("a", is_ready, 100) == ready("a")


def test_a_finished_session_in_the_active_list_is_given(api: Api, watcher: Watcher) -> None:
    api.active["a"] = finished("a")
    assert watcher.wait("a", is_ready, 100) == finished("a")


def test_a_new_session_has_time_to_appear(api: Api, watcher: Watcher) -> None:
    at(api, 16, lambda: api.active.update(a=ready("a")))
    assert watcher.wait("a", is_ready, 100) == ready("a")
    assert (api.count("recent"), api.count("info a")) == (1, 1)


def test_a_session_that_nothing_knows_ends_the_wait_with_an_error(api: Api, watcher: Watcher) -> None:
    with pytest.raises(OctaSessionFailedError, match="session a is not active") as failed:
        watcher.wait("a", is_ready, 100)
    assert failed.value.uuid == "a"
    assert APPEARING_S <= elapsed(api) <= APPEARING_S + 6
    assert (api.count("recent"), api.count("info a")) == (2, 2)


def test_a_session_that_cannot_be_read_is_still_there(api: Api, watcher: Watcher) -> None:
    api.odd = [{"uuid": {"is": "a"}}]
    at(api, 40, lambda: api.active.update(a=ready("a")))
    assert watcher.wait("a", is_ready, 100) == ready("a")
    assert api.count("recent") == 0


def test_too_late_is_an_error_and_says_that_the_session_runs_on(api: Api, watcher: Watcher) -> None:
    api.active["a"] = session("a")
    with pytest.raises(OctaWaitTimeoutError, match="within 12 s; it runs on") as late:
        watcher.wait("a", is_ready, 12)
    assert late.value.uuid == "a"
    assert elapsed(api) == 12


def test_a_failing_predicate_hurts_only_itself(api: Api, watcher: Watcher) -> None:
    api.active = {"a": session("a"), "b": session("b")}
    at(api, 20, lambda: api.active.update(b=ready("b")))
    with ThreadPoolExecutor() as pool:
        good = pool.submit(watcher.wait, "b", is_ready, 1000)
        with pytest.raises(ZeroDivisionError):
            watcher.wait("a", lambda seen: 1 / 0, 1000)
        with pytest.raises(SystemExit):
            watcher.wait("a", lambda seen: exit(3), 1000)
        assert good.result(600) == ready("b")


# -- outages -------------------------------------------------------------------------------------------------------


def test_outages_slow_it_down_and_end_no_wait(api: Api, watcher: Watcher, caplog: pytest.LogCaptureFixture) -> None:
    api.active["a"] = ready("a")
    api.problems = [
        OctaServerError("busy", status=503),
        OctaNetworkError("no route"),
        OctaRateLimitError("slower", retry_after=50.0),
        ValueError("a bug"),
        OctaNotFoundError("odd", status=404),
    ]
    assert watcher.wait("a", is_ready, 10_000) == ready("a")
    gaps = [round(later - earlier) for (earlier, _), (later, _) in itertools.pairwise(api.requests)]
    assert len(gaps) == 5
    assert 10 <= gaps[0] <= 11
    assert 20 <= gaps[1] <= 22
    assert 50 <= gaps[2] <= 51
    assert all(60 <= gap <= 66 for gap in gaps[3:])
    assert "a bug" in caplog.text


def test_an_outage_of_the_lookup_hides_nothing_that_the_list_tells(api: Api, watcher: Watcher) -> None:
    api.active["a"] = ready("a")

    def broken(*, recent: bool = False, retries: int | None = None) -> Records[Session]:
        if recent:
            raise OctaServerError("busy", status=503)
        return Records(api.active.values())

    api.list = broken  # type: ignore[method-assign]
    with ThreadPoolExecutor() as pool:
        other = pool.submit(watcher.wait, "b", is_ready, 500)
        assert watcher.wait("a", is_ready, 500) == ready("a")
        with pytest.raises(OctaWaitTimeoutError):
            other.result(600)


@pytest.mark.parametrize("error", [OctaAuthenticationError("bad key", status=401), OctaForbiddenError(status=403)])
def test_a_refused_key_ends_every_wait_each_with_its_own_error(api: Api, watcher: Watcher, error: Exception) -> None:
    api.active = {str(i): session(str(i)) for i in range(5)}
    with ThreadPoolExecutor(5) as pool:
        waits = [pool.submit(watcher.wait, str(i), is_ready, 100_000) for i in range(5)]
        while watcher.waiting < 5:
            time.sleep(0.001)
        api.problems.append(error)
        raised = [wait.exception(600) for wait in waits]
    assert {type(e) for e in raised} == {type(error)}
    assert len(set(map(id, raised))) == 5
    assert raised[0].status == error.status  # type: ignore[union-attr, attr-defined]


def test_a_gateways_slip_ends_no_wait(api: Api, watcher: Watcher) -> None:
    """Every job of the account in this process would fail with it, and its machine be stopped."""
    api.key_was_accepted = True
    api.active["a"] = session("a")
    with ThreadPoolExecutor(1) as pool:
        wait = pool.submit(watcher.wait, "a", is_ready, 100_000)
        while watcher.waiting < 1:
            time.sleep(0.001)
        for _ in range(2):
            api.problems.append(OctaForbiddenError(status=403))
            while api.problems:
                time.sleep(0.001)
            # Far more than what a single refusal is forgiven for; the key was taken meanwhile.
            asked = len(api.requests)
            while len(api.requests) < asked + 20:
                time.sleep(0.001)
        api.active["a"] = ready("a")
        assert wait.result(600) == ready("a")


def test_a_key_that_stays_refused_ends_every_wait(api: Api, watcher: Watcher) -> None:
    api.key_was_accepted = True
    api.active["a"] = session("a")
    with ThreadPoolExecutor(1) as pool:
        wait = pool.submit(watcher.wait, "a", is_ready, 100_000)
        while watcher.waiting < 1:
            time.sleep(0.001)
        begun = api.clock.monotonic()
        api.problems += [OctaAuthenticationError("bad key", status=401) for _ in range(1000)]
        assert isinstance(wait.exception(600), OctaAuthenticationError)
        assert api.clock.monotonic() - begun < 120


def test_whatever_stumbles_in_the_poller_ends_no_wait(
    api: Api, watcher: Watcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    api.active["a"] = ready("a")
    monotonic, stumbles = api.clock.monotonic, [MemoryError("once")]

    def stumble() -> float:
        if stumbles and threading.current_thread().name == "octa-watcher":
            raise stumbles.pop()
        return monotonic()

    monkeypatch.setattr(api.clock, "monotonic", stumble)
    monkeypatch.setattr(api, "active", {"a": session("a")})
    at(api, 8, lambda: api.active.update(a=ready("a")))
    assert watcher.wait("a", is_ready, 100) == ready("a")
    assert "the watcher stumbled" in caplog.text


# -- many ----------------------------------------------------------------------------------------------------------


def test_a_thousand_coroutines_cost_one_list_call_per_interval(api: Api, watcher: Watcher) -> None:
    uuids = [f"s{i}" for i in range(1000)]
    api.active = {uuid: session(uuid) for uuid in uuids}
    at(api, 60, lambda: api.active.update({uuid: ready(uuid) for uuid in uuids}))

    async def main() -> list[Session]:
        return await asyncio.gather(*(watcher.wait_async(uuid, is_ready, 10_000) for uuid in uuids))

    assert [seen.uuid for seen in asyncio.run(main())] == uuids
    assert api.count("list") == len(api.requests)
    assert api.count("list") <= elapsed(api) / 5 + 1
    assert len(api.threads) == 1
    assert threading.main_thread() not in api.threads


def test_a_thousand_waits_in_threads_cost_one_list_call_per_interval(api: Api, watcher: Watcher) -> None:
    uuids = [f"s{i}" for i in range(1000)]
    api.active = {uuid: session(uuid) for uuid in uuids}
    at(api, 60, lambda: api.active.update({uuid: ready(uuid) for uuid in uuids}))
    with ThreadPoolExecutor(50) as pool:
        got = list(pool.map(lambda uuid: watcher.wait(uuid, is_ready, 100_000).uuid, uuids))
    assert got == uuids
    assert api.count("list") == len(api.requests)
    assert api.count("list") <= elapsed(api) / 5 + 1


def test_a_thousand_sessions_that_end_at_once_cost_one_lookup(api: Api, watcher: Watcher) -> None:
    uuids = [f"s{i}" for i in range(1000)]
    api.active = {uuid: session(uuid) for uuid in uuids}

    def end() -> None:
        api.recent = {uuid: finished(uuid) for uuid in uuids}
        api.active = {}

    at(api, 60, end)

    async def main() -> list[Session]:
        return await asyncio.gather(*(watcher.wait_async(uuid, is_ready, 10_000) for uuid in uuids))

    assert {seen.phase for seen in asyncio.run(main())} == {SessionPhase.FINISHED}
    assert api.count("recent") == 1


def test_sessions_that_vanish_at_once_are_looked_up_over_several_polls(api: Api, watcher: Watcher) -> None:
    uuids = [f"s{i}" for i in range(50)]
    api.infos = {uuid: ready(uuid) for uuid in uuids}
    moments: list[float] = []

    async def main() -> None:
        await asyncio.gather(*(watcher.wait_async(uuid, is_ready, 10_000) for uuid in uuids))

    asyncio.run(main())
    infos = [moment for moment, what in api.requests if what.startswith("info")]
    moments = sorted(set(infos))
    assert len(infos) == 50
    assert max(infos.count(moment) for moment in moments) <= 20


def test_loops_in_several_threads_share_the_poller(api: Api, watcher: Watcher) -> None:
    api.active = {str(i): session(str(i)) for i in range(4)}
    at(api, 30, lambda: api.active.update({str(i): ready(str(i)) for i in range(4)}))

    def loop(uuid: str) -> Session:
        return asyncio.run(watcher.wait_async(uuid, is_ready, 100_000))

    with ThreadPoolExecutor(4) as pool:
        assert [seen.uuid for seen in pool.map(loop, api.active)] == ["0", "1", "2", "3"]
    assert api.count("list") <= elapsed(api) / 5 + 1


# -- in real time --------------------------------------------------------------------------------------------------


def real(poll_s: float = QUICK_S) -> tuple[Api, Watcher]:
    api = Api(Clock())
    return api, Watcher(api, poll_s=poll_s)  # type: ignore[arg-type]


def test_nothing_is_asked_and_no_thread_is_left_when_nobody_waits() -> None:
    api, watcher = real(poll_s=30)
    api.active["a"] = ready("a")
    watcher.wait("a", is_ready, 5)
    poller = next(iter(api.threads))
    poller.join(600)
    assert not poller.is_alive()
    assert len(api.requests) == 1


def test_a_cancelled_coroutine_is_forgotten_and_the_poller_goes() -> None:
    api, watcher = real(poll_s=30)
    api.active["a"] = session("a")

    async def main() -> None:
        task = asyncio.create_task(watcher.wait_async("a", is_ready, 100))
        while not api.requests:
            await asyncio.sleep(0.001)
        assert watcher.waiting == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert watcher.waiting == 0

    asyncio.run(main())
    next(iter(api.threads)).join(600)
    assert not next(iter(api.threads)).is_alive()


def test_a_deadline_does_not_wait_for_a_request_that_hangs() -> None:
    api, watcher = real()
    hangs = threading.Event()

    def hang(**options: object) -> Records[Session]:
        hangs.wait(1000)
        return Records()

    api.list = hang  # type: ignore[method-assign, assignment]
    start = time.monotonic()
    with pytest.raises(OctaWaitTimeoutError):
        watcher.wait("a", is_ready, 0.03)
    with pytest.raises(OctaWaitTimeoutError):
        asyncio.run(watcher.wait_async("a", is_ready, 0.03))
    assert time.monotonic() - start < 600
    hangs.set()


def test_a_coroutine_gets_the_session_or_the_error() -> None:
    api, watcher = real()
    api.active = {"a": ready("a")}

    def stop(seen: Session) -> bool:
        raise StopIteration

    async def main() -> None:
        assert await watcher.wait_async("a", is_ready, 5) == ready("a")
        with pytest.raises(ZeroDivisionError):
            await watcher.wait_async("a", lambda seen: 1 / 0, 5)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await watcher.wait_async("a", stop, 5)

    asyncio.run(main())
    assert_quiet(watcher)


def test_the_loop_runs_on_while_a_request_takes_its_time() -> None:
    api, watcher = real()
    api.active = {"a": ready("a")}
    answer = api.list
    ticks = 0

    def slow(**options: Any) -> Records[Session]:
        # As long as the loop takes to run on; it never would, were this on it.
        end = time.monotonic() + 600
        while ticks <= 5 and time.monotonic() < end:
            time.sleep(0.001)
        return answer(**options)

    api.list = slow  # type: ignore[method-assign, assignment]

    async def main() -> None:
        nonlocal ticks
        task = asyncio.create_task(watcher.wait_async("a", is_ready, 300))
        while not task.done():
            await asyncio.sleep(0.001)
            ticks += 1

    asyncio.run(main())
    assert ticks > 5


def test_a_loop_that_was_closed_hurts_nobody() -> None:
    api, watcher = real()
    api.active = {"a": session("a"), "b": session("b")}
    loop = asyncio.new_event_loop()
    task = loop.create_task(watcher.wait_async("a", is_ready, 100))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    api.active = {"a": ready("a"), "b": ready("b")}
    assert watcher.wait("b", is_ready, 5) == ready("b")
    assert not task.done()
    task.get_coro().close()  # type: ignore[union-attr]
    assert_quiet(watcher)
    # asyncio would say that a task was left; that is what this is about.
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_the_poller_does_not_inherit_the_context_of_who_waited_first() -> None:
    api, watcher = real()
    owner = contextvars.ContextVar("owner", default="nobody")
    owner.set("the first one")
    seen: list[str] = []
    api.active = {"a": ready("a")}
    watcher.wait("a", lambda session: seen.append(owner.get()) or True, 5)
    assert seen == ["nobody"]


def test_an_interval_that_cannot_be_is_refused(api: Api) -> None:
    with pytest.raises(OctaConfigError, match="poll_s"):
        Watcher(api, poll_s=0)  # type: ignore[arg-type]


def test_when_no_thread_can_be_started_the_wait_fails_and_is_forgotten(
    api: Api, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    api.active["a"] = ready("a")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="start new thread"):
            watcher.wait("a", is_ready, 5)
    assert watcher.wait("a", is_ready, 500) == ready("a")


# -- one per account -----------------------------------------------------------------------------------------------


def test_users_of_an_account_share_a_watcher_until_the_last_one_goes() -> None:
    urls = "http://127.0.0.1:1", "http://127.0.0.1:2"
    first, same = (OctaClient("key", base_url=urls[0]) for _ in range(2))
    with watcher_for(first, poll_s=9) as watcher:
        with watcher_for(same, poll_s=4) as also:
            assert also is watcher
            assert watcher.poll_s == 4
        with (
            watcher_for(OctaClient("other", base_url=urls[0])) as other,
            watcher_for(OctaClient("key", base_url=urls[1])) as elsewhere,
        ):
            assert len({id(watcher), id(other), id(elsewhere)}) == 3
        with watcher_for(same, poll_s=9) as still:
            assert still is watcher
    with watcher_for(first) as anew:
        assert anew is not watcher


def test_what_is_shared_is_counted() -> None:
    shared: SharedByUsers[object] = SharedByUsers()
    with shared.use("a", object) as one, shared.use("a", object) as two, shared.use("b", object):
        assert one is two
        assert len(shared) == 2
    assert len(shared) == 0


def test_only_the_first_outcome_counts() -> None:
    """The deadline passes while the poller is about to say yes: it says so to nobody."""
    api, watcher = real()
    api.active = {"a": ready("a")}
    troubles: list[object] = []
    late = threading.Event()

    def slow(seen: Session) -> bool:
        late.wait(600)
        return True

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: troubles.append(context))
        with pytest.raises(OctaWaitTimeoutError):
            await watcher.wait_async("a", slow, 0.1)
        late.set()
        for thread in api.threads:
            await asyncio.to_thread(thread.join, 600)
        await asyncio.sleep(0.05)

    asyncio.run(main())
    assert troubles == []
    assert_quiet(watcher)


def _child_waits(watcher: Watcher, api: Api, shared: SharedByUsers[Watcher], answers: Any) -> None:
    api.active["a"] = ready("a")
    answers.put((watcher.wait("a", is_ready, 600).uuid, len(shared), watcher.waiting))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_after_a_fork_the_child_has_a_poller_of_its_own() -> None:
    api, watcher = real()
    api.active = {"a": session("a")}
    shared: SharedByUsers[Watcher] = SharedByUsers()
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    with ThreadPoolExecutor() as pool, shared.use("account", lambda: watcher):
        parents = pool.submit(watcher.wait, "a", is_ready, 600)
        while not api.requests:
            time.sleep(0.001)
        child = fork.Process(target=_child_waits, args=(watcher, api, shared, answers))
        child.start()
        child.join(600)
        assert child.exitcode == 0
        # The parent's wait is not the child's.
        assert answers.get() == ("a", 0, 0)
        assert not parents.done()
        api.active["a"] = ready("a")
        assert parents.result(600) == ready("a")


# -- against the emulator ------------------------------------------------------------------------------------------


def test_real_sessions_become_ready_and_end() -> None:
    with (
        start_emulator(in_process=True) as emulator,
        OctaClient(emulator.api_key, base_url=emulator.base_url) as client,
        watcher_for(client, poll_s=0.05) as watcher,
    ):
        node_id = client.services.mr.available()[0].node_id
        uuid = client.services.mr.start(node_id=node_id, image="alpine", start_command="sleep 60").uuid
        assert watcher.wait(uuid, is_ready, 600).phase is SessionPhase.READY
        client.services.session(uuid).stop()
        assert watcher.wait(uuid, lambda seen: False, 600).phase is SessionPhase.FINISHED
