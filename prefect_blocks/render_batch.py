"""`OctaRenderBatch`: how a house renders its batches, saved as a block: quotes, and renders."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from prefect.blocks.core import Block
from prefect.exceptions import MissingContextError
from prefect.logging.loggers import get_logger, get_run_logger
from pydantic import HttpUrl

from octa_provider.errors import OctaConfigError
from prefect_blocks.awaitable import awaitable_too
from prefect_blocks.batch_fields import BatchFields
from prefect_blocks.in_thread import run_in_thread
from prefect_blocks.known_names import KnownFields
from prefect_blocks.logo import LOGO_URL
from prefect_blocks.requirement_fields import RequirementFields

if TYPE_CHECKING:
    from prefect.blocks.abstract import LoggerOrAdapter

    from octa_provider.batch.batch import Batch

__all__ = ["OctaRenderBatch"]

#: Fields that are arguments of the core's `Batch` as they are.
_TERMS = (
    *("max_machines", "finish_within_s", "max_cost_usd", "confidence", "max_failed_frames", "tries_per_frame"),
    *("seconds_per_frame", "on_changed", "order", "disk_gb", "ready_timeout_s", "max_duration_s"),
    *("wait_for_machine_s", "labels"),
)


class OctaRenderBatch(KnownFields, RequirementFields, BatchFields, Block):
    """An animation over many rented machines: what renders it, on which machines, by when and for how much.

    Save the terms of a house once, and say scene, frames and output at each render. Of a batch that was begun only what
    is missing is rendered.

    Example:
        ```python
        from prefect_blocks import OctaRenderBatch

        batch = OctaRenderBatch.load("BLOCK_NAME")
        quote = batch.plan(scene="shot.blend", frames="1-240", output="/shared/shot")
        print(quote["text"])
        totals = batch.render(quote, scene="shot.blend", frames="1-240", output="/shared/shot")
        ```
    """

    _block_type_name = "OctaSpace Render Batch"
    _block_type_slug = "octaspace-render-batch"
    _logo_url = HttpUrl(LOGO_URL)
    _documentation_url = HttpUrl("https://octa.space")

    def batch(
        self, *, scene: str = "", frames: str = "", output: str = "", main: str = "", max_cost_usd: float | None = None
    ) -> Batch:
        """The same for the core.

        Args:
            scene, frames, output, main, max_cost_usd: instead of the saved ones.

        Raises:
            OctaConfigError: scene, frames or output is not said, or a value can't work; nothing was asked or spent.
        """
        asked = {"scene": scene or self.scene, "frames": frames or self.frames, "output": output or self.output}
        if missing := [name for name, value in asked.items() if not value]:
            raise OctaConfigError(f"say {' and '.join(missing)} of the batch: the block leaves that open")
        terms: dict[str, Any] = {name: getattr(self, name) for name in _TERMS}
        if max_cost_usd is not None:
            terms["max_cost_usd"] = max_cost_usd
        # A flow that takes another block does not load the planner and the renderers.
        from octa_provider.batch.batch import Batch
        from prefect_blocks.renderer_of import check_of, renderer_of

        return Batch(
            **asked,  # type: ignore[arg-type]
            main=main or self.main or None,
            renderer=renderer_of(self.renderer),
            check=check_of(self.check),
            requirements=self.requirements(),
            **terms,
        )

    @awaitable_too
    def plan(self, *, measure: bool = False, **asked: Any) -> dict[str, Any]:
        """What the batch would cost, as whoever approves it is shown it. Spends nothing, unless it measures.

        Args:
            measure: where nothing tells what a frame takes, rent one machine and render the first, the middle and the
                last frame; they are kept.
            asked: `scene`, `frames`, `output`, `main`, `max_cost_usd` instead of the saved ones.

        Returns:
            The core's `BatchQuote` as a JSON value, with `text` (one sentence), `markdown` (a table), `output` and
            `mark` (which folder it is). Hand it to `render` as it is.

        Raises:
            OctaPlanError, OctaNoMachineError: what is asked for can't be met; says why.
            OctaConfigError: a value that can't work, or nothing tells what a frame takes.
            OctaSceneError: the scene can't be rendered.
        """
        from prefect_blocks.batch_steps import quote_batch

        return quote_batch(self.batch(**asked), self.credentials, self.logger, measure=measure, poll_s=self.poll_s)

    async def aplan(self, *, measure: bool = False, **asked: Any) -> dict[str, Any]:
        """As `plan`, for coroutines; one that is cancelled has its machine stopped.

        Args:
            measure: as `plan`.
            asked: as `plan`.
        """
        return await run_in_thread(partial(self.plan, measure=measure, **asked))

    @awaitable_too
    def render(self, quote: Mapping[str, Any] | None = None, **asked: Any) -> dict[str, Any]:
        """Render the frames that are missing; every machine is stopped on every way out.

        A try of the same flow run, or another run with the same output, goes on with what is there and what runs.

        Args:
            quote: what `plan` returned, once it was approved: the batch never costs more than its "at most", and is
                refused where today's market can't keep it, or the scene changed. Left out, nobody is asked.
            asked: `scene`, `frames`, `output`, `main`, `max_cost_usd` instead of the saved ones.

        Returns:
            What it came to: `outcome`, `frames`, `done`, `rendered`, `missing` (a range), `cost_wei` (text, all runs
            of the batch), `cost_usd`, `quoted` (USD: `p50`, `p90`, `most`, and `before`: what was paid before it was
            quoted), `machines`, `seconds`, `output`, `manifest`, `sheet` (paths; empty where there is none), `message`.

        Raises:
            FramesMissingError: frames are missing, the budget was reached, or the scene can't be rendered.
            OctaPlanError, OctaNoMachineError: nothing was rented; says why.
            OctaConfigError: a value that can't work, before any money is spent.
            OctaCancelledError: the run is being ended; the machines were stopped.
            OctaStopError: a machine could not be stopped, and may still bill.
        """
        from prefect_blocks.batch_steps import render_batch

        return render_batch(self.batch(**asked), self.credentials, self.logger, quote=quote, poll_s=self.poll_s)

    async def arender(self, quote: Mapping[str, Any] | None = None, **asked: Any) -> dict[str, Any]:
        """As `render`, for coroutines; one that is cancelled has its machines stopped.

        Args:
            quote: as `render`.
            asked: as `render`.
        """
        return await run_in_thread(partial(self.render, quote, **asked))

    @property
    def logger(self) -> LoggerOrAdapter:
        """The run's, within one."""
        try:
            return get_run_logger()
        except MissingContextError:
            return get_logger(type(self).__name__)
