"""Flows to deploy as they are: what an animation would cost, and the animation, over many machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_blocks.credentials import credentials_named
from prefect_blocks.left_sessions import stop_left_sessions
from prefect_blocks.own_runs import octa_flow
from prefect_blocks.render_batch import OctaRenderBatch
from prefect_blocks.requirement_fields import fields_of, requirements_of

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State

__all__ = ["plan_render_flow", "render_animation_flow"]


def stop_left_machines(flow: Any, flow_run: FlowRun, state: State) -> None:
    """What the process of a flow run that is gone has left running, on the account that the flow run names.

    Args:
        flow, flow_run, state: as Prefect gives them.
    """
    stop_left_sessions(flow, flow_run, state, credentials=str(flow_run.parameters.get("credentials") or ""))


@octa_flow(name="octa-plan-render", on_crashed=[stop_left_machines], on_cancellation=[stop_left_machines])
def plan_render_flow(
    scene: str,
    frames: str,
    output: str,
    main: str = "",
    renderer: dict[str, Any] | None = None,
    requirements: dict[str, Any] | None = None,
    check: dict[str, Any] | None = None,
    max_machines: int = 10,
    finish_within_s: float | None = None,
    max_cost_usd: float | None = None,
    confidence: float = 0.9,
    max_failed_frames: int = 0,
    tries_per_frame: int = 3,
    seconds_per_frame: float | None = None,
    on_changed: str = "refuse",
    order: str = "forward",
    disk_gb: int = 20,
    ready_timeout_s: float = 900.0,
    max_duration_s: float | None = None,
    wait_for_machine_s: float = 0.0,
    labels: dict[str, str] | None = None,
    measure: bool = False,
    poll_s: float = 2.0,
    credentials: str = "",
) -> dict[str, Any]:
    """What rendering an animation would cost, as a value to approve. Spends nothing, unless it measures.

    Each argument that `render_animation_flow` has too must have the same value there.

    Args:
        scene: the scene's file, or the folder with it and all that it needs.
        frames: such as `1-240`, `1-240x2` or `1,5,10-20`.
        output: the folder for the frames, on storage that every worker sees; made when missing.
        main: the scene's file within a folder, where it holds several.
        renderer: arguments of the core's `blender` (`image`, `format`, `samples`, `engine`, `device`, ...), or, with
            `command`, fields of its `Renderer`; Blender 4.5 when left out.
        requirements: fields of the core's `Requirements`, for each machine.
        check: fields of the core's `Check`: when a frame is whole.
        max_machines: at most so many at once.
        finish_within_s: the deadline, in seconds from the start of the run; left out, the cheapest way.
        max_cost_usd: the batch, with all its retries, never costs more than this, in USD.
        confidence: how sure deadline and budget are to hold when the plan is made, from 0.5 to 0.99.
        max_failed_frames: go on although so many frames were given up; one more ends the batch as incomplete.
        tries_per_frame: tries for each frame, each on another machine.
        seconds_per_frame: on average, on a machine of the median score; measured, or as `measure` says, when left out.
        on_changed: `refuse` frames in the folder that are of another scene, or `replace` them.
        order: `forward`, `backward`, or `spread`: first those that are far apart.
        disk_gb: disk of each machine, in GB.
        ready_timeout_s: seconds that a machine may take to come up.
        max_duration_s: all machines are stopped when the first one of the run has been rented for so many seconds;
            plans that would take longer are refused. Left out, no such cap.
        wait_for_machine_s: seconds to wait, in all, while none of its machines is there and none fits or has room; 0
            fails at once.
        labels: words of your own on each machine's session, such as `{"project": "atlas"}`, to find it and to split a
            bill by. Whoever has the account's key, and the machines' owners, read them: no secrets.
        measure: where nothing tells what a frame takes, rent one machine and render the first, the middle and the last
            frame; they are kept in the output folder. Without it say `seconds_per_frame`.
        poll_s: seconds between two looks at a machine.
        credentials: name of a saved `OctaCredentials` block, with an SSH key; empty for the environment's account.

    Returns:
        The core's `BatchQuote` as a JSON value, with `text` (one sentence), `markdown` (a table), `output` and
        `mark` (which folder it is). Hand it to `render_animation_flow` as it is.

    Raises:
        OctaPlanError, OctaNoMachineError: what is asked for can't be met; says why.
        OctaConfigError: a value that can't work, or nothing tells what a frame takes.
        OctaSceneError: the scene can't be rendered.
    """
    return _batch(locals()).plan(measure=measure)


@octa_flow(name="octa-render-animation", on_crashed=[stop_left_machines], on_cancellation=[stop_left_machines])
def render_animation_flow(
    scene: str,
    frames: str,
    output: str,
    main: str = "",
    renderer: dict[str, Any] | None = None,
    requirements: dict[str, Any] | None = None,
    check: dict[str, Any] | None = None,
    max_machines: int = 10,
    finish_within_s: float | None = None,
    max_cost_usd: float | None = None,
    confidence: float = 0.9,
    max_failed_frames: int = 0,
    tries_per_frame: int = 3,
    seconds_per_frame: float | None = None,
    on_changed: str = "refuse",
    order: str = "forward",
    disk_gb: int = 20,
    ready_timeout_s: float = 900.0,
    max_duration_s: float | None = None,
    wait_for_machine_s: float = 0.0,
    labels: dict[str, str] | None = None,
    quote: dict[str, Any] | None = None,
    poll_s: float = 2.0,
    credentials: str = "",
) -> dict[str, Any]:
    """Render an animation over many machines. A frame counts when its picture was checked; what is there stays.

    A retry, and every other run with the same output, renders what is missing and goes on with the machines that run.

    Args:
        scene: the scene's file, or the folder with it and all that it needs.
        frames: such as `1-240`, `1-240x2` or `1,5,10-20`.
        output: the folder for the frames, on storage that every worker sees; made when missing.
        main: the scene's file within a folder, where it holds several.
        renderer: arguments of the core's `blender` (`image`, `format`, `samples`, `engine`, `device`, ...), or, with
            `command`, fields of its `Renderer`; Blender 4.5 when left out.
        requirements: fields of the core's `Requirements`, for each machine.
        check: fields of the core's `Check`: when a frame is whole.
        max_machines: at most so many at once.
        finish_within_s: the deadline, in seconds from the start of the run; left out, the cheapest way.
        max_cost_usd: the batch, with all its retries, never costs more than this, in USD.
        confidence: how sure deadline and budget are to hold when the plan is made, from 0.5 to 0.99.
        max_failed_frames: go on although so many frames were given up; one more ends the batch as incomplete.
        tries_per_frame: tries for each frame, each on another machine.
        seconds_per_frame: on average, on a machine of the median score; it is measured when left out.
        on_changed: `refuse` frames in the folder that are of another scene, or `replace` them.
        order: `forward`, `backward`, or `spread`: first those that are far apart.
        disk_gb: disk of each machine, in GB.
        ready_timeout_s: seconds that a machine may take to come up.
        max_duration_s: all machines are stopped when the first one of the run has been rented for so many seconds;
            plans that would take longer are refused. Left out, no such cap.
        wait_for_machine_s: seconds to wait, in all, while none of its machines is there and none fits or has room; 0
            fails at once.
        labels: words of your own on each machine's session, such as `{"project": "atlas"}`, to find it and to split a
            bill by. Whoever has the account's key, and the machines' owners, read them: no secrets.
        quote: what `plan_render_flow` returned, once it was approved: the batch never costs more than its "at most",
            and is refused where today's market can't keep it, or the scene changed. Left out, nobody is asked.
        poll_s: seconds between two looks at a machine.
        credentials: name of a saved `OctaCredentials` block, with an SSH key; empty for the environment's account.

    Returns:
        What it came to, whatever the number of frames a small value: `outcome`, `frames`, `done`, `rendered`, `missing`
        (a range), `cost_wei` (text, all runs of the batch), `cost_usd`, `quoted` (USD: `p50`, `p90`, `most`, and
        `before`: what was paid before it was quoted), `machines`, `seconds`, `output`, `manifest`, `sheet` (paths;
        empty where there is none), `message`.

    Raises:
        FramesMissingError: frames are missing, the budget was reached, or the scene can't be rendered.
        OctaPlanError, OctaNoMachineError: nothing was rented; says why.
        OctaConfigError: a value that can't work, before any money is spent.
        OctaCancelledError: the run is being ended; the machines were stopped.
        OctaStopError: a machine could not be stopped, and may still bill.
    """
    return _batch(locals()).render(quote)


def _batch(given: dict[str, Any]) -> OctaRenderBatch:
    """The block of a flow's arguments."""
    fields = {name: value for name, value in given.items() if name not in ("measure", "quote", "requirements")}
    return OctaRenderBatch(
        **fields
        | {
            "credentials": credentials_named(given["credentials"]),
            "renderer": given["renderer"] or {},
            "check": given["check"] or {},
            "labels": given["labels"] or {},
        }
        | fields_of(requirements_of(given["requirements"]))
    )
