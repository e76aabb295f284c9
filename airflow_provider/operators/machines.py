"""Which machines are on offer: the catalogue as XCom, to choose from or to map over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider.failure import fail_task
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.machine_arguments import ChoosesMachine
from airflow_provider.templated import as_int, check_known, refuse_text_flags
from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.rental.json_values import machine_json

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider.market.requirements import Requirements

__all__ = ["OctaMachinesOperator"]

_CATALOGUES = ("mr", "render")


class OctaMachinesOperator(ChoosesMachine):
    """List machines that fit, best first.

    Between the listing and a start a machine can be taken by others: what starts on one of these has to name it by
    `node_id`, and fails when it is gone.

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
        service: the catalogue: `mr` (machines; default) or `render` (render workers).
        limit: at most so many.
        skip_if_none: True skips the task when no machine fits, and what comes after it; else it fails.
        octa_conn_id: the connection.
        kwargs: as of every operator.

    Returns (XCom): a list of dicts: `node_id`, `gpu_model`, `gpu_count`, `gpu_memory_gb`, `price_usd` (per hour),
        `price_wei` (as text), `country`, `blender_score`, `memory_gb`, `cpu_cores`, `free_disk_gb`.

    Raises:
        OctaTaskError: no machine fits; the message says why the others do not.
        AirflowSkipException: the same, with `skip_if_none`.

    Example:
        >>> machines = OctaMachinesOperator(task_id="machines", gpu_model="4090", limit=3)
        >>> OctaRunJobOperator.partial(task_id="test", image="alpine:3", command="nvidia-smi").expand(
        ...     node_id=machines.output.map(lambda machine: machine["node_id"]))
    """

    template_fields: Sequence[str] = (*ChoosesMachine.template_fields, "service", "limit", "octa_conn_id")
    ui_color = "#e8f0d8"

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
        service: str = "mr",
        limit: int | str | None = None,
        skip_if_none: bool = False,
        octa_conn_id: str = OctaHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            node_id=node_id,
            gpu_model=gpu_model,
            gpu_count=gpu_count,
            gpu_memory_gb=gpu_memory_gb,
            memory_gb=memory_gb,
            cpu_cores=cpu_cores,
            max_price_usd=max_price_usd,
            country=country,
            min_blender_score=min_blender_score,
            min_reliability=min_reliability,
            exclude_nodes=exclude_nodes,
            order_by=order_by,
            requirements=requirements,
            **kwargs,
        )
        self.service = service
        self.limit = limit
        self.skip_if_none = skip_if_none
        self.octa_conn_id = octa_conn_id
        self.check_known_arguments()

    def check_known_arguments(self) -> None:
        """As of every operator that chooses machines; and which catalogue, and how many of it."""
        super().check_known_arguments()
        refuse_text_flags(skip_if_none=self.skip_if_none)
        check_known(self, service=_checked_service, limit=_checked_limit)

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """List them."""
        from octa_provider.market.ranking import rank

        try:
            limit, requirements = _checked_limit(self.limit), self._requirements()
            services = OctaHook(self.octa_conn_id).get_conn().services
            catalogue = services.mr if _checked_service(self.service) == "mr" else services.render
            ranking = rank(catalogue.available(), requirements)
        except (OctaError, ValueError) as error:
            fail_task(error)
        if not ranking.machines:
            if not self.skip_if_none:
                fail_task(ranking.error())
            raise AirflowSkipException(str(ranking.error()))
        chosen = ranking.machines[:limit]
        self.log.info("%d machines fit, %d are returned", len(ranking.machines), len(chosen))
        return [machine_json(machine) for machine in chosen]


def _checked_service(service: str) -> str:
    if service not in _CATALOGUES:
        raise OctaConfigError(f"service={service!r} has no such catalogue: give {' or '.join(_CATALOGUES)}.")
    return service


def _checked_limit(limit: int | str | None) -> int | None:
    known = as_int("limit", limit)
    if known is not None and known < 1:
        raise OctaConfigError(f"limit={known} leaves nothing: give 1 or more, or leave it out.")
    return known
