"""Watch a job without a worker slot: its log lines appear, and its session is stopped when its work is done."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.fetched_there import fetched_here
from airflow_provider.job_json import job_from_json, job_to_json
from airflow_provider.shared_files import claims_marks
from airflow_provider.told_outputs import outputs_for_a_worker
from airflow_provider.triggers.account import Account, account, settings_in_trigger
from airflow_provider.triggers.hand_over import TAKE_OVER_S, stop_when_kept_long_enough, watch_until_taken_over
from airflow_provider.triggers.killed_by_user import TELLS_KILLS, is_task_over, stop_session
from airflow_provider.triggers.resume_pace import until_task_may_resume
from airflow_provider.triggers.session_link import SessionLink
from airflow_provider.triggers.shared_moves import SharedMoves
from airflow_provider.triggers.shown_event import ShownEvent
from airflow_provider.triggers.worker_threads import in_thread, to_the_end
from octa_provider.errors import OctaConfigError
from octa_provider.text.carried import carried, carried_dict
from octa_provider.text.loggers import plain_logger
from octa_provider.text.plain_text import plain_words
from octa_provider.timing.clock import Clock
from octa_provider.timing.within import within

if TYPE_CHECKING:
    from airflow_provider.connection_settings import ConnectionSettings
    from octa_provider import JobState
    from octa_provider.job.line_listener import OnLine
    from octa_provider.job.look_pace import LookPace
    from octa_provider.models import Session

__all__ = ["TAIL_LINES", "OctaJobTrigger"]

log = plain_logger(__name__)

TAIL_LINES = 20
#: The triggers of a thousand jobs may wait for their turn behind one that cannot be stopped.
STOP_S = 120.0


class OctaJobTrigger(BaseTrigger):
    """Waits for a job that runs already; starts nothing, so that running twice does no harm.

    Args:
        octa_conn_id: the connection.
        job: the job's state, as `job_to_json` gives it.
        latest_end: Unix time at which the command must have ended, wherever and however often this trigger starts anew.
        deadline_at: Unix time at which the task's `execution_timeout` is over; None without one.
        poll_interval: seconds between two looks.
        namespace: the one of the rental key's client; None for what was deferred before there were any.
        collects: whether files are to be fetched by a worker, before the session is stopped.
        stops: whether the session is stopped when the job has ended.
        stops_on_kill: whether it is stopped when a user clears, fails or deletes the task.
        is_ready_told: whether the task's `on_event` was told that the machine is up; the worker hears it again.
        shared: what is needed to move files from here, from `files_to_share`; None leaves that to workers.

    Yields one event, a dict with `what`, `job` (the state by then), `is_ready_told` and `gpu` (the machine's cards):
        `ready`: the session is up, the command is to be begun by a worker. `exited`: files are to be fetched, the
        session runs. `elsewhere`: the machine never came up and was stopped, another one is to be tried. `ended`: all
        is over; `result` as `JobResult.to_json`, `tail` the last lines, `fetched` where its files were put from here.
        `deadline`: it was stopped at `deadline_at`, and came to `bill`. `unwatched`: it runs, and cannot be watched
        from here (`message` says why). `broken`: it could not be stopped from here, and may run.
    """

    def __init__(
        self,
        *,
        octa_conn_id: str,
        job: Mapping[str, Any],
        latest_end: float,
        deadline_at: float | None = None,
        poll_interval: float = 5.0,
        namespace: str | None = None,
        collects: bool = False,
        stops: bool = True,
        stops_on_kill: bool = True,
        is_ready_told: bool = False,
        shared: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.octa_conn_id = octa_conn_id
        self.job = dict(job)
        self.latest_end = latest_end
        self.deadline_at = deadline_at
        self.poll_interval = poll_interval
        self.namespace = namespace
        self.collects = collects
        self.stops = stops
        self.stops_on_kill = stops_on_kill
        self.is_ready_told = is_ready_told
        self.shared = None if shared is None else dict(shared)
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._settings: ConnectionSettings | None = None
        self._link = SessionLink()
        self._gpu = ""
        self._cancelled = False
        #: Of this run alone: a wall clock that is set meanwhile neither ends its time nor adds to it.
        self._clock = Clock()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What Airflow stores, encrypted, to make this trigger anew anywhere."""
        return (
            "airflow_provider.triggers.job.OctaJobTrigger",
            {
                "octa_conn_id": self.octa_conn_id,
                "job": self.job,
                "latest_end": self.latest_end,
                "deadline_at": self.deadline_at,
                "poll_interval": self.poll_interval,
                "namespace": self.namespace,
                "collects": self.collects,
                "stops": self.stops,
                "stops_on_kill": self.stops_on_kill,
                "is_ready_told": self.is_ready_told,
            }
            # A triggerer of an earlier release does not know it.
            | ({} if self.shared is None else {"shared": self.shared}),
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch until there is something to do for a worker, or nothing more to do at all."""
        state, begun = job_from_json(self.job), time.monotonic()
        try:
            try:
                event = await self._watch(state)
            except Exception as error:  # noqa: BLE001 - a trigger that raises leaves its session billing
                self.log.error("The job %s can't be watched: %s: %s", state.key, type(error).__name__, error)
                event = {"what": "broken", "message": f"{type(error).__name__}: {error}"}
            if event["what"] in {"ended", "deadline"}:
                # Nothing bills any more.
                await self._link.pushed()
            await until_task_may_resume(self, begun)
        except asyncio.CancelledError:
            # The thread of a look that is under way goes on without this coroutine.
            self._cancelled = True
            if not TELLS_KILLS:
                await to_the_end(self._stop_if_killed())
            raise
        self._hand_over(event["what"])
        told = {"job": self.job, "tail": list(self._tail), "is_ready_told": self.is_ready_told, "gpu": self._gpu}
        yield ShownEvent(payload=carried(told | event))

    def _hand_over(self, what: str) -> None:
        """Until a worker runs the task, its session is watched from here: it may wait for its slot for days."""
        if self._settings is None or what not in {"ready", "exited", "unwatched", "broken"}:
            return
        job, now = job_from_json(self.job), time.time()
        # A worker comes to begin the command in time, or to fetch files while the command might still have run. What
        # could not be stopped is asked again.
        latest = {"ready": job.ready_by, "broken": 0.0}.get(what, job.end_by or self.latest_end)
        stop_at = now if what == "broken" else max(latest, now + TAKE_OVER_S)
        left_s = self._left_s()
        watch_until_taken_over(
            self.task_instance,
            self._settings,
            self.job["rental"],
            stop_at=stop_at if left_s is None else min(stop_at, now + left_s),
            stops_on_kill=self.stops_on_kill,
            poll_s=self.poll_interval,
        )

    async def on_kill(self) -> None:
        """A user ended the task (Airflow 3.3 and newer)."""
        await to_the_end(self._stop_if_killed())

    async def _watch(self, state: JobState) -> dict[str, Any]:
        from octa_provider.job.look_pace import LookPace
        from octa_provider.job.next_step import Begin, Collect, Finish, StartElsewhere, next_step
        from octa_provider.job.state import JobPhase

        try:
            settings = self._settings = await settings_in_trigger(self.octa_conn_id, self.namespace)
        except Exception as error:  # noqa: BLE001 - nothing is wrong with the job: a worker may reach its connection
            return {"what": "unwatched", "message": f"{type(error).__name__}: {error}"}
        # Whoever handed the job over has begun it, or found it not ready to begin.
        is_begin_tried = True
        with account(settings, self.poll_interval) as here:
            pace = LookPace(here.watcher, here.client.clock, self.poll_interval)
            files = SharedMoves(here.client, settings, self.shared, self._is_too_late, self.log.info)
            while True:
                step = next_step(
                    state,
                    now=here.client.clock.steady_time(),
                    poll_s=self.poll_interval,
                    collects=self.collects and state.exit_code is not None,
                    is_begin_tried=is_begin_tried,
                    may_start_elsewhere=True,
                )
                match step:
                    case Begin():
                        if (begun := await files.begin(state, pace.hurry)) is None:
                            return {"what": "ready", "job": job_to_json(state)}
                        state, is_begin_tried = await self._noted(begun), True
                        continue
                    case Collect():
                        if (collected := await files.collect(state)) is not None:
                            state = await self._noted(collected)
                            if state.phase is JobPhase.EXITED:
                                # Its time was over before all was here.
                                return await self._give_up(here, state)
                            continue
                        # The log has been read: how far is of no use any more, and is most of the state.
                        return {"what": "exited", "job": job_to_json(state.having(log=None))}
                    case StartElsewhere():
                        # It bills while the task waits for a worker to start another one. By its uuid: where this
                        # trigger runs twice, the other one may have begun already.
                        await in_thread(here.client.rentals.open(state.rental.uuid).stop, deadline_s=STOP_S)
                        return {"what": "elsewhere", "job": job_to_json(state)}
                    case Finish():
                        return await self._finish(here, state)
                if self._left_s() == 0.0:
                    return await self._give_up(here, state)
                try:
                    session = await within(pace.until_due(state), self._left_s())
                except asyncio.TimeoutError:
                    continue
                try:
                    state = await self._look(here, settings, state, session, pace)
                except OctaConfigError as error:
                    # The SSH key lies on the workers alone, or this triggerer lacks asyncssh: a worker can go on.
                    return {"what": "unwatched", "message": str(error), "job": job_to_json(state)}
                is_begin_tried = False

    async def _look(
        self, here: Account, settings: ConnectionSettings, state: JobState, session: Session | None, pace: LookPace
    ) -> JobState:
        state = await in_thread(
            here.client.jobs.poll,
            state,
            session=session,
            private_key=settings.ssh_private_key,
            on_line=self._on_line(),
            is_cancelled=lambda: self._cancelled,
            reads_log=pace.reads_log,
            on_end=pace.hurry,
        )
        return await self._noted(state, session)

    async def _noted(self, state: JobState, session: Session | None = None) -> JobState:
        """The state, as whoever takes this trigger over finds it."""
        from octa_provider.job.state import JobPhase

        if state.end_by is not None and state.end_by > self.latest_end:
            state = state.having(end_by=self.latest_end)
        self.job = job_to_json(state)
        if session is not None and session.hardware is not None:
            self._gpu = session.hardware.cards
        if state.phase not in {JobPhase.STARTING, JobPhase.READY} and session is not None:
            self._link.push(self.task_instance, session)
        return state

    async def _finish(self, here: Account, state: JobState) -> dict[str, Any]:
        from octa_provider.job.state import JobPhase

        if not self.stops:
            return {"what": "ended", "job": job_to_json(state), "result": None}
        result = await in_thread(here.client.jobs.finish, state)
        if result.kept_until is not None and self._settings is not None:
            stop_when_kept_long_enough(self._settings, result.uuid, result.kept_until)
        # What the result has need not travel twice.
        state = state.having(log=None, collected=(), value=None)
        told = outputs_for_a_worker(result.to_json(), self.log.info)
        event = {"what": "ended", "job": job_to_json(state), "result": told}
        if self.shared is not None and state.phase is JobPhase.COLLECTED:
            event["fetched"] = await in_thread(fetched_here, told["outputs"], self.shared["log_path"])
        return event

    def _is_too_late(self) -> bool:
        return self._cancelled or self._left_s() == 0.0

    def _left_s(self) -> float | None:
        return None if self.deadline_at is None else max(0.0, self.deadline_at - self._clock.steady_time())

    def _on_line(self) -> OnLine:
        def on_line(line: str) -> None:
            self._tail.append(line)
            self.log.info("[job] %s", plain_words(line))

        return on_line

    async def _give_up(self, here: Account, state: JobState) -> dict[str, Any]:
        # By key, but for what a worker has started in its place: another trigger of the task watches that.
        rental = here.client.rentals.restore(state.rental)
        bill = await in_thread(rental.stop, deadline_s=STOP_S, leaves_replacement=True)
        return {"what": "deadline", "job": job_to_json(state), "bill": carried_dict(bill.to_dict())}

    async def _stop_if_killed(self) -> None:
        job = job_from_json(self.job)
        # After this trigger's end a worker that sends or fetches files uses the session, and whoever it is kept for.
        resumed_is_over = self.stops and not job.over_ssh
        if not self.stops_on_kill or not await is_task_over(self, resumed_is_over=resumed_is_over):
            return
        # Where they are seen, nobody needs them any more.
        await in_thread(claims_marks, self.shared)
        settings = self._settings or await settings_in_trigger(self.octa_conn_id, self.namespace)
        self.log.warning("The task was ended by a user: stopping session %s", job.rental.uuid)
        await in_thread(stop_session, settings, job.rental.uuid)
