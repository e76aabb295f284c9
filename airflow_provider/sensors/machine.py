"""Wait until a machine that fits is on offer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider.failure import fail_task
from airflow_provider.hooks.octa import OctaHook
from airflow_provider.machine_arguments import ChoosesMachine
from airflow_provider.machine_wait import WAIT_EVENTS
from airflow_provider.soft_fail import fails_softly
from airflow_provider.task_deadline import task_deadline_at
from airflow_provider.templated import check_known, refuse_text_flags
from octa_provider.errors import OctaConfigError, OctaError, OctaNoMachineError
from octa_provider.rental.json_values import machine_json

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider.market.requirements import Requirements

__all__ = ["OctaMachineAvailableSensor"]

#: Airflow's own limit of a wait comes so much later than ours.
_LATER_S = 600.0
_CATALOGUES = ("mr", "render")


class OctaMachineAvailableSensor(ChoosesMachine, BaseSensorOperator):
    """Wait until a machine that fits is on offer: in either mode (`poke`, `reschedule`), or deferred. Rents nothing.

    What is on offer may be taken before the next task asks for it, and some that is on offer is full: whoever has to
    have a machine gives `wait_for_machine_s` to the task that starts it. This sensor holds back what comes before that,
    such as a download. Outages of the API only slow it down.

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
        poke_interval: seconds between two looks; default 15.
        timeout: seconds until it is too late; default a day.
        deferrable: whether to wait in the triggerer, where all share one request per interval; Airflow's
            `[operators] default_deferrable` when left out.
        octa_conn_id: the connection.
        kwargs: as of every sensor, such as `mode` and `soft_fail`.

    Returns (XCom): the best machine, as a dict of `OctaMachinesOperator`.

    Raises:
        ValueError: when the DAG file is parsed: an argument that can never work.
        AirflowSensorTimeout: it was too late.
        AirflowFailException: the API refused the key.

    Example:
        >>> free = OctaMachineAvailableSensor(task_id="free", gpu_model="4090", max_price_usd=0.6, deferrable=True)
    """

    template_fields: Sequence[str] = (*ChoosesMachine.template_fields, "service", "octa_conn_id")
    ui_color = "#fdf3d0"

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
        poke_interval: float = 15.0,
        timeout: float = 24 * 3600.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
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
            poke_interval=poke_interval,
            timeout=timeout,
            **kwargs,
        )
        self.service = service
        self.octa_conn_id = octa_conn_id
        self.deferrable = deferrable
        self.check_known_arguments()

    def check_known_arguments(self) -> None:
        """As of every operator that chooses machines; and which catalogue."""
        super().check_known_arguments()
        refuse_text_flags(deferrable=self.deferrable)
        check_known(self, service=_checked_service)

    def execute(self, context: Context) -> Any:
        """Wait here, or defer."""
        if not self.deferrable:
            return super().execute(context)
        try:
            seen = self.poke(context)
        except AirflowFailException as error:
            if not fails_softly(self):
                raise
            raise AirflowSkipException(str(error)) from error
        return seen.xcom_value if isinstance(seen, PokeReturnValue) else self._defer(context)

    def execute_resumed(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Take what the trigger saw."""
        event = event or {"what": "unseen", "message": "the trigger told nothing"}
        if event["what"] not in WAIT_EVENTS:
            self.log.warning("The triggerer answered with what another task waits for: waiting on")
            return self.execute(context)
        if event["what"] == "machine":
            return event["machine"]
        if event["what"] == "no machine":
            raise AirflowSensorTimeout(f"No machine was on offer in time: {event['message']}")
        self.log.warning("The triggerer can't look at the market, so this worker does: %s", event["message"])
        return super().execute(context)

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once."""
        from octa_provider.rental.market_look import machines_that_fit
        from octa_provider.timing.asking import is_transient

        try:
            client, service = OctaHook(self.octa_conn_id).get_conn(), _checked_service(self.service)
            best = machines_that_fit(client, service, self._requirements())[0]
        except OctaNoMachineError as error:
            self.log.info("%s", error)
            return False
        except (OctaError, ValueError) as error:
            if not is_transient(error):
                fail_task(error)
            self.log.warning("The market could not be read, looking again later: %s", error)
            return False
        machine = machine_json(best)  # type: ignore[arg-type]
        self.log.info("Node %s is on offer", machine["node_id"])
        return PokeReturnValue(is_done=True, xcom_value=machine)

    def _defer(self, context: Context) -> NoReturn:
        from airflow_provider.triggers.machine import OctaMachineTrigger

        now = time.time()
        until = now + self.timeout
        if (task_deadline := task_deadline_at(self.execution_timeout, context)) is not None:
            until = min(until, task_deadline)
        requirements = self._requirements()
        self.defer(
            trigger=OctaMachineTrigger(
                octa_conn_id=self.octa_conn_id,
                service=_checked_service(self.service),
                requirements=asdict(requirements) | {"exclude_nodes": [*requirements.exclude_nodes]},
                began_at=now,
                until=until,
                poll_interval=self.poke_interval,
                namespace=OctaHook(self.octa_conn_id).settings.namespace,
            ),
            method_name="execute_resumed",
            # Only for a triggerer that never runs it.
            timeout=timedelta(seconds=max(0.0, until - now) + _LATER_S),
        )
        raise AssertionError("unreachable: defer raises")


def _checked_service(service: str) -> str:
    if service not in _CATALOGUES:
        raise OctaConfigError(f"service={service!r} has no such catalogue: give {' or '.join(_CATALOGUES)}.")
    return service
