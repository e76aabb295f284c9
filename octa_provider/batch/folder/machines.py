"""What the journal tells of the machines of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field

from octa_provider.batch.folder.work import Spans

__all__ = ["MachineRecord"]


@dataclass
class MachineRecord:
    """One rental of a batch.

    Attributes:
        slot: its number in the batch.
        node_id: the machine.
        key: its rental key, whole; empty where the journal has lost it.
        uuid: its session; None while that is not known.
        price_wei: wei per hour.
        price_usd: the same in USD.
        score: the machine's, in the unit of the plan.
        spans: how its time went.
        has_ended: whether it has ended.
        charge_wei: what was charged, in wei; None where the API does not tell.
        charge_usd: the same in USD.
        duration_s: seconds it ran.
        why: why it ended.
        refused: how many frames of it were refused.
    """

    slot: int
    node_id: int
    key: str = ""
    uuid: str | None = None
    price_wei: int | None = None
    price_usd: float | None = None
    score: float | None = None
    spans: Spans = field(default_factory=Spans)
    has_ended: bool = False
    charge_wei: int | None = None
    charge_usd: float | None = None
    duration_s: float | None = None
    why: str = ""
    refused: int = 0

    def usd(self, wei: int) -> float | None:
        """An amount in USD, for display, at the price that the machine was rented for.

        Args:
            wei: the amount.
        """
        if self.charge_wei and self.charge_usd is not None:
            return wei / self.charge_wei * self.charge_usd
        if self.price_wei and self.price_usd is not None:
            return wei / self.price_wei * self.price_usd
        return None
