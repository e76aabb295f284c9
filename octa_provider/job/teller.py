"""The one place that tells what happens to a job: it looks at how far the job is, and tells what is new of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from octa_provider.job.events import JobEvent, OnEvent, checked_on_event
from octa_provider.job.line_listener import OnLine
from octa_provider.job.listener import Listener
from octa_provider.job.state import JobPhase
from octa_provider.render.progress import ProgressTracker
from octa_provider.rental.tried_machine import total

if TYPE_CHECKING:
    from octa_provider.job.state import JobState
    from octa_provider.rental.terms import Bill
    from octa_provider.rental.tried_machine import TriedMachine
    from octa_provider.timing.clock import Clock

__all__ = ["JobTeller"]


class JobTeller:
    """Tells the events of one job, each once, in the order of `JOB_EVENT_KINDS`. It asks the API nothing.

    Args:
        on_event: called with each. What it raises is logged once, with its traceback, and does not end the job;
            KeyboardInterrupt and SystemExit do.
        clock: of this process.
        tracker: tells from lines how far the job is; what many tools print when left out.

    Raises:
        OctaConfigError: `on_event` can't be called, or nobody would await it.
    """

    def __init__(self, on_event: OnEvent, clock: Clock, tracker: ProgressTracker | None = None) -> None:
        self._on_event = Listener(checked_on_event(on_event), "on_event", shows_traceback=True)
        self._clock = clock
        self._tracker = tracker or ProgressTracker()
        self._state: JobState | None = None
        self._is_ready_told = self._is_ended_told = False

    @property
    def is_ready_told(self) -> bool:
        """Whether the machine that the job has now was told to be up."""
        return self._is_ready_told

    def take_over(self, state: JobState, *, is_ready_told: bool) -> None:
        """Go on where another process has told of the job; its start is not told again.

        Args:
            state: how far it is.
            is_ready_told: whether its machine was told to be up.
        """
        self._state, self._is_ready_told, self._is_ended_told = state, is_ready_told, False

    def saw(self, state: JobState) -> None:
        """Tell what is new.

        Args:
            state: how far the job is now.
        """
        before, self._state = self._state, state
        if before is not None and before.rental.uuid != state.rental.uuid:
            # It never came up, and was seen gone before the other one was started.
            self._tell_tried(before, state.tried[-1])
        if before is None or before.rental.uuid != state.rental.uuid:
            self._is_ready_told = self._is_ended_told = False
            self._tell("started", state)
        # One that has ended since nobody could wait for it any longer was never up.
        if state.phase in {JobPhase.READY, JobPhase.RUNNING} or state.end_by is not None:
            self._tell_ready(state)
        if state.phase is JobPhase.COLLECTED:
            self._tell_ended(state)

    def hearing(self, on_line: OnLine | None) -> OnLine:
        """What is to be called with each line: it tells whoever is told the lines, and then the events.

        Args:
            on_line: who is told the lines; None for nobody.
        """

        def heard(line: str) -> None:
            if on_line is not None:
                on_line(line)
            self.line(line)

        return heard

    def hearing_unfinished(self, on_unfinished: OnLine | None) -> OnLine:
        """The same for a line that has not ended, which is no event but may move the progress.

        Args:
            on_unfinished: who is told the states of such a line; None for nobody.
        """

        def heard(text: str) -> None:
            if on_unfinished is not None:
                on_unfinished(text)
            self._tell_progress(self._tracker.feed_unfinished(text))

        return heard

    def line(self, line: str) -> None:
        """Tell a line, and how far the job is by it.

        Args:
            line: without its end.
        """
        if self._state is not None:
            # Within the look that sees the session up its lines come first.
            self._tell_ready(self._state)
            self._tell("line", self._state, line=line)
            self._tell_progress(self._tracker.feed(line))

    def stopped(
        self,
        cost_wei: int | None,
        cost_usd: float | None,
        duration_s: float | None,
        tried: Iterable[TriedMachine] | None = None,
    ) -> None:
        """Tell that the machine of a job that has ended was seen gone.

        Args:
            cost_wei: what the job has cost, in wei, machines before that never came up among it.
            cost_usd: the same in USD.
            duration_s: seconds that the last session ran.
            tried: these machines, as they are part of the cost; as they are known here when left out.
        """
        if (state := self._started()) is not None:
            before = list(state.tried if tried is None else tried)
            self._tell_ended(state)
            self._tell(
                "stopped",
                state,
                outcome=state.outcome,
                exit_code=state.exit_code,
                reason=state.message,
                cost_wei=_own(cost_wei, [one.cost_wei for one in before]),
                cost_usd=_own(cost_usd, [one.cost_usd for one in before]),
                duration_s=duration_s,
            )

    def cut_short(self, why: str, bills: Iterable[Bill]) -> None:
        """Tell that the machine of a job that was not seen to its end was seen gone.

        Args:
            why: what cut it short, in words.
            bills: what was stopped, its session's among them where anybody tells what that came to.
        """
        if (state := self._started()) is not None:
            known: dict[str, Any] = {}
            for bill in bills:
                if bill.uuid == state.rental.uuid:
                    known = {"cost_wei": bill.charge_wei, "cost_usd": bill.charge_usd, "duration_s": bill.duration_s}
            self._tell("stopped", state, reason=why, **known)

    def _started(self) -> JobState | None:
        """The job whose end is to be told, once."""
        state, self._state = self._state, None
        return state

    def _tell_tried(self, before: JobState, tried: TriedMachine) -> None:
        self._tell(
            "stopped",
            before,
            reason=tried.message,
            cost_wei=tried.cost_wei,
            cost_usd=tried.cost_usd,
            duration_s=tried.duration_s,
        )

    def _tell_ready(self, state: JobState) -> None:
        if not self._is_ready_told:
            self._is_ready_told = True
            self._tell("ready", state)

    def _tell_ended(self, state: JobState) -> None:
        if not self._is_ended_told:
            self._is_ended_told = True
            self._tell("ended", state, outcome=state.outcome, exit_code=state.exit_code, reason=state.message)

    def _tell_progress(self, fraction: float | None) -> None:
        if fraction is not None and self._state is not None:
            self._tell_ready(self._state)
            self._tell("progress", self._state)

    def _tell(self, kind: str, state: JobState, **known: Any) -> None:
        rental = state.rental
        self._on_event(
            JobEvent(
                kind=kind,
                key=state.key,
                uuid=rental.uuid,
                node_id=rental.node_id,
                when=datetime.fromtimestamp(self._clock.time(), timezone.utc),
                adopted=state.attempts > 1,
                price_usd=rental.price_usd,
                progress=self._tracker.fraction,
                **known,
            )
        )


def _own(sum_of_all: Any, before: list[Any]) -> Any:
    """What the last machine has cost, of the sum of all."""
    others = total(before)
    return None if sum_of_all is None or others is None else sum_of_all - others
