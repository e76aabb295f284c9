"""One run of a batch, from what an earlier one has left to the results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from octa_provider.batch.estimate import MachineEstimate, SceneEstimate
from octa_provider.batch.folder.work import Measured, Spans
from octa_provider.batch.forecast import deviate
from octa_provider.batch.plan import Plan, PlanLine
from octa_provider.batch.rates import usd_per_wei, wei_of_usd
from octa_provider.batch.result import BatchOutcome, BatchResult
from octa_provider.batch.run.coordinator import Coordinator
from octa_provider.batch.run.crew import Crew
from octa_provider.batch.run.first_machine import FirstMachine, find_first_machine, measure_frames
from octa_provider.batch.run.left_machines import sessions_of_batch
from octa_provider.batch.run.market import Market, scene_of, speeds_seen
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.places import Places
from octa_provider.batch.run.scene_errors import SceneCannotRenderError, SceneErrors
from octa_provider.batch.run.teller import Teller
from octa_provider.batch.state import BatchState
from octa_provider.batch.terms import BatchTerms
from octa_provider.errors import OctaBudgetError, OctaCancelledError, OctaError, OctaNoMachineError
from octa_provider.render.frames import Frames
from octa_provider.rental.clean_up import cleaned_up_by
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.batch.events import OnEvent
    from octa_provider.models import Session
    from octa_provider.rental.rental import Rental

__all__ = ["BatchRun", "PlanNotMetError"]

log = plain_logger("octa_provider.batch.run.batch_run")

#: Frames that take longer use all GPUs of a machine at once; shorter ones get one each.
_SHORT_FRAME_S = 60.0
_UNTOLD_FRAME_S = 60.0


class PlanNotMetError(OctaBudgetError):
    """No plan meets the deadline or the budget; its text says why. Nothing runs."""


class BatchRun:
    """One run.

    Args:
        parts: of the batch.
        on_event: told what happens.
        approve: told the plan once; False ends the run as cancelled.
        is_cancelled: asked again and again.
    """

    def __init__(
        self,
        parts: BatchParts,
        *,
        on_event: OnEvent | None,
        approve: Callable[[Plan], bool],
        is_cancelled: Callable[[], bool],
    ) -> None:
        self._parts = parts
        self._batch = parts.batch
        self._folder = parts.folder
        self._approve = approve
        self._is_cancelled = is_cancelled
        self._teller = Teller(parts, on_event)
        self._crew = Crew(parts)
        self._teller.follow(self._crew)
        self._errors = SceneErrors()
        self._began_at = parts.clock.monotonic()
        self._done_before = len(parts.folder.accepted)
        self._line: PlanLine | None = None
        #: What earlier runs have cost.
        self._before_wei = 0
        self._adopted: list[tuple[int, Rental]] = []

    def run(self) -> BatchResult:
        """Render what is missing; no session of the batch runs when it returns or raises.

        Raises:
            OctaCancelledError: never; a run that is taken back is a result.
            OctaStopError: a session could not be stopped; says how to.
            OctaError: the API or this computer stood in the way.
        """
        self._teller.tell("started")
        message = ""
        with cleaned_up_by(self._clean_up):
            try:
                outcome = self._render()
            except SceneCannotRenderError as error:
                outcome, message = BatchOutcome.SCENE_ERROR, str(error)
                self._teller.tell("scene error", reason=message)
            except PlanNotMetError:
                raise
            except OctaBudgetError as error:
                outcome, message = BatchOutcome.OVER_BUDGET, str(error)
            except OctaCancelledError as error:
                outcome, message = BatchOutcome.CANCELLED, str(error)
        return self._result(outcome, message)

    def measure(self) -> Plan:
        """Rent one machine, ask the scene, render three frames, and plan with that. The machine is stopped again.

        Raises:
            SceneCannotRenderError: the scene can't be rendered.
            OctaError: as `run`.
        """
        with cleaned_up_by(self._clean_up):
            market = Market.of(self._parts.api, self._batch)
            self._take_over()
            missing = self._missing()
            if missing and self._folder.measurement is None:
                self._first(market, market.by_worth(), missing, self._cap_wei(market.by_worth()))
            plan = self._plan(market)
        self._folder.write_results()
        return plan

    # The steps of a run.

    def _render(self) -> BatchOutcome:
        self._take_over()
        missing = self._missing()
        if not missing and not self._adopted:
            return BatchOutcome.WHOLE
        market = Market.of(self._parts.api, self._batch)
        candidates = market.by_worth()
        self._teller.usd_per_wei = usd_per_wei(candidates)
        cap_wei = self._cap_wei(candidates)
        if not missing:
            return BatchOutcome.WHOLE
        scene = self._scene()
        first: FirstMachine | None = None
        plan: Plan | None = None
        if scene is not None:
            plan = self._plan(market)
            self._agree(plan)
            candidates = [*(one.estimate for one in self._chosen(plan).machines), *plan.next_machines]
        asks_scene = self._asks_scene()
        if not self._adopted and (scene is None or asks_scene):
            first = self._first(market, candidates, missing if scene is None else (), cap_wei)
        if scene is None:
            if not self._missing():
                return BatchOutcome.WHOLE
            plan = self._plan(market)
            self._agree(plan)
        assert plan is not None
        outcome = self._coordinate(market, plan, first, cap_wei)
        return self._as_of_now(outcome)

    def _as_of_now(self, outcome: str) -> BatchOutcome:
        if outcome != "whole":
            return BatchOutcome(outcome)
        deadline_s = self._batch.finish_within_s
        is_late = deadline_s is not None and self._parts.clock.monotonic() - self._began_at > deadline_s
        return BatchOutcome.LATE if is_late else BatchOutcome.WHOLE

    def _missing(self) -> tuple[int, ...]:
        return tuple(number for number in self._batch.numbers if number not in self._folder.accepted)

    def _take_over(self) -> None:
        """What an earlier run has left running: gone on with, if it is wanted; stopped if not; written down if gone."""
        parts = self._parts
        running = sessions_of_batch(parts.api, parts)
        # Without a measurement there is no plan to go on with: it is begun anew.
        most = self._batch.max_machines if self._missing() and self._scene() is not None else 0
        for number, (key, uuid) in list(self._folder.open_rentals.items()):
            if number not in running:
                if key != parts.rentals.full_key(parts.machine_key(number)):
                    # Of the scene as it was before.
                    parts.rentals.stop(key)
                self._write_down(number, uuid)
        self._before_wei = self._folder.cost_wei or 0
        for number, session in sorted(running.items()):
            key = parts.machine_key(number)
            rental = parts.rentals.find(key) if len(self._adopted) < most else None
            if rental is not None:
                self._adopted.append((number, rental))
                continue
            parts.rentals.stop(key)
            self._write_down(number, session.uuid)

    def _write_down(self, number: int, uuid: str | None) -> None:
        """What a session came to that has ended without us."""
        bill = None
        if uuid is not None:
            recent: list[Session] = list(self._parts.api.sessions.list(recent=True))
            session = next((one for one in recent if one.uuid == uuid), None)
            bill = self._parts.rentals.open(uuid).bill(session)
        self._folder.ended(number, bill, Spans(), "the run that rented it has ended")

    def _scene(self) -> SceneEstimate | None:
        return scene_of(self._batch, max(1, len(self._missing())), self._parts.tree.size, self._folder.measurement)

    def _asks_scene(self) -> bool:
        measured = self._folder.measurement
        if measured is not None and measured.preflight:
            return False
        return self._batch.renderer.preflight_script(self._parts.main) is not None

    def _cap_wei(self, estimates: list[MachineEstimate]) -> int | None:
        """What this run may cost: the budget is of the whole batch."""
        usd = self._batch.max_cost_usd
        if usd is None:
            return None
        return max(0, wei_of_usd(usd, estimates) - self._before_wei)

    def _plan(self, market: Market) -> Plan:
        scene = self._scene()
        assert scene is not None
        deadline_s, budget_usd = self._batch.finish_within_s, self._batch.max_cost_usd
        if deadline_s is not None:
            deadline_s = max(1.0, deadline_s - (self._parts.clock.monotonic() - self._began_at))
        if budget_usd is not None:
            spent_wei = self._crew.spent_wei() + self._before_wei
            budget_usd = max(0.000001, budget_usd - spent_wei * self._teller.usd_per_wei)
        return market.plan(scene, left_s=deadline_s, budget_usd=budget_usd, measured=speeds_seen(self._folder))

    def _chosen(self, plan: Plan) -> PlanLine:
        if plan.chosen is None:
            why = "; ".join(refusal.reason for refusal in plan.refusals if refusal.node_id is None)
            if not plan.cheapest and not why:
                raise OctaNoMachineError("no machine fits", refusals=plan.refusals)
            raise PlanNotMetError(f"no plan meets what is asked for: {why}")
        return plan.chosen

    def _agree(self, plan: Plan) -> None:
        line = self._chosen(plan)
        if not self._approve(plan):
            raise OctaCancelledError("the plan was not approved")
        self._line = line
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
        seconds = first.seconds or ([first.first_s] if first.first_s is not None else [])
        average = sum(seconds) / len(seconds) if seconds else 0.0
        load_s = first.load_s or 0.0
        extra = 0.0 if first.first_s is None else max(0.0, first.first_s - (0.0 if first.load_s is None else load_s))
        if missing or first.preflight is not None:
            measured = Measured(
                score=market.score(first.estimate.node_id),
                # A clock that the machine does not tell leaves the frames' times unknown.
                seconds=(seconds or [_UNTOLD_FRAME_S]) if missing else [],
                load_s=load_s,
                first_frame_s=max(0.0, extra - average) if len(seconds) > 1 else 0.0,
                frame_bytes=sum(first.sizes) // len(first.sizes) if first.sizes else 0,
                uplink_mbps=first.uplink_mbps,
                preflight={} if first.preflight is None else asdict(first.preflight),
            )
            with self._parts.lock:
                self._folder.measured(measured)
        return first

    def _coordinate(self, market: Market, plan: Plan, first: FirstMachine | None, cap_wei: int | None) -> str:
        batch, clock = self._batch, self._parts.clock
        line = self._chosen(plan)
        scene = self._scene()
        assert scene is not None
        places = Places(batch.numbers, batch.order)
        finish_s = line.finish_s.p90
        if batch.finish_within_s is not None:
            finish_s = batch.finish_within_s - (clock.monotonic() - self._began_at)
        terms = BatchTerms(
            frames=len(places),
            max_machines=batch.max_machines,
            began_at=clock.monotonic(),
            finish_at=clock.monotonic() + finish_s,
            max_cost_wei=cap_wei,
            sigmas=deviate(batch.confidence),
            work_sigma=scene.sigma,
            load_s=scene.load_s,
            first_frame_s=scene.first_frame_s,
            upload_s=scene.upload_s,
            tries_per_frame=batch.tries_per_frame,
            can_skip=bool(batch.renderer.can_skip),
            max_failed_frames=batch.max_failed_frames,
            first_pass=places.first_pass,
        )
        planned = [one.estimate for one in line.machines]
        taken = {first.estimate.node_id} if first is not None else set()
        state = BatchState(
            terms,
            [one for one in (*planned, *plan.next_machines) if one.node_id not in taken],
            places.places(self._folder.accepted),
        )
        state.tried_before({p: nodes for n, nodes in self._folder.tried.items() if (p := places.place(n)) is not None})
        is_short = scene.seconds_per_frame <= _SHORT_FRAME_S and "CPU" not in batch.renderer.devices
        coordinator = Coordinator(
            self._parts,
            self._crew,
            state,
            places,
            self._teller,
            self._errors,
            max_cost_wei=cap_wei,
            processes=lambda node_id: market.gpus(node_id) if is_short else 1,
            is_cancelled=self._is_cancelled,
        )
        if first is not None:
            speeds = {one.node_id: one for one in market.estimates(scene, speeds_seen(self._folder))}
            coordinator.take(speeds.get(first.estimate.node_id, first.estimate), first.number, is_ready=True)
        for number, rental in self._adopted:
            coordinator.adopt(self._estimate_of(rental, planned), number, rental)
        return coordinator.run()

    def _estimate_of(self, rental: Rental, others: list[MachineEstimate]) -> MachineEstimate:
        """What is expected of a machine that is not on offer any more, since it is ours."""
        like = sorted(others, key=lambda one: one.speed)[len(others) // 2]
        return MachineEstimate(
            rental.node_id if rental.node_id is not None else -1,
            rental.price_wei if rental.price_wei is not None else like.price_wei,
            rental.price_usd if rental.price_usd is not None else like.price_usd,
            like.speed,
            like.start_s,
            like.upload_s,
        )

    # The end.

    def _clean_up(self, error: BaseException | None) -> None:
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

    def _result(self, outcome: BatchOutcome, message: str) -> BatchResult:
        folder, batch = self._folder, self._batch
        missing = folder.check_whole()
        if missing and outcome in (BatchOutcome.WHOLE, BatchOutcome.LATE):
            outcome = BatchOutcome.INCOMPLETE
            message = "frames that were accepted are not there any more: somebody removed or changed them"
        try:
            folder.write_results()
        except OctaError as error:
            message = f"{message}. The results could not be written: {error}" if message else str(error)
            log.error("the results could not be written: %s", error)
        line = self._line
        result = BatchResult(
            outcome=outcome,
            output=str(folder.path),
            frames=len(batch.numbers),
            done=len(batch.numbers) - len(missing),
            rendered=len(folder.accepted) - self._done_before,
            failed=dict(folder.failed),
            missing=str(Frames(tuple(missing))) if missing else "",
            message=message,
            cost_wei=folder.cost_wei,
            cost_usd=folder.cost_usd,
            planned_cost_usd=None if line is None else (line.cost_usd.p50, line.cost_usd.p90),
            seconds=self._parts.clock.monotonic() - self._began_at,
            machines=self._crew.rented,
        )
        self._teller.tell("ended", reason=outcome.value)
        return result
