"""The first machine: what the scene says of itself, and what three of its frames take, before others are rented."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.run.crew import Crew
from octa_provider.batch.run.measurement import FirstMachine
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.scene_errors import SceneErrors
from octa_provider.batch.run.spending import Spending
from octa_provider.batch.run.teller import Teller
from octa_provider.batch.run.told import (
    Bad,
    Began,
    Begin,
    Broke,
    Came,
    Crashed,
    Done,
    Lost,
    Preflighted,
    PreflightWanted,
    Ready,
    Refused,
    Rented,
    Stopped,
    Told,
)
from octa_provider.errors import OctaBudgetError, OctaCancelledError, OctaNoMachineError, OctaSceneError, Refusal
from octa_provider.timing.asking import is_transient
from octa_provider.timing.deadline import Deadline

__all__ = ["find_first_machine"]

#: Machines that are tried until one has the scene.
_TRIES = 6
#: No frame came of a machine for so long while nobody knew what a frame takes: it is given up.
_LONGEST_FRAME_S = 4 * 3600.0
#: An API that is away is asked again for so long.
_AWAY_S = 300.0
_AGAIN_S = 10.0


def find_first_machine(
    parts: BatchParts,
    crew: Crew,
    teller: Teller,
    candidates: Iterable[MachineEstimate],
    *,
    asks_scene: bool,
    frames: tuple[int, ...],
    max_cost_wei: int | None,
    is_cancelled: Callable[[], bool],
    errors: SceneErrors,
) -> FirstMachine:
    """Rent machines until one has the scene, has said what it is, and has rendered what is to be measured.

    Args:
        parts: of the batch.
        crew: rents them.
        teller: told what happens.
        candidates: machines, best first.
        asks_scene: whether the scene is asked what it says of itself.
        frames: to measure by; none when what a frame takes is known.
        max_cost_wei: no more than this, in wei.
        is_cancelled: asked again and again.
        errors: what renderers said.

    Raises:
        OctaSceneError: the scene can't be rendered.
        OctaNoMachineError: none of the machines that were tried could be used.
        OctaBudgetError: a cap was reached.
        OctaCancelledError: `is_cancelled` said yes.
        OctaError: the API could not be reached, or refused the account.
    """
    refusals: list[Refusal] = []
    for tried, estimate in enumerate(candidates):
        if tried == _TRIES:
            break
        trial = _Trial(parts, crew, teller, estimate, max_cost_wei, is_cancelled, errors)
        found = trial.run(asks_scene=asks_scene, frames=frames)
        if isinstance(found, FirstMachine):
            return found
        refusals.append(Refusal(estimate.node_id, found))
    named = "; ".join(f"node {refusal.node_id}: {refusal.reason}" for refusal in refusals) or "none is on offer"
    raise OctaNoMachineError(f"no machine could be used: {named}", refusals=refusals)


class _Trial:
    """One machine that may become the first."""

    def __init__(
        self,
        parts: BatchParts,
        crew: Crew,
        teller: Teller,
        estimate: MachineEstimate,
        max_cost_wei: int | None,
        is_cancelled: Callable[[], bool],
        errors: SceneErrors,
    ) -> None:
        self._parts = parts
        self._crew = crew
        self._teller = teller
        self._estimate = estimate
        self._spending = Spending(parts, crew, max_cost_wei)
        self._is_cancelled = is_cancelled
        self._errors = errors

    def run(self, *, asks_scene: bool, frames: tuple[int, ...]) -> FirstMachine | str:
        """The machine, or why it can't be used."""
        number = self._rent()
        if isinstance(number, str):
            return number
        first = FirstMachine(number, self._estimate)
        why = self._until(self._up(first))
        if why is None and asks_scene:
            self._crew.thread(number).order(PreflightWanted())
            why = self._until(self._asked(first))
        if why is None and frames:
            self._crew.thread(number).order(Begin(frames))
            why = self._until(self._measured(first))
        if why is None:
            return first
        self._crew.thread(number).stop(why)
        self._teller.tell("machine ended", number=number, node_id=self._estimate.node_id, reason=why)
        return why

    def _rent(self) -> int | str:
        """The machine's number, once it is rented; why not, when another one is to be tried."""
        away = Deadline(self._parts.clock, _AWAY_S)
        while True:
            while self._crew.alive >= self._parts.batch.max_machines:
                # One that could not be used is being stopped, and bills still.
                self._crew.hear(self._parts.pacing.poll_s)
                self._check()
            number = self._crew.start(self._estimate)
            told = self._first_word(number)
            if isinstance(told, Rented):
                self._teller.tell(
                    "machine rented", number=number, node_id=self._estimate.node_id, uuid=told.rental.uuid
                )
                return number
            if isinstance(told, Refused):
                self._teller.tell("machine refused", node_id=self._estimate.node_id, reason=told.reason)
                if told.is_gone:
                    return told.reason
                if not is_transient(told.error) or away.passed:
                    raise told.error
                until = Deadline(self._parts.clock, _AGAIN_S)
                while not until.passed:
                    self._check()
                    until.pause(1.0)
            elif isinstance(told, Crashed):
                raise told.error
            else:
                return told.reason if isinstance(told, Lost) else "it ended at once"

    def _first_word(self, number: int) -> Told:
        for told in self._words(number):
            if isinstance(told, (Rented, Refused, Crashed, Lost, Stopped)):
                return told
        raise AssertionError("unreachable: the words of a machine never end")

    def _until(self, steps: Iterator[str | None]) -> str | None:
        """None when it came as far, else why not."""
        return next(steps)

    def _words(self, number: int) -> Iterator[Told]:
        for told in self._words_until(number, None):
            assert told is not None
            yield told

    def _words_until(self, number: int, patience: Deadline | None) -> Iterator[Told | None]:
        """What the machine tells; None whenever there is no patience any more."""
        while True:
            # One at a time: what comes after the word that ends a step is for the next step.
            for other, told in self._crew.hear(self._parts.pacing.poll_s, most=1):
                if other == number:
                    yield told
            if patience is not None and patience.passed:
                yield None
            self._check()
            self._teller.tell("progress")

    def _check(self) -> None:
        if self._is_cancelled():
            raise OctaCancelledError("the batch was cancelled")
        self._spending.refuse_too_long()
        if self._spending.is_at_its_end():
            raise OctaBudgetError("the budget was spent before the batch could begin")

    def _ended(self, told: Told) -> str | None:
        if isinstance(told, Crashed):
            raise told.error
        if isinstance(told, Lost):
            return told.reason
        if isinstance(told, Refused):
            # It had begun, and cost too much.
            if not told.is_gone and not is_transient(told.error):
                raise told.error
            return told.reason
        return "its session was stopped" if isinstance(told, Stopped) else None

    def _up(self, first: FirstMachine) -> Iterator[str | None]:
        for told in self._words(first.number):
            if isinstance(told, Ready):
                first.uplink_mbps = told.uplink_mbps
                self._teller.tell("machine ready", number=first.number, node_id=self._estimate.node_id)
                yield None
            elif (why := self._ended(told)) is not None:
                yield why

    def _asked(self, first: FirstMachine) -> Iterator[str | None]:
        for told in self._words(first.number):
            if isinstance(told, Preflighted):
                first.preflight = told.preflight
                yield self._is_renderable(told)
            elif (why := self._ended(told)) is not None:
                yield why

    def _is_renderable(self, told: Preflighted) -> str | None:
        for warning in told.preflight.warnings:
            self._teller.tell("scene warning", node_id=self._estimate.node_id, reason=warning)
        problems = "; ".join(told.preflight.problems)
        if not problems and told.preflight.must_be_in_order:
            # Each machine renders some of the frames, and the first one three that are far apart.
            problems = f"bake its simulations first: {'; '.join(told.preflight.warnings) or 'frames need those before'}"
        if not problems:
            return None
        if told.was_told:
            raise OctaSceneError(problems)
        self._errors.failed(self._estimate.node_id, problems)
        return problems

    def _measured(self, first: FirstMachine) -> Iterator[str | None]:
        patience = Deadline(self._parts.clock, _LONGEST_FRAME_S)
        flaw = ""
        for told in self._words_until(first.number, patience):
            if told is None:
                yield f"no frame came in {_LONGEST_FRAME_S / 3600:.0f} hours"
            elif isinstance(told, Began):
                first.load_s = told.load_s if first.load_s is None else first.load_s
            elif isinstance(told, Came):
                self._came(first, told)
            elif isinstance(told, Bad):
                flaw = told.flaw
                self._teller.tell(
                    "frame refused", frame=told.frame, number=first.number, node_id=self._estimate.node_id, reason=flaw
                )
                if told.is_full:
                    yield "its disk is full"
            elif isinstance(told, Done):
                yield self._verdict(first, flaw)
            elif isinstance(told, Broke):
                yield self._broke(first, told, flaw)
            elif (why := self._ended(told)) is not None:
                yield why

    def _came(self, first: FirstMachine, told: Came) -> None:
        first.sizes.append(told.size)
        if told.seconds is not None:
            first.seconds.append(told.seconds)
        if told.first_s is not None:
            first.first_s = told.first_s
        self._teller.tell("frame accepted", frame=told.frame, number=first.number, node_id=self._estimate.node_id)

    def _verdict(self, first: FirstMachine, flaw: str) -> str | None:
        if first.sizes:
            return None
        why = f"none of its frames is whole: the last one {flaw}" if flaw else "it rendered nothing"
        self._errors.failed(self._estimate.node_id, why)
        return why

    def _broke(self, first: FirstMachine, told: Broke, flaw: str) -> str | None:
        failure = told.failure
        if told.is_full:
            return "its disk is full"
        if failure is not None and failure.kind in {"no device", "out of memory", "disk full"}:
            return f"{failure.kind}: {failure.message}"
        if first.sizes:
            # What is missing of the three is rendered with the others.
            return None
        if failure is None:
            return self._verdict(first, flaw)
        self._errors.failed(self._estimate.node_id, failure.message)
        return failure.message
