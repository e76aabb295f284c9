"""One run of a batch, from what an earlier one has left to the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from octa_provider.batch.estimate import MachineEstimate
from octa_provider.batch.folder.pause_note import PauseNote, leave_pause, take_pause
from octa_provider.batch.folder.work import Spans
from octa_provider.batch.plan import Plan, PlanLine
from octa_provider.batch.rates import usd_per_wei
from octa_provider.batch.result import BatchOutcome, BatchResult
from octa_provider.batch.run.coordinator import Coordinator
from octa_provider.batch.run.crew import Crew
from octa_provider.batch.run.ending import end_of, results_left
from octa_provider.batch.run.first_machine import find_first_machine
from octa_provider.batch.run.left_machines import began_at, estimate_of_kept, take_over
from octa_provider.batch.run.market import Market, speeds_seen
from octa_provider.batch.run.measurement import FirstMachine, measure_frames, measured_of
from octa_provider.batch.run.on_offer import LeftWaiting, OnOffer
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.places import Places
from octa_provider.batch.run.quote import Quote, chosen_line
from octa_provider.batch.run.scene_errors import SceneErrors
from octa_provider.batch.run.teller import Teller
from octa_provider.batch.run.waking import kept_plan, note_of, note_of_killed
from octa_provider.batch.state import BatchState
from octa_provider.errors import (
    OctaBudgetError,
    OctaCancelledError,
    OctaError,
    OctaNoMachineError,
    OctaPlanError,
    OctaSceneError,
)
from octa_provider.render.frames import Frames
from octa_provider.rental.clean_up import cleaned_up_by

if TYPE_CHECKING:
    from octa_provider.batch.events import OnEvent
    from octa_provider.rental.rental import Rental

__all__ = ["BatchRun"]

#: Frames that take longer use all GPUs of a machine at once; shorter ones get one each.
_SHORT_FRAME_S = 60.0


class BatchRun:
    """One run.

    Args:
        parts: of the batch.
        on_event: told what happens.
        approve: told the plan once; False ends the run as cancelled.
        is_cancelled: asked again and again.
        pause_s: end as paused where nothing is to be decided for so many seconds; None never does.
    """

    def __init__(
        self,
        parts: BatchParts,
        *,
        on_event: OnEvent | None,
        approve: Callable[[Plan], bool],
        is_cancelled: Callable[[], bool],
        pause_s: float | None = None,
    ) -> None:
        self._parts = parts
        self._batch = parts.batch
        self._folder = parts.folder
        self._approve = approve
        self._is_cancelled = is_cancelled
        self._teller = Teller(parts, on_event)
        self._crew = Crew(parts)
        self._teller.follow(self._crew)
        self._on_offer = OnOffer(parts, self._crew, self._teller, is_cancelled, pause_s)
        self._errors = SceneErrors()
        self._message = ""
        self._began_at = parts.clock.monotonic()
        self._done_before = len(parts.folder.accepted)
        self._line: PlanLine | None = None
        self._agreed_wei: int | None = None
        self._quote = Quote(parts, self._crew, self._teller)
        self._adopted: list[tuple[int, Rental]] = []
        self._pause_s = pause_s
        #: What the run that was paused has left.
        self._note: PauseNote | None = None
        #: What this one leaves.
        self._left: PauseNote | None = None

    def run(self) -> BatchResult:
        """Render what is missing; no session of the batch runs when it returns or raises, unless it is paused.

        Raises:
            OctaCancelledError: never; a run that is taken back is a result.
            OctaStopError: a session could not be stopped; says how to.
            OctaError: the API or this computer stood in the way.
        """
        self._teller.tell("started")
        message = ""
        with results_left(self._folder), cleaned_up_by(self._clean_up):
            try:
                outcome = self._render()
                message = self._message
            except OctaSceneError as error:
                outcome, message = BatchOutcome.SCENE_ERROR, str(error)
                self._teller.tell("scene error", reason=message)
            except OctaPlanError:
                raise
            except OctaBudgetError as error:
                outcome, message = BatchOutcome.OVER_BUDGET, str(error)
            except OctaCancelledError as error:
                outcome, message = BatchOutcome.CANCELLED, str(error)
            except LeftWaiting as waiting:
                self._left = self._on_offer.note(self._began_at)
                outcome, self._message = BatchOutcome.PAUSED, str(waiting)
            if self._left is not None:
                # While its machines are still ours: what goes wrong here stops them.
                paused = self._paused(self._left)
        if self._left is not None:
            return self._with_last_frames(paused)
        result = self._end(outcome, message)
        self._teller.tell_ended()
        self._teller.tell("ended", reason=result.outcome.value)
        return result

    def measure(self) -> Plan:
        """Rent one machine, ask the scene, render three frames, and plan with that. The machine is stopped again.

        Raises:
            OctaSceneError: the scene can't be rendered.
            OctaError: as `run`.
        """
        with results_left(self._folder), cleaned_up_by(self._clean_up):
            self._take_over()
            missing = self._quote.missing()

            def measured(market: Market) -> Market:
                is_measured = self._folder.measurement is not None
                # What is planned with is waited for too.
                if missing and (not is_measured or self._batch.wait_for_machine_s):
                    candidates = market.by_worth()
                    if not is_measured:
                        self._first(market, candidates, missing, self._quote.cap_wei(candidates))
                return market

            plan = self._quote.plan(self._on_offer.take(measured, has_machines=bool(self._adopted)))
        self._folder.write_results()
        return plan

    # The steps of a run.

    def _render(self) -> BatchOutcome:
        self._take_over()
        # Only now: where nobody could be asked what runs, whoever comes next goes on with it.
        self._note = take_pause(self._folder.path, self._parts.fingerprint, self._parts.clock.time())
        missing, note = self._quote.missing(), self._note
        if note is not None:
            self._on_offer.goes_on(note)
            if missing and note.is_planned and self._pause_s is not None and self._quote.scene() is not None:
                return self._go_on(note)
            if not note.is_planned:
                self._began_at = self._teller.began_at = self._then(note.began_at)
        if not missing and not self._adopted:
            return BatchOutcome.WHOLE
        try:
            outcome = self._on_offer.take(self._begin, has_machines=bool(self._adopted))
        except OctaNoMachineError:
            planned = self._folder.history.plan
            if not self._adopted or planned is None:
                raise
            # No other one is on offer, perhaps since these are ours: they go on under the plan they were rented for.
            return self._go_on(self._killed(planned))
        return outcome if isinstance(outcome, BatchOutcome) else self._as_of_now(outcome)

    def _begin(self, market: Market) -> BatchOutcome | str:
        """Begin with a batch, on what is on offer."""
        missing = self._quote.missing()
        candidates = market.by_worth()
        self._teller.usd_per_wei = usd_per_wei(candidates)
        cap_wei = self._quote.cap_wei(candidates)
        if not missing:
            return BatchOutcome.WHOLE
        self._quote.check_approved()
        self._quote.check_room()
        scene = self._quote.scene()
        first: FirstMachine | None = None
        plan: Plan | None = None
        if scene is not None:
            plan = self._quote.plan(market)
            self._agree(plan)
            candidates = [*(one.estimate for one in chosen_line(plan).machines), *plan.next_machines]
        asks_scene = self._asks_scene()
        if not self._adopted and (scene is None or asks_scene):
            first = self._first(market, candidates, missing if scene is None else (), cap_wei)
        if scene is None:
            if not self._quote.missing():
                return BatchOutcome.WHOLE
            plan = self._quote.plan(market)
            self._agree(plan)
        assert plan is not None
        return self._coordinate(market, plan, first, self._most_wei(cap_wei))

    def _go_on(self, note: PauseNote) -> BatchOutcome:
        """Go on with a batch that was paused, under the plan that it was begun with."""
        clock, scene = self._parts.clock, self._quote.scene()
        assert scene is not None
        self._began_at = self._teller.began_at = self._then(note.began_at)
        if note.rented_at is not None:
            self._crew.since = self._then(note.rented_at)
        market = self._on_offer.market()
        seen = speeds_seen(self._folder)
        on_offer = market.estimates(scene, seen)
        ours = [estimate_of_kept(rental, on_offer, scene, seen) for _, rental in self._adopted]
        known = [*on_offer, *ours]
        self._teller.usd_per_wei = usd_per_wei(known)
        if note.cap_wei is not None:
            self._agreed_wei = max(0, int(note.cap_wei) - self._quote.before_wei)
        with self._parts.lock:
            for frame, why in note.failed.items():
                self._folder.give_up(frame, why)
        plan = kept_plan(note, self._folder.history.plan, on_offer, len(self._quote.missing()), clock.time())
        self._line = chosen_line(plan)
        # Where there is no machine at all nothing tells a rate; the note has the cap in wei.
        cap_wei = self._most_wei(self._quote.cap_wei(known) if known or note.cap_wei is None else None)
        return self._as_of_now(self._coordinate(market, plan, None, cap_wei))

    def _killed(self, planned: Mapping[str, Any]) -> PauseNote:
        self._quote.check_approved()
        self._quote.check_room()
        return note_of_killed(
            planned,
            self._parts.clock,
            fingerprint=self._parts.fingerprint,
            left_s=self._quote.left_s(),
            before_wei=self._quote.before_wei,
            waited_s=self._on_offer.wait.waited_s,
        )

    def _then(self, at: float) -> float:
        """A Unix time that has passed, on the clock of the parts."""
        clock = self._parts.clock
        return clock.monotonic() - max(0.0, clock.time() - at)

    def _as_of_now(self, outcome: str) -> BatchOutcome:
        if outcome == "over budget":
            self._message = self._quote.why_over_budget(self._line)
        if outcome != "whole":
            return BatchOutcome(outcome)
        deadline_s = self._batch.finish_within_s
        is_late = deadline_s is not None and self._parts.clock.monotonic() - self._began_at > deadline_s
        return BatchOutcome.LATE if is_late else BatchOutcome.WHOLE

    def _most_wei(self, cap_wei: int | None) -> int | None:
        """No more than the user's cap, nor than the "at most" that was agreed to."""
        known = [wei for wei in (cap_wei, self._agreed_wei) if wei is not None]
        return min(known, default=None)

    def _take_over(self) -> None:
        # Without a measurement there is no plan to go on with: it is begun anew.
        is_planned = bool(self._quote.missing()) and self._quote.scene() is not None
        self._adopted = take_over(self._parts, self._batch.max_machines if is_planned else 0, self._is_cancelled)
        self._quote.before_wei = self._folder.spent_wei
        self._quote.goes_on = bool(self._adopted)
        self._crew.since = min((began_at(rental, self._parts.clock) for _, rental in self._adopted), default=None)

    def _asks_scene(self) -> bool:
        measured = self._folder.measurement
        if measured is not None and measured.preflight:
            return False
        return self._batch.renderer.preflight_script(self._parts.main) is not None

    def _agree(self, plan: Plan) -> None:
        line = chosen_line(plan)
        # Again, as what a frame takes may be known by now.
        self._quote.check_room()
        self._quote.check_price(line)
        most_wei = self._crew.spent_wei() + line.cost_most_wei
        # Whoever has agreed to as much before is not asked again after a wait.
        if (self._agreed_wei is None or most_wei > self._agreed_wei) and not self._approve(plan):
            raise OctaCancelledError("the plan was not approved")
        self._line = line
        # What was agreed to is not exceeded: the plan's "at most", beside what is spent already.
        self._agreed_wei = most_wei
        self._folder.planned(line)
        self._teller.tell(
            "planned",
            reason=f"{len(line.machines)} machines, {line.cost_usd.p50:.2f} USD ({line.cost_usd.p90:.2f} at 90 %)",
        )

    def _first(
        self,
        market: Market,
        candidates: list[MachineEstimate],
        missing: tuple[int, ...],
        cap_wei: int | None,
    ) -> FirstMachine:
        first = find_first_machine(
            self._parts,
            self._crew,
            self._teller,
            candidates,
            asks_scene=self._asks_scene(),
            frames=measure_frames(missing),
            max_cost_wei=cap_wei,
            is_cancelled=self._is_cancelled,
            errors=self._errors,
        )
        if missing or first.preflight is not None:
            score = market.score(first.estimate.node_id)
            with self._parts.lock:
                self._folder.measured(measured_of(first, score, has_rendered=bool(missing)))
        return first

    def _coordinate(self, market: Market, plan: Plan, first: FirstMachine | None, cap_wei: int | None) -> str:
        batch = self._batch
        line = chosen_line(plan)
        scene = self._quote.scene()
        assert scene is not None
        places = Places(batch.numbers, batch.order)
        terms = self._quote.terms(line, scene, places, cap_wei, self._pause_s or 0.0)
        planned = [one.estimate for one in line.machines]
        taken = {first.estimate.node_id} if first is not None else set()
        state = BatchState(
            terms,
            [one for one in (*planned, *plan.next_machines) if one.node_id not in taken],
            places.places(self._folder.accepted),
        )
        state.tried_before({p: nodes for n, nodes in self._folder.tried.items() if (p := places.place(n)) is not None})
        state.gave_up(places.places(self._folder.failed))
        useless = () if self._note is None else self._note.useless
        for node_id in useless:
            state.refused(node_id)
        left = {} if self._note is None else {one.uuid: one for one in self._note.machines}
        is_short = scene.seconds_per_frame <= _SHORT_FRAME_S and "CPU" not in batch.renderer.devices
        # One that has begun may end late.
        self._on_offer.wait.until(None)
        coordinator = Coordinator(
            self._parts,
            self._crew,
            state,
            places,
            self._teller,
            self._errors,
            max_cost_wei=cap_wei,
            processes=lambda node_id: market.gpus(node_id) if is_short else 1,
            offers=self._offers,
            is_cancelled=self._is_cancelled,
            wait=self._on_offer.wait,
            pause_s=self._pause_s,
        )
        if first is not None:
            speeds = {one.node_id: one for one in market.estimates(scene, speeds_seen(self._folder))}
            coordinator.take(speeds.get(first.estimate.node_id, first.estimate), first.number, is_ready=True)
        for number, rental in self._adopted:
            estimate = estimate_of_kept(rental, planned or plan.next_machines, scene, speeds_seen(self._folder))
            coordinator.adopt(estimate, number, rental, left.get(rental.uuid))
        outcome = coordinator.run()
        if outcome == "paused":
            self._left = note_of(
                coordinator.pausing,
                state,
                self._parts.clock,
                fingerprint=self._parts.fingerprint,
                began_at=self._began_at,
                cap_wei=None if cap_wei is None else self._quote.before_wei + cap_wei,
                failed=self._folder.failed,
                rented_at=self._crew.began_at,
                waited_s=self._on_offer.wait.waited_s,
                useless={*coordinator.useless, *useless},
            )
        if outcome == "incomplete":
            self._message = coordinator.why_missing
        return outcome

    def _offers(self) -> list[MachineEstimate]:
        """What is on the market now."""
        scene = self._quote.scene()
        assert scene is not None
        return self._on_offer.now().estimates(scene, speeds_seen(self._folder))

    # The end.

    def _end(self, outcome: BatchOutcome, message: str) -> BatchResult:
        left = self._left
        return end_of(
            self._parts,
            outcome,
            message,
            line=self._line,
            done_before=self._done_before,
            seconds=self._parts.clock.monotonic() - self._began_at,
            machines=self._crew.rented,
            wake_after_s=0.0 if left is None else max(0.0, left.wake_at - self._parts.clock.time()),
            paid_for_s=None
            if left is None or left.paid_until is None
            else max(0.0, left.paid_until - self._parts.clock.time()),
            sessions=() if left is None else tuple(one.uuid for one in left.machines),
        )

    def _paused(self, left: PauseNote) -> BatchResult:
        with self._parts.lock:
            # Its machines go on bringing frames meanwhile.
            result = self._end(BatchOutcome.PAUSED, self._message)
        spent_wei = self._quote.before_wei + self._crew.spent_wei()
        rate = self._teller.usd_per_wei
        result = replace(result, cost_wei=spent_wei, cost_usd=spent_wei * rate if rate else result.cost_usd)
        count = len(left.machines)
        self._teller.tell("paused", reason=f"{count} machines render on" if count else "a machine is waited for")
        self._teller.tell("ended", reason=result.outcome.value)
        return result

    def _with_last_frames(self, paused: BatchResult) -> BatchResult:
        """Machines brought frames until they were left: they are this run's, as the next one finds them there."""
        accepted = self._folder.accepted
        missing = tuple(frame for frame in self._batch.numbers if frame not in accepted)
        return replace(
            paused,
            done=len(self._batch.numbers) - len(missing),
            rendered=max(0, len(accepted) - self._done_before),
            missing=str(Frames(missing)) if missing else "",
        )

    def _leave(self, left: PauseNote) -> None:
        try:
            leave_pause(self._folder.path, left)
        except OctaError as error:
            self._crew.stop_after(error)
            raise
        self._crew.leave_all()

    def _clean_up(self, error: BaseException | None) -> None:
        if error is None and self._left is not None:
            self._leave(self._left)
            return
        if error is None:
            self._crew.stop_all("the batch has ended")
        else:
            self._crew.stop_after(error)
        for number, rental in self._adopted:
            if not self._crew.knows(number):
                self._stop_adopted(number, rental, error)

    def _stop_adopted(self, number: int, rental: Rental, error: BaseException | None) -> None:
        if error is not None:
            rental.stop_after(error)
        else:
            self._folder.ended(number, rental.stop(), Spans(), "the batch has ended")
