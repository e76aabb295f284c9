"""The arguments by which an operator chooses a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider.machine_requirements import REQUIREMENT_FIELDS, check_requirements, to_requirements
from airflow_provider.rendering import RendersWhatIsWritten

if TYPE_CHECKING:
    from octa_provider.market.requirements import Requirements

__all__ = ["ChoosesMachine"]

_ARGUMENTS = tuple(name for name in REQUIREMENT_FIELDS if name != "disk_gb")
_ATTRIBUTES = tuple("machine_node_id" if name == "node_id" else name for name in _ARGUMENTS)


class ChoosesMachine(RendersWhatIsWritten):
    """What every operator that rents has in common: which machine it takes.

    Args:
        node_id: this machine and no other.
        gpu_model: part of the card's name, in any case, such as `4090`; or a list, of which one will do.
        gpu_count: at least so many cards.
        gpu_memory_gb: at least so much memory on each card, in GB.
        memory_gb: at least so much main memory, in GB.
        cpu_cores: at least so many cores.
        max_price_usd: at most so much, in USD per hour.
        country: ISO code or name; or a list, of which one will do.
        min_blender_score: at least this Blender benchmark score.
        min_reliability: at least this share of its sessions ended as they should, in percent.
        exclude_nodes: machines not to take.
        order_by: `price` (default), `blender_score` or `score_per_usd`.
        requirements: the same as a mapping or `Requirements`; single arguments win over it.
        kwargs: as of every operator.
    """

    template_fields: Sequence[str] = ("requirements", *_ATTRIBUTES)
    mapping_fields: ClassVar[frozenset[str]] = frozenset({"requirements"})

    def __init__(
        self,
        *,
        node_id: int | str | None = None,
        gpu_model: str | Sequence[str] | None = None,
        gpu_count: int | str | None = None,
        gpu_memory_gb: float | str | None = None,
        memory_gb: float | str | None = None,
        cpu_cores: int | str | None = None,
        max_price_usd: float | str | None = None,
        country: str | Sequence[str] | None = None,
        min_blender_score: float | str | None = None,
        min_reliability: float | str | None = None,
        exclude_nodes: Sequence[int] | str | None = None,
        order_by: str | None = None,
        requirements: Requirements | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # `node_id` itself is taken: Airflow calls every task so in its graph.
        self.machine_node_id = node_id
        self.gpu_model = gpu_model
        self.gpu_count = gpu_count
        self.gpu_memory_gb = gpu_memory_gb
        self.memory_gb = memory_gb
        self.cpu_cores = cpu_cores
        self.max_price_usd = max_price_usd
        self.country = country
        self.min_blender_score = min_blender_score
        self.min_reliability = min_reliability
        self.exclude_nodes = exclude_nodes
        self.order_by = order_by
        self.requirements = requirements

    def _requirement_arguments(self) -> dict[str, Any]:
        return {name: getattr(self, field) for name, field in zip(_ARGUMENTS, _ATTRIBUTES, strict=True)}

    def check_known_arguments(self) -> None:
        """Refuse what can never work, as far as it is known when the DAG file is parsed. The end of each `__init__`.

        Raises:
            ValueError: naming the argument and what to do.
        """
        check_requirements(self.requirements, self._requirement_arguments())

    def _requirements(self) -> Requirements:
        """The core's requirements, from rendered arguments.

        Raises:
            ValueError: naming the argument and what to do.
        """
        return to_requirements(self.requirements, self._requirement_arguments())
