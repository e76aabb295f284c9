"""Render an animation over many rented machines, and leave nothing running, whatever happens."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, TaskDeferred, conf

from airflow_provider.connection_form import DEFAULT_CONN_ID
from airflow_provider.exceptions import OctaBatchBusyError, OctaUnwatchedError
from airflow_provider.lineage.batch_machines import add_machines, note_what_it_cost
from airflow_provider.lineage.run_bill import RunBill
from airflow_provider.lineage.tells_lineage import MadeFiles
from airflow_provider.links import BATCH_LINKS
from airflow_provider.lost_clear import no_clear_lost
from airflow_provider.rental_key import rental_key
from airflow_provider.running_batch import RunsBatch
from airflow_provider.stop_on_failure import tell_which_batch_may_run
from airflow_provider.task_deadline import task_deadline_at
from airflow_provider.templated import check_known, checked_deadline, refuse_text_flags
from airflow_provider.try_note import note_try
from octa_provider.errors import OctaConfigError, OctaError
from octa_provider.text.quantities import counted, shown_duration

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider import OctaClient
    from octa_provider.batch.batch import Batch
    from octa_provider.batch.check import Check
    from octa_provider.batch.events import BatchEvent
    from octa_provider.batch.renderers.renderer import Renderer
    from octa_provider.batch.result import BatchResult
    from octa_provider.market.requirements import Requirements
    from octa_provider.render.frames import Frames

__all__ = ["OctaRenderAnimationOperator"]

#: Airflow's own limit of a wait, which calls nobody back, comes so much later than the time at which a worker is to
#: look after the batch, or than the end of `execution_timeout`.
_LATER_S = 1800.0
_LATER_THAN_TIMEOUT_S = 600.0
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 3600.0


class OctaRenderAnimationOperator(RunsBatch):
    """Render the frames that are missing, each one checked, on as many machines as the plan says.

    One task holds one worker slot, however many machines render; with `deferrable` none while they all have work: the
    triggerer watches them, and a worker comes back when one has ended, or nears the end of its work. A retry, a cleared
    task, and the try after a worker that vanished go on with what lies in the output folder and with what still runs:
    nothing is rendered twice. On every way out all machines of the batch are stopped.

    Args:
        scene: the scene's file, or the folder with it and all that it needs, on the worker.
        frames: a range such as `1-240` or `1-240x2`, or numbers; what lies in the output folder already is left out.
        output: the folder that gets the frames, on storage that every worker sees; made when missing.
        main: the scene's file within a folder, such as `shot.blend`; needed where the folder holds several.
        renderer: what renders: `blender(...)`, `Renderer(...)`, or a mapping of the arguments of either (with `command`
            it is of `Renderer`); Blender when left out.
        requirements: which machines, as a mapping or `Requirements`.
        check: when a frame is whole, as a mapping or `Check`.
        max_machines: at most so many at once.
        finish_within_s: the deadline, in seconds from the start of the try; None takes the time that costs least.
        max_cost_usd: never more than this for the whole batch, earlier tries included, in USD.
        confidence: how sure the deadline and the budget are to hold when the plan is made, 0.5 to 0.99.
        max_failed_frames: go on although so many frames were given up.
        tries_per_frame: tries for each frame, each on another machine.
        seconds_per_frame: what a frame takes on average on a machine of the median score, in seconds, where it is
            known; else it is measured.
        on_changed: `refuse` frames in the output folder that are of another scene, or `replace` them.
        order: `forward`, `backward`, or `spread`: first those that are far apart.
        disk_gb: disk of each machine, in GB.
        ready_timeout_s: seconds for a machine to come up.
        max_duration_s: all machines are stopped when the first one of the try has been rented for so many seconds;
            plans that would take longer are refused. None for no such cap.
        wait_for_machine_s: seconds to wait, in all, while none of its machines is there and none fits or has room; 0
            fails at once. With `deferrable` the triggerer waits.
        labels: words of your own on each machine's session, such as `{"project": "atlas"}`, to find it and to split a
            bill by. Whoever has the account's key, and the machines' owners, read them: no secrets.
        quote: what `OctaPlanRenderOperator` returned: the batch never costs more than its "at most", and nothing is
            rented where today's market can't keep it, where the scene changed since, or where this worker sees another
            output folder. None asks nobody.
        poll_interval: seconds between two looks at a machine.
        deferrable: whether to wait in the triggerer; Airflow's `[operators] default_deferrable` when left out.
        min_pause_s: a worker lets go of its slot only for at least so many seconds, 10 to 3600.
        octa_conn_id: the connection.
        kwargs: as of every operator.

    Returns (XCom): totals, never frames: `outcome`, `frames`, `done`, `rendered` (by this try), `missing` (a range),
        `message`, `cost_wei` (as text, of the whole batch), `cost_usd`, `planned_cost_usd` (the middle, and nine times
        in ten), `quoted_cost_p50_usd`, `quoted_cost_p90_usd`, `quoted_cost_most_usd`, `seconds`, `machines`, `output`,
        `manifest` and `sheet` (paths; no sheet without the extra `pictures`). The same lies under `batch`, of a batch
        that failed too. An outlet asset gets `output`, `frames`, `done`, `cost_wei`, `cost_usd`, `manifest`, `sheet`.

    Raises:
        ValueError: when the DAG file is parsed: an argument that can never work.
        AirflowFailException: a failure that no retry can mend: a wrong argument, a scene that can't be rendered or was
            changed, a quote that can't be kept, the budget.
        OctaBatchIncompleteError: frames are missing; which is in the message. Another try goes on.
        OctaBatchBusyError: another process renders into the output folder.
        AirflowTaskTimeout: `execution_timeout` was over while the task was deferred; all machines were stopped.
        OctaTaskError: any other failure, see `airflow_provider.exceptions`. Nothing runs any more.

    Example:
        >>> render = OctaRenderAnimationOperator(task_id="render", scene="/studio/shot.blend", frames="1-240",
        ...     output="/studio/shot", quote=plan.output, max_cost_usd=5, retries=2)
    """

    template_fields: Sequence[str] = (*RunsBatch.template_fields, "quote", "min_pause_s")
    mapping_fields: ClassVar[frozenset[str]] = RunsBatch.mapping_fields | {"quote"}
    operator_extra_links = BATCH_LINKS
    ui_color = "#d9e6fb"

    def __init__(
        self,
        *,
        scene: str | os.PathLike[str],
        frames: str | Frames | Iterable[int],
        output: str | os.PathLike[str],
        main: str | None = None,
        renderer: Renderer | Mapping[str, Any] | None = None,
        requirements: Requirements | Mapping[str, Any] | None = None,
        check: Check | Mapping[str, Any] | None = None,
        max_machines: int | str = 10,
        finish_within_s: float | str | None = None,
        max_cost_usd: float | str | None = None,
        confidence: float | str = 0.9,
        max_failed_frames: int | str = 0,
        tries_per_frame: int | str = 3,
        seconds_per_frame: float | str | None = None,
        on_changed: str = "refuse",
        order: str = "forward",
        disk_gb: int | str = 20,
        ready_timeout_s: float | str = 900.0,
        max_duration_s: float | str | None = None,
        wait_for_machine_s: float | str = 0.0,
        labels: Mapping[str, str] | None = None,
        quote: Mapping[str, Any] | str | None = None,
        poll_interval: float | str = 5.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        min_pause_s: float | str = 120.0,
        octa_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            scene=scene,
            frames=frames,
            output=output,
            main=main,
            renderer=renderer,
            requirements=requirements,
            check=check,
            max_machines=max_machines,
            finish_within_s=finish_within_s,
            max_cost_usd=max_cost_usd,
            confidence=confidence,
            max_failed_frames=max_failed_frames,
            tries_per_frame=tries_per_frame,
            seconds_per_frame=seconds_per_frame,
            on_changed=on_changed,
            order=order,
            disk_gb=disk_gb,
            ready_timeout_s=ready_timeout_s,
            max_duration_s=max_duration_s,
            wait_for_machine_s=wait_for_machine_s,
            labels=labels,
            poll_interval=poll_interval,
            octa_conn_id=octa_conn_id,
            **kwargs,
        )
        self.quote = quote
        self.deferrable = deferrable
        self.min_pause_s = min_pause_s
        self.check_known_arguments()

    def check_known_arguments(self) -> None:
        """As of every operator that describes a batch; and for how long it may be let alone."""
        super().check_known_arguments()
        refuse_text_flags(deferrable=self.deferrable)
        check_known(self, min_pause_s=_checked_pause)

    #: Frames that came while this process looked.
    _accepted = 0

    def execute(self, context: Context) -> dict[str, Any]:
        """Render, or go on with what an earlier try has left; then wait here, or defer."""
        self.run_bill = RunBill()
        client = self.connect(context)
        try:
            with no_clear_lost(context["ti"]):
                return self._go_on(context, client, {}, may_pause=self.deferrable)
        except BaseException as error:
            self.leave_nothing(error, client, context)
            self._note_cost(error, client, context, {})
            raise

    def execute_resumed(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do what the trigger came back for."""
        told = event or {"what": "unwatched", "message": "the trigger told nothing"}
        earlier, self.run_bill = told.get("carried_on") or {}, RunBill()
        if event and ("carried_on" not in event or earlier.get("key") not in {None, rental_key(context)}):
            # As of `airflow_provider.job_event`.
            self.log.warning("The triggerer answered with what another task waits for: going on with this one's batch")
            told, earlier = {"what": "due"}, {}
        try:
            client = self.connect(context)
        except Exception:
            tell_which_batch_may_run(rental_key(context), earlier.get("namespace"))
            raise
        try:
            if told["what"] == "deadline":
                raise AirflowTaskTimeout(f"The batch did not end within {self.execution_timeout}; it was stopped.")
            if told["what"] == "gone":
                self.log.info("Session %s has ended: going on without it", told.get("uuid"))
            if told["what"] == "unwatched":
                self.log.warning("The triggerer can't watch the batch, so this worker does: %s", told.get("message"))
            with no_clear_lost(context["ti"]):
                return self._go_on(context, client, earlier, may_pause=told["what"] != "unwatched")
        except BaseException as error:
            self.leave_nothing(error, client, context)
            self._note_cost(error, client, context, earlier)
            raise

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As every operator; but when Airflow itself ended the wait, it would call nothing else: stop first."""
        if next_method == "__fail__":
            try:
                client, self.run_bill = self.connect(context), RunBill()
                error = OctaUnwatchedError("the wait was ended")
                self.leave_nothing(error, client, context)
                self._note_cost(error, client, context, {})
            except Exception as failed:  # noqa: BLE001 - whatever it is, the task's own error must not be lost
                tell_which_batch_may_run(rental_key(context), why=f"{type(failed).__name__}: {failed}")
        return super().resume_execution(next_method, next_kwargs, context)

    def lineage_outputs(self) -> Iterable[MadeFiles]:
        """The folder of the frames, with how many of them are there; nothing as long as there is none."""
        bill = self.run_bill
        return (
            () if bill is None or not bill.frames or not bill.frames["done"] else ((bill.folder, bill.frames["done"]),)
        )

    def _lineage(self, *, has_ended: bool) -> Any:
        if has_ended and self.run_bill is not None and self.run_bill.manifest is not None:
            # Here, beside the task: a folder far away may take its time.
            add_machines(self.run_bill, Path(self.run_bill.manifest))
        return super()._lineage(has_ended=has_ended)

    def _note_cost(
        self, error: BaseException, client: OctaClient, context: Context, earlier: Mapping[str, Any]
    ) -> None:
        """What the batch has come to until it was ended by an error; one that has ended by itself has told it."""
        bill = self.run_bill
        if bill is None or bill.outcome is not None or isinstance(error, TaskDeferred | OctaBatchBusyError):
            return
        rendered = (earlier.get("rendered") or 0) + self._accepted
        note_what_it_cost(bill, client, Path(str(self.output_folder)).expanduser(), rental_key(context), rendered)

    def _go_on(
        self, context: Context, client: OctaClient, earlier: Mapping[str, Any], *, may_pause: bool
    ) -> dict[str, Any]:
        from airflow_provider.batch_log import BatchLog
        from airflow_provider.batch_on_worker import BatchTask, only_our_lines, quote_of, same_folder
        from octa_provider.batch.result import BatchOutcome

        switch = self.kill_switch
        assert switch is not None
        deadline_at = task_deadline_at(self.execution_timeout, context)
        batch: Batch | None = None
        try:
            batch, quote = self.batch(), quote_of(self.quote)
            pause_s = _checked_pause(self.min_pause_s)
            told: Mapping[str, Any] = self.quote if isinstance(self.quote, Mapping) else {}
            task = BatchTask(self, context, batch, quote, earlier, self.run_bill or RunBill())
            if told.get("output") not in {None, str(task.layout.output)}:
                raise OctaConfigError(
                    f"the quote is of the output folder {told['output']}, and not of {task.layout.output}: give both "
                    "steps the same"
                )
            mark = same_folder(context, batch, told.get("mark"), earlier.get("mark"))
            task.link()
            planned_usd = None if quote is None else quote.chosen.cost_p50_usd
            lines = BatchLog(self.log, planned_usd)

            def on_event(event: BatchEvent) -> None:
                task.event(event)
                self._accepted += event.kind == "frame accepted"
                lines.event(event)

            options = self.run_options(on_event, deadline_at)
            finish_at = earlier.get("finish_at")
            if finish_at is None and batch.finish_within_s is not None:
                finish_at = time.time() + batch.finish_within_s
            if finish_at is not None:
                batch = replace(batch, finish_within_s=max(1.0, finish_at - time.time()))
            switch.refuse()
            with only_our_lines():
                result = client.batches.run(
                    batch, rental_key(context), quote=quote, pause_s=pause_s if may_pause else None, **options
                )
        except (OctaError, ValueError) as error:
            self.fail(error, client, batch)
        if result.outcome is BatchOutcome.PAUSED:
            switch.refuse()
            so_far = {"mark": mark, "finish_at": finish_at, "namespace": client.namespace}
            so_far["key"] = rental_key(context)
            self._defer(context, batch, result, deadline_at, so_far | task.so_far(result))
        switch.concluded = True
        if result.outcome is BatchOutcome.CANCELLED and not switch.pulled and deadline_at is not None:
            raise AirflowTaskTimeout(f"The batch did not end within {self.execution_timeout}; it was stopped.")
        return task.conclude(result, is_killed=switch.pulled)

    def _defer(
        self,
        context: Context,
        batch: Batch,
        result: BatchResult,
        deadline_at: float | None,
        carried_on: Mapping[str, Any],
    ) -> NoReturn:
        from airflow_provider.triggers.batch import OctaBatchTrigger
        from octa_provider.batch.run.market import requirements_of

        # For a trigger that is ended: whether another try has begun meanwhile.
        note_try(context["ti"])
        renders = counted(len(result.sessions), "machine renders", "machines render")
        self.log.info(
            "%d of %s done; %s while this task waits without a slot, for up to %s",
            result.done,
            counted(result.frames, "frame"),
            f"{renders} on" if result.sessions else "no machine is to be had",
            shown_duration(result.wake_after_s),
        )
        wake_at = time.time() + result.wake_after_s
        given_up_at = wake_at + _LATER_S
        if deadline_at is not None:
            given_up_at = min(given_up_at, deadline_at + _LATER_THAN_TIMEOUT_S)
        self.defer(
            trigger=OctaBatchTrigger(
                octa_conn_id=self.octa_conn_id,
                sessions=result.sessions,
                wake_at=wake_at,
                paid_until=None if result.paid_for_s is None else time.time() + result.paid_for_s,
                deadline_at=deadline_at,
                poll_interval=checked_deadline(self.poll_interval, "poll_interval", 5),
                namespace=self._settings.namespace,
                carried_on=carried_on,
                requirements=None if result.sessions else _asked(requirements_of(batch)),
            ),
            method_name="execute_resumed",
            timeout=timedelta(seconds=max(1.0, given_up_at - time.time())),
        )
        raise AssertionError("unreachable: defer raises")


def _asked(requirements: Requirements) -> dict[str, Any]:
    """Requirements as a JSON value."""
    return asdict(requirements) | {"exclude_nodes": [*requirements.exclude_nodes]}


def _checked_pause(value: float | str) -> float:
    """A rendered `min_pause_s`, of the lengths that the core's pauses have."""
    known = checked_deadline(value, "min_pause_s", 120)
    if not _SHORTEST_PAUSE_S <= known <= _LONGEST_PAUSE_S:
        raise OctaConfigError(f"min_pause_s={value!r}: give 10 to 3600 seconds; nobody is let alone for longer.")
    return known
