"""Render an animation over many rented machines, and leave nothing running, whatever happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider.links import BATCH_LINKS
from airflow_provider.rental_key import rental_key
from airflow_provider.running_batch import RunsBatch
from octa_provider.errors import OctaConfigError, OctaError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider import OctaClient
    from octa_provider.batch.batch import Batch

__all__ = ["OctaRenderAnimationOperator"]


class OctaRenderAnimationOperator(RunsBatch):
    """Render the frames that are missing, each one checked, on as many machines as the plan says.

    One task holds one worker slot, however many machines render. A retry, a cleared task, and the try after a worker
    that vanished go on with what lies in the output folder and with what still runs: nothing is rendered twice. On
    every way out all machines of the batch are stopped.

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
        quote: what `OctaPlanRenderOperator` returned: the batch never costs more than its "at most", and nothing is
            rented where today's market can't keep it, where the scene changed since, or where this worker sees another
            output folder. None asks nobody.
        poll_interval: seconds between two looks at a machine.
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
        OctaTaskError: any other failure, see `airflow_provider.exceptions`. Nothing runs any more.

    Example:
        >>> render = OctaRenderAnimationOperator(task_id="render", scene="/studio/shot.blend", frames="1-240",
        ...     output="/studio/shot", quote=plan.output, max_cost_usd=5, retries=2)
    """

    template_fields: Sequence[str] = (*RunsBatch.template_fields, "quote")
    operator_extra_links = BATCH_LINKS
    ui_color = "#d9e6fb"

    def __init__(self, *, quote: Mapping[str, Any] | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quote = quote
        self.check_known_arguments()

    def execute(self, context: Context) -> dict[str, Any]:
        """Render, or go on with what an earlier try has left."""
        client = self.connect(context)
        try:
            return self._render(context, client, {})
        except BaseException as error:
            self.leave_nothing(error, client, context)
            raise

    def _render(self, context: Context, client: OctaClient, earlier: Mapping[str, Any]) -> dict[str, Any]:
        from airflow_provider.batch_log import BatchLog
        from airflow_provider.batch_on_worker import BatchTask, only_our_lines, quote_of, same_folder

        switch = self.kill_switch
        assert switch is not None
        batch: Batch | None = None
        try:
            batch, quote = self.batch(), quote_of(self.quote)
            told: Mapping[str, Any] = self.quote if isinstance(self.quote, Mapping) else {}
            task = BatchTask(self, context, batch, quote, earlier)
            if told.get("output") not in {None, str(task.layout.output)}:
                raise OctaConfigError(
                    f"the quote is of the output folder {told['output']}, and not of {task.layout.output}: give both "
                    "steps the same"
                )
            same_folder(context, batch, told.get("mark"))
            task.link()
            planned_usd = None if quote is None else quote.chosen.cost_p50_usd
            options = self.run_options(BatchLog(self.log, planned_usd).event)
            switch.refuse()
            with only_our_lines():
                result = client.batches.run(batch, rental_key(context), quote=quote, **options)
        except (OctaError, ValueError) as error:
            self.fail(error, client, batch)
        switch.concluded = True
        return task.conclude(result, is_killed=switch.pulled)
