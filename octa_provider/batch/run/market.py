"""The market as a batch sees it: which machines fit, what is expected of them, and the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from octa_provider.batch.batch import Batch
from octa_provider.batch.estimate import MachineEstimate, SceneEstimate, estimate_machines
from octa_provider.batch.plan import Plan
from octa_provider.batch.planner import plan_batch
from octa_provider.batch.rates import usd_per_wei
from octa_provider.errors import OctaPlanError
from octa_provider.market.ranking import Ranking, rank
from octa_provider.rental.market_look import machines_on_offer

if TYPE_CHECKING:
    from octa_provider.api.api import Api
    from octa_provider.batch.folder.batch_folder import BatchFolder
    from octa_provider.batch.folder.work import Measured
    from octa_provider.market.requirements import Requirements

__all__ = ["Market", "requirements_of", "scene_of", "speeds_seen"]

#: What is planned with while only machines are compared: how long a frame takes does not matter then.
_ANY_FRAME_S = 60.0


@dataclass(frozen=True)
class Market:
    """The machines on offer for a batch.

    Attributes:
        batch: what is rendered.
        ranking: which fit, and why the others do not.
    """

    batch: Batch
    ranking: Ranking

    @classmethod
    def of(
        cls, api: Api, batch: Batch, *, max_age_s: float = 0.0, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Market:
        """Look at what is on offer.

        Args:
            api: the API.
            batch: what is rendered.
            max_age_s, is_cancelled: as of `machines_on_offer`.

        Raises:
            OctaError: the API can't be reached, or refused the key.
        """
        offered = machines_on_offer(api, "mr", max_age_s=max_age_s, is_cancelled=is_cancelled)
        return cls(batch, rank(offered, requirements_of(batch)))

    def gpus(self, node_id: int) -> int:
        """How many GPUs a node has; 1 where that is not known."""
        found = next((m.gpu_count for m in self.ranking.machines if m.node_id == node_id), 1)
        return max(1, found)

    def score(self, node_id: int) -> float:
        """A node's score, in the unit of the plan; 1 where that is not known."""
        return next((m.blender_score or 1.0 for m in self.ranking.machines if m.node_id == node_id), 1.0)

    def by_worth(self) -> list[MachineEstimate]:
        """Machines, those first that do the most for the money; for when nobody knows what a frame takes.

        Raises:
            OctaNoMachineError: none fits.
        """
        scene = SceneEstimate(len(self.batch.numbers), _ANY_FRAME_S)
        estimates, refused = estimate_machines(self.ranking.machines, scene)
        if not estimates:
            raise Ranking((), (*self.ranking.refusals, *refused), self.ranking.nearest).error()
        return sorted(estimates, key=lambda one: one.price_wei / one.speed)

    def estimates(self, scene: SceneEstimate, measured: Mapping[int, tuple[int, float]]) -> list[MachineEstimate]:
        """What is expected of each machine.

        Args:
            scene: the work.
            measured: for nodes that have rendered of it: how many frames, in how many seconds.
        """
        return estimate_machines(self.ranking.machines, scene, measured=measured)[0]

    def plan(
        self,
        scene: SceneEstimate,
        *,
        left_s: float | None,
        budget_usd: float | None,
        measured: Mapping[int, tuple[int, float]],
        longest_s: float | None = None,
        spent_wei: int = 0,
    ) -> Plan:
        """The plan of a batch.

        Args:
            scene: the work that is left.
            left_s: seconds until the deadline; None for none.
            budget_usd: the budget of the whole batch, in USD; None for none.
            longest_s: seconds after which its machines are stopped, whatever they are at; None for no such cap.
            measured: for nodes that have rendered of it: how many frames, in how many seconds.
            spent_wei: what is spent of the budget, in wei.

        Raises:
            OctaPlanError: the budget is spent.
            OctaNoMachineError: none fits.
        """
        if budget_usd is not None and spent_wei:
            left_usd = budget_usd - spent_wei * usd_per_wei(self.by_worth())
            if left_usd <= 0:
                raise OctaPlanError(f"the budget of {budget_usd:g} USD is spent: raise it to go on (max_cost_usd)")
            budget_usd = left_usd

        def within(seconds: float | None) -> Plan:
            return plan_batch(
                self.ranking,
                scene,
                max_machines=self.batch.max_machines,
                finish_within_s=seconds,
                max_cost_usd=budget_usd,
                confidence=self.batch.confidence,
                measured=measured,
            )

        if longest_s is None:
            return within(left_s)
        if left_s is not None:
            return within(min(left_s, longest_s))
        # It is a limit and no wish: what ends in time anyhow is planned as if there were none.
        plan = within(None)
        return plan if plan.chosen is None or plan.chosen.finish_s.p90 <= longest_s else within(longest_s)


def requirements_of(batch: Batch) -> Requirements:
    """Which machines fit a batch.

    Args:
        batch: what is rendered.
    """
    asked = batch.requirements
    return asked if asked.disk_gb is not None else replace(asked, disk_gb=batch.disk_gb)


def scene_of(batch: Batch, frames: int, scene_bytes: int, measured: Measured | None) -> SceneEstimate | None:
    """What is known of the work; None when nothing tells what a frame takes.

    Args:
        batch: what is rendered.
        frames: how many are left.
        scene_bytes: what is sent to each machine.
        measured: what the first machine has told, if it has.
    """
    if measured is not None and measured.seconds:
        return SceneEstimate.measured(
            frames,
            [max(0.001, seconds) for seconds in measured.seconds],
            score=measured.score,
            load_s=measured.load_s,
            first_frame_s=measured.first_frame_s,
            scene_bytes=scene_bytes,
            frame_bytes=measured.frame_bytes,
            **({} if measured.uplink_mbps is None else {"uplink_mbps": max(0.001, measured.uplink_mbps)}),
        )
    if batch.seconds_per_frame is None:
        return None
    return SceneEstimate(frames, batch.seconds_per_frame, scene_bytes=scene_bytes)


def speeds_seen(folder: BatchFolder) -> dict[int, tuple[int, float]]:
    """By node, how many frames it has rendered, in how many seconds."""
    seen: dict[int, list[float]] = {}
    for node_id, seconds, _ in folder.seconds_seen():
        seen.setdefault(node_id, []).append(seconds)
    return {node_id: (len(seconds), max(0.001, fmean(seconds)) * len(seconds)) for node_id, seconds in seen.items()}
