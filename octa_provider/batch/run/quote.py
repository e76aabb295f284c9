"""What a run is planned with: the frames that are missing, what is known of them, what time and money is left."""

from __future__ import annotations

from octa_provider.batch.estimate import MachineEstimate, SceneEstimate
from octa_provider.batch.forecast import deviate
from octa_provider.batch.plan import NOTHING_TO_PLAN, Plan, PlanLine
from octa_provider.batch.rates import wei_of_usd
from octa_provider.batch.run.crew import Crew
from octa_provider.batch.run.market import Market, scene_of, speeds_seen
from octa_provider.batch.run.parts import BatchParts
from octa_provider.batch.run.places import Places
from octa_provider.batch.run.teller import Teller
from octa_provider.batch.terms import BatchTerms
from octa_provider.errors import OctaLocalFileError, OctaNoMachineError, OctaPlanError
from octa_provider.files.limits import TransferLimits
from octa_provider.files.local_files import shown

__all__ = ["Quote", "chosen_line"]


def chosen_line(plan: Plan) -> PlanLine:
    """The line that a run follows.

    Args:
        plan: as it was made.

    Raises:
        OctaPlanError: what was asked for can't be met.
        OctaNoMachineError: no machine fits.
    """
    if plan.chosen is not None:
        return plan.chosen
    why = "; ".join(refusal.reason for refusal in plan.refusals if refusal.node_id is None)
    if plan.cheapest is None and (not why or NOTHING_TO_PLAN in why):
        # Of an empty market: that can be another one in a minute.
        raise OctaNoMachineError(why or "no machine fits", refusals=plan.refusals)
    raise OctaPlanError(f"no plan meets what is asked for: {why}")


class Quote:
    """What a run is planned with.

    Args:
        parts: of the batch.
        crew: the machines of this run.
        teller: knows when it began, and the rate of USD.

    Attributes:
        before_wei: what earlier runs have cost.
        goes_on: whether machines of an earlier run are gone on with.
    """

    def __init__(self, parts: BatchParts, crew: Crew, teller: Teller) -> None:
        self._parts = parts
        self._crew = crew
        self._teller = teller
        self.before_wei = 0
        self.goes_on = False

    def missing(self) -> tuple[int, ...]:
        """The frames that are asked for and not accepted, ascending."""
        return tuple(number for number in self._parts.batch.numbers if number not in self._parts.folder.accepted)

    def check_room(self) -> None:
        """Frames that this computer's disk can't take are not paid for.

        Raises:
            OctaLocalFileError: it has no room for what is left, as far as the size of a frame is known.
        """
        measured = self._parts.folder.measurement
        each = measured.frame_bytes if measured is not None else 0
        size, folder = each * len(self.missing()), self._parts.folder.path
        try:
            TransferLimits().check_room(max(1, size), folder)
        except OctaLocalFileError as error:
            if size:
                raise
            raise OctaLocalFileError(f"the disk of {shown(folder)} is full: make room and run it again") from error

    def scene(self) -> SceneEstimate | None:
        """What is known of the work that is left; None when nothing tells what a frame takes."""
        parts = self._parts
        return scene_of(parts.batch, max(1, len(self.missing())), parts.tree.size, parts.folder.measurement)

    def cap_wei(self, estimates: list[MachineEstimate]) -> int | None:
        """What this run may cost, in wei: budget and approved quote are of the whole batch; None for no cap.

        Args:
            estimates: the machines that it is spent on.
        """
        caps: list[int] = []
        if (usd := self._parts.batch.max_cost_usd) is not None:
            caps.append(max(0, wei_of_usd(usd, estimates) - self.before_wei))
        if self._parts.quote is not None:
            caps.append(self._parts.quote.left_wei(self.before_wei))
        return min(caps, default=None)

    def check_approved(self) -> None:
        """What is rendered now must be what was quoted, where a quote was approved.

        Raises:
            OctaPlanError: it is something else, or more.
        """
        quote = self._parts.quote
        if quote and (why := quote.breach(frames=len(self.missing()), fingerprint=self._parts.fingerprint)):
            raise OctaPlanError(why)

    def check_price(self, line: PlanLine) -> None:
        """What it costs today must be within what was quoted, where a quote was approved.

        Args:
            line: the line that would be followed.

        Raises:
            OctaPlanError: it is not.
        """
        quote = self._parts.quote
        if quote and (why := quote.breach_of_price(line, self._crew.spent_wei() + self.before_wei)):
            raise OctaPlanError(why)

    def left_s(self) -> float | None:
        """Seconds until the deadline; None for none."""
        within_s = self._parts.batch.finish_within_s
        if within_s is None:
            return None
        return max(1.0, within_s - (self._parts.clock.monotonic() - self._teller.began_at))

    def longest_s(self) -> float | None:
        """Seconds until the machines have run for as long as they may; None where nothing bounds that."""
        left_s = self._crew.left_s
        return None if left_s is None else max(1.0, left_s)

    def plan(self, market: Market) -> Plan:
        """The plan of what is left.

        Args:
            market: the machines on offer.

        Raises:
            OctaPlanError: the budget is spent.
        """
        scene = self.scene()
        assert scene is not None
        return market.plan(
            scene,
            left_s=self.left_s(),
            # What runs already is stopped in time, and may as well be used until then.
            longest_s=None if self.goes_on else self.longest_s(),
            budget_usd=self._parts.batch.max_cost_usd,
            spent_wei=self._crew.spent_wei() + self.before_wei,
            measured=speeds_seen(self._parts.folder),
        )

    def why_over_budget(self, line: PlanLine | None) -> str:
        """Why nothing more may be spent, as one sentence.

        Args:
            line: the plan that was followed; None where there was none.
        """
        most_usd = self._parts.batch.max_cost_usd
        if self._parts.quote is not None and (most_usd is None or self._parts.quote.chosen.cost_most_usd <= most_usd):
            return f"the {self._parts.quote.chosen.costs()[2]} that were approved are spent: quote it again to go on"
        # A plan for a budget has the budget as its most, but for what is rounded.
        if line is not None and (most_usd is None or line.cost_most_usd < 0.95 * most_usd):
            return (
                f"the {line.cost_most_usd:.2f} USD that the plan said it would cost at most are spent: "
                "run it again to go on, with a plan made of what was seen"
            )
        return f"the budget of {most_usd:g} USD is reached: raise it, and run it again to go on"

    def terms(
        self, line: PlanLine, scene: SceneEstimate, places: Places, max_cost_wei: int | None, pause_s: float = 0.0
    ) -> BatchTerms:
        """What the scheduler is told of the batch.

        Args:
            line: the plan that is followed.
            scene: the work.
            places: the order of the frames.
            max_cost_wei: what the run may cost, in wei; None for no cap.
            pause_s: machines are to be left to themselves for so many seconds.
        """
        batch, now, left_s, longest_s = (
            self._parts.batch,
            self._parts.clock.monotonic(),
            self.left_s(),
            self.longest_s(),
        )
        ends_s = line.finish_s.p90 if left_s is None else left_s
        return BatchTerms(
            frames=len(places),
            max_machines=batch.max_machines,
            began_at=now,
            finish_at=now + (ends_s if longest_s is None else min(ends_s, longest_s)),
            max_cost_wei=max_cost_wei,
            sigmas=deviate(batch.confidence),
            work_sigma=scene.sigma,
            load_s=scene.load_s,
            first_frame_s=scene.first_frame_s,
            upload_s=scene.upload_s,
            tries_per_frame=batch.tries_per_frame,
            can_skip=bool(batch.renderer.can_skip),
            max_failed_frames=batch.max_failed_frames,
            first_pass=places.first_pass,
            pause_s=pause_s,
        )
