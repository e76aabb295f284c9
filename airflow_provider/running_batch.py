"""What every task does that rents machines for a batch: connecting, being killed, and leaving nothing behind."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider.batch_arguments import DescribesBatch
from airflow_provider.exceptions import OctaBatchBusyError
from airflow_provider.failure import fail_task
from airflow_provider.kill_switch import KillSwitch
from airflow_provider.lineage.tells_lineage import TellsLineage
from airflow_provider.lost_clear import find_lost_clear
from airflow_provider.rental_key import rental_key
from airflow_provider.stop_on_failure import stop_batch_after
from airflow_provider.templated import check_known, checked_deadline
from octa_provider.errors import OctaError, OctaNoMachineError, OctaPlanError
from octa_provider.text.plain_text import plain_words
from octa_provider.text.quantities import counted

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider.connection_settings import ConnectionSettings
    from octa_provider import OctaClient
    from octa_provider.batch.batch import Batch

__all__ = ["RunsBatch"]

#: So many reasons why machines are not taken are told, the most frequent first.
MOST_REASONS = 5


class RunsBatch(DescribesBatch, TellsLineage):
    """The way of a task with a batch; the operator that is made of it sets how.

    Args:
        poll_interval: seconds between two looks at a machine.
        kwargs: the batch, as of `DescribesBatch`; and as of every operator.

    Attributes:
        kill_switch: made when the task runs; a kill pulls it.
    """

    template_fields: Sequence[str] = (*DescribesBatch.template_fields, "poll_interval")
    kill_switch: KillSwitch | None = None

    def __init__(self, *, poll_interval: float | str = 5.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.poll_interval = poll_interval

    def check_known_arguments(self) -> None:
        """As of every operator that describes a batch; and the pace of its looks."""
        super().check_known_arguments()
        check_known(self, poll_interval=lambda value: checked_deadline(value, "poll_interval", 5))

    def connect(self, context: Context) -> OctaClient:
        """Connect; from here on a kill stops what runs.

        Args:
            context: of the task that runs.

        Raises:
            OctaTaskError, AirflowFailException: the connection can't be used; see `fail_task`.
        """
        # What only a task that runs needs is imported here: DAG files are parsed over and over.
        from airflow_provider.hooks.octa import OctaHook

        try:
            hook = OctaHook(self.octa_conn_id)
            client = hook.get_conn()
        except (OctaError, ValueError) as error:
            fail_task(error)
        self._settings: ConnectionSettings = hook.settings
        self.kill_switch = KillSwitch(hook.settings, rental_key(context), is_batch=True)
        find_lost_clear(context["ti"])
        return client

    def lineage_inputs(self) -> Iterable[object]:
        """The scene."""
        return (self.scene,)

    def on_kill(self) -> None:
        """Stop all machines of the batch; see `airflow_provider.kill_switch`."""
        if self.kill_switch is not None:
            self.kill_switch.pull()

    def run_options(self, on_event: Callable[[Any], object], deadline_at: float | None = None) -> dict[str, Any]:
        """What every call of the core's batches is told, once `connect` was called.

        Args:
            on_event: told what happens.
            deadline_at: Unix time from which it is cancelled; None for never.

        Raises:
            ValueError: the pace leaves no time.
        """
        from octa_provider.batch.run.parts import Pacing

        switch = self.kill_switch
        assert switch is not None
        poll_s = checked_deadline(self.poll_interval, "poll_interval", 5)
        return {
            "private_key": self._settings.ssh_private_key,
            "on_event": on_event,
            "is_cancelled": lambda: switch.pulled or (deadline_at is not None and time.time() >= deadline_at),
            "pacing": Pacing(poll_s=poll_s, quiet_s=min(poll_s, Pacing.quiet_s)),
        }

    def fail(self, error: OctaError | ValueError, client: OctaClient, batch: Batch | None) -> NoReturn:
        """Raise Airflow's error for one of the core's; see `fail_task`.

        Args:
            error: what happened.
            client: the API.
            batch: what is rendered; None where that was what is wrong.

        Raises:
            OctaBatchBusyError: another process renders into the folder now.
            OctaTaskError, AirflowFailException: it is something else.
        """
        holder = "" if batch is None else _holder(client, batch)
        if holder:
            # Airflow takes a worker for dead that it does not hear of; what it renders is not to be stopped.
            raise OctaBatchBusyError(f"{error} ({holder})" if holder not in str(error) else str(error)) from error
        if batch is not None and isinstance(error, OctaNoMachineError | OctaPlanError):
            for reason, count in _refusals(client, batch, error).most_common(MOST_REASONS):
                self.log.warning("Not planned with: %s, %s", counted(count, "machine"), plain_words(reason))
        fail_task(error)

    def leave_nothing(self, error: BaseException, client: OctaClient, context: Context) -> None:
        """Stop what runs when the task fails or is killed; a task that defers has not failed.

        Args:
            error: what the task ends with.
            client: the API.
            context: of the task that runs.
        """
        switch = self.kill_switch
        if isinstance(error, TaskDeferred | OctaBatchBusyError) or (switch is not None and switch.concluded):
            return
        stop_batch_after(error, client, rental_key(context))


def _holder(client: OctaClient, batch: Batch) -> str:
    try:
        return client.batches.status(batch.output_path).running
    except OctaError:
        return ""


def _refusals(client: OctaClient, batch: Batch, error: OctaError | ValueError) -> Counter[str]:
    """Why machines are not taken, and how many each time."""
    try:
        refusals = (
            getattr(error, "refusals", ()) or client.batches.plan(replace(batch, wait_for_machine_s=0.0)).refusals
        )
    except OctaError:
        return Counter()
    return Counter(refusal.reason for refusal in refusals if refusal.node_id is not None)
