"""Which machine to rent, as fields of a form: the same for job blocks and for work pools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from octa_provider.market.requirements import Requirements

__all__ = ["RequirementFields", "fields_of", "requirements_of"]


class RequirementFields(BaseModel):
    """The core's `Requirements` as fields with descriptions. Leave out what does not matter."""

    node_id: int | None = Field(default=None, title="Node", description="This machine and no other.")
    gpu_model: str | list[str] | None = Field(
        default=None,
        title="GPU Model",
        description="Part of the card's name, in any case, such as 4090; or several, of which one will do.",
    )
    gpu_count: int | None = Field(default=None, title="GPUs", description="At least so many cards.")
    gpu_memory_gb: float | None = Field(
        default=None, title="GPU Memory (GB)", description="At least so much memory on each card, in GB."
    )
    cpu_cores: int | None = Field(default=None, title="CPU Cores", description="At least so many cores.")
    memory_gb: float | None = Field(
        default=None, title="Memory (GB)", description="At least so much main memory, in GB."
    )
    free_disk_gb: float | None = Field(
        default=None, title="Free Disk (GB)", description="At least so much free disk on the machine, in GB."
    )
    max_price_usd: float | None = Field(
        default=None, title="Price Cap (USD/h)", description="At most so much, in USD per hour."
    )
    country: str | list[str] | None = Field(
        default=None,
        title="Country",
        description="ISO code or name of the country; or several, of which one will do.",
    )
    min_blender_score: float | None = Field(
        default=None, title="Blender Score", description="At least this Blender benchmark score."
    )
    min_reliability: float | None = Field(
        default=None,
        title="Reliability (%)",
        description="At least this share of its sessions ended as they should, in percent.",
    )
    exclude_nodes: list[int] = Field(default_factory=list, title="Not These Nodes", description="Machines not to take.")
    order_by: Literal["price", "blender_score", "score_per_usd"] = Field(
        default="price",
        title="Best First",
        description="Cheapest first, fastest first, or most speed per USD first.",
    )

    def requirements(self) -> Requirements:
        """The same for the core.

        Raises:
            OctaConfigError: a value that no machine could meet.
        """
        values: dict[str, Any] = {_of_core(name): getattr(self, name) for name in RequirementFields.model_fields}
        return Requirements(**values | {"exclude_nodes": tuple(self.exclude_nodes)})


def requirements_of(given: Mapping[str, Any] | Requirements | None) -> Requirements:
    """The core's requirements from what a task is given.

    Args:
        given: themselves, or a mapping of their fields; None for none.

    Raises:
        OctaConfigError: a field that they don't have, or a value that no machine could meet.
    """
    if given is None or isinstance(given, Requirements):
        return given or Requirements()
    return Requirements.from_mapping(given)


def fields_of(requirements: Requirements) -> dict[str, Any]:
    """The values of `RequirementFields` for the core's requirements.

    Args:
        requirements: the core's.
    """
    values = {name: getattr(requirements, _of_core(name)) for name in RequirementFields.model_fields}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _of_core(name: str) -> str:
    # Beside a job's disk_gb, the disk that it rents, the core's name would be that of two fields.
    return "disk_gb" if name == "free_disk_gb" else name
