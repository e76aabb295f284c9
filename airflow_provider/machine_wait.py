"""A task that waits for a machine: on its worker, or in the triggerer, which sends it back when one is on offer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider.failure import fail_task
from airflow_provider.task_deadline import task_deadline_at

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from octa_provider import OctaClient
    from octa_provider.errors import OctaNoMachineError
    from octa_provider.market.requirements import Requirements

__all__ = ["WAIT_EVENTS", "MachineWait", "defer_for_machine"]

#: What `OctaMachineTrigger` tells.
WAIT_EVENTS = frozenset({"machine", "no machine", "unseen"})
#: Airflow's own limit of a wait comes so much later than ours.
_LATER_S = 600.0


@dataclass(frozen=True)
class MachineWait:
    """A wait for a machine.

    Attributes:
        began_at: Unix time at which it began.
        until: Unix time at which it is over.
        on_worker: whether the triggerer can't wait, so that the worker does.
    """

    began_at: float
    until: float
    on_worker: bool = False

    @classmethod
    def new(cls, wait_s: float, *, on_worker: bool) -> MachineWait:
        """One that begins now.

        Args:
            wait_s: seconds that it may take; one of none is over at once, wherever.
            on_worker: whether a worker waits.
        """
        now = time.time()
        return cls(now, now + wait_s, on_worker or not wait_s)

    @classmethod
    def told_by(cls, event: Mapping[str, Any] | None) -> MachineWait | None:
        """The wait that a trigger's event goes on with; None for an event of another kind.

        Args:
            event: as Airflow hands it over.
        """
        if event is None or event.get("what") not in WAIT_EVENTS or "until" not in event:
            return None
        return cls(float(event["began_at"]), float(event["until"]), event["what"] == "unseen")

    @property
    def core_wait_s(self) -> float:
        """Seconds that the core waits in this process: a task that can defer comes back instead."""
        return max(0.0, self.until - time.time()) if self.on_worker else 0.0


def defer_for_machine(
    operator: BaseOperator,
    context: Context,
    wait: MachineWait,
    error: OctaNoMachineError,
    *,
    client: OctaClient,
    octa_conn_id: str,
    service: str,
    requirements: Requirements,
    max_cost_usd: float | None,
    namespace: str | None,
) -> NoReturn:
    """Let the triggerer wait for a machine; the task comes back by `execute_resumed`, and starts on it.

    Args:
        operator: whose task waits.
        context: of the task.
        wait: how long.
        error: why nothing could be rented now.
        client: the API.
        octa_conn_id, service, requirements, max_cost_usd, namespace: as of `OctaMachineTrigger`.

    Raises:
        TaskDeferred: it is how a task defers.
        AirflowTaskTimeout: `execution_timeout` is over.
        OctaTaskError: the wait is over; it says how long it was.
    """
    from airflow_provider.triggers.machine import OctaMachineTrigger
    from octa_provider.market.node_memory import nodes_of
    from octa_provider.rental.machine_wait import machine_poll_s, too_late

    if wait.on_worker:
        # The core has waited, and says so.
        fail_task(error)
    now, until = time.time(), wait.until
    deadline_at = task_deadline_at(operator.execution_timeout, context)
    if deadline_at is not None:
        if now >= deadline_at:
            raise AirflowTaskTimeout(f"No machine was found within {operator.execution_timeout}: {error}")
        until = min(until, deadline_at)
    if now >= wait.until:
        fail_task(too_late(error, now - wait.began_at))
    nodes, ticks = nodes_of(client.account, client.clock), client.clock.monotonic()
    asked = {refusal.node_id for refusal in error.refusals if refusal.node_id is not None}
    operator.log.info("Waiting up to %.0f s for a machine: %s", until - now, error)
    operator.defer(
        trigger=OctaMachineTrigger(
            octa_conn_id=octa_conn_id,
            service=service,
            requirements=asdict(requirements) | {"exclude_nodes": [*requirements.exclude_nodes]},
            began_at=wait.began_at,
            until=until,
            poll_interval=machine_poll_s(wait.until - wait.began_at),
            max_cost_usd=max_cost_usd,
            refused=sorted(node_id for node_id in asked if not nodes.is_worth_asking(node_id, ticks)),
            namespace=namespace,
        ),
        method_name="execute_resumed",
        timeout=timedelta(seconds=until - now + _LATER_S),
    )
    raise AssertionError("unreachable: defer raises")
