"""What a batch would cost, for whoever approves it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider.connection_form import DEFAULT_CONN_ID
from airflow_provider.exceptions import OctaTaskKilledError
from airflow_provider.links import BATCH_LINKS
from airflow_provider.rental_key import rental_key
from airflow_provider.running_batch import RunsBatch
from airflow_provider.templated import as_flag, check_known
from octa_provider.errors import OctaCancelledError, OctaError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from octa_provider.batch.batch import Batch
    from octa_provider.batch.check import Check
    from octa_provider.batch.renderers.renderer import Renderer
    from octa_provider.market.requirements import Requirements
    from octa_provider.render.frames import Frames

__all__ = ["OctaPlanRenderOperator"]


class OctaPlanRenderOperator(RunsBatch):
    """Quote a batch: how many machines, what it costs, when it is done; `OctaRenderAnimationOperator` keeps to it.

    Nothing is rented, unless `measure` asks for it: then one machine renders the first, the middle and the last frame,
    which are kept, and the plan is made of that. What was measured into the output folder before, by this or an
    earlier run, is not measured again. The output folder is tried before, and marked, so that the render finds out
    when its worker sees another one.

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
        finish_within_s: the deadline, in seconds from the start of the render; None takes the time that costs least.
        max_cost_usd: never more than this for the whole batch, what was measured included, in USD.
        confidence: how sure the deadline and the budget are to hold when the plan is made, 0.5 to 0.99.
        max_failed_frames: go on although so many frames were given up.
        tries_per_frame: tries for each frame, each on another machine.
        seconds_per_frame: what a frame takes on average on a machine of the median score, in seconds, where it is
            known; else it has to be measured.
        on_changed: `refuse` frames in the output folder that are of another scene, or `replace` them.
        order: `forward`, `backward`, or `spread`: first those that are far apart.
        disk_gb: disk of each machine, in GB.
        ready_timeout_s: seconds for a machine to come up.
        max_duration_s: all machines are stopped when the first one of the try has been rented for so many seconds;
            plans that would take longer are refused. None for no such cap.
        wait_for_machine_s: seconds to wait, in all, while none of its machines is there and none fits or has room; 0
            fails at once. It waits on its worker.
        labels: words of your own on each machine's session, such as `{"project": "atlas"}`, to find it and to split a
            bill by. Whoever has the account's key, and the machines' owners, read them: no secrets.
        measure: True rents one machine, and bills, where nothing tells yet what a frame takes.
        poll_interval: seconds between two looks at that machine.
        octa_conn_id: the connection.
        kwargs: as of every operator.

    Returns (XCom): the quote, a few kilobytes whatever is on the market: `frames`, `chosen` (the line that the render
        follows: `machines`, `cost_p50_usd`, `cost_p90_usd`, `cost_most_usd`, `finish_p50_s`, ...), `options` (all lines
        that can be met), `unmet`, `refusals`, ...; and `text` (one sentence), `markdown` (a table for an approval),
        `output` and `mark` (the folder), `scene`.

    Raises:
        ValueError: when the DAG file is parsed: an argument that can never work.
        AirflowFailException: a failure that no retry can mend: nothing tells what a frame takes, no plan meets the
            deadline or the budget, the scene can't be rendered.
        OctaTaskError: any other failure, see `airflow_provider.exceptions`. Nothing runs any more.

    Example:
        >>> plan = OctaPlanRenderOperator(task_id="plan", scene="/studio/shot.blend", frames="1-240",
        ...     output="/studio/shot", finish_within_s=2 * 3600, measure=True)
    """

    template_fields: Sequence[str] = (*RunsBatch.template_fields, "measure")
    operator_extra_links = BATCH_LINKS
    ui_color = "#fdf1cf"

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
        measure: bool | str = False,
        poll_interval: float | str = 5.0,
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
        self.measure = measure
        self.check_known_arguments()

    def check_known_arguments(self) -> None:
        """As of every operator that describes a batch; and whether it measures."""
        super().check_known_arguments()
        check_known(self, measure=lambda value: as_flag("measure", value))

    def execute(self, context: Context) -> dict[str, Any]:
        """Measure where that is asked for, and quote."""
        from airflow_provider.batch_on_worker import BatchTask, only_our_lines, same_folder

        client = self.connect(context)
        batch: Batch | None = None
        try:
            try:
                batch = self.batch()
                mark = same_folder(context, batch)
                task = BatchTask(self, context, batch, None, {})
                task.link()
                if as_flag("measure", self.measure):
                    from airflow_provider.batch_log import BatchLog

                    options = self.run_options(BatchLog(self.log).event)
                    with only_our_lines():
                        client.batches.measure(batch, rental_key(context), **options)
                switch = self.kill_switch
                quote = client.batches.quote(
                    batch,
                    is_cancelled=lambda: switch is not None and switch.pulled,
                    on_waiting=lambda text: self.log.info("%s", text[:1].upper() + text[1:]),
                )
            except OctaCancelledError as error:
                raise OctaTaskKilledError("The task was killed; its machine is stopped.") from error
            except (OctaError, ValueError) as error:
                self.fail(error, client, batch)
        except BaseException as error:
            self.leave_nothing(error, client, context)
            raise
        self.log.info("%s", quote.text)
        for why in quote.unmet:
            self.log.info("Can't be met: %s", why)
        return {
            **quote.to_dict(),
            "text": quote.text,
            "markdown": quote.markdown(),
            "scene": str(batch.scene_path),
            "output": str(task.layout.output),
            "mark": mark,
        }
