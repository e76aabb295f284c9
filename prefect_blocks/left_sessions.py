"""`stop_left_sessions`: a hook for flows, for when the process of a flow run can't clean up any more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client

from octa_provider.errors import OctaError, OctaStopError
from octa_provider.text.loggers import plain_logger
from prefect_blocks.awaitable import awaitable_too
from prefect_blocks.credentials import credentials_named
from prefect_blocks.orphan_report import tell_orphan
from prefect_blocks.owner import family_of
from prefect_blocks.rental_key import PREFIX, is_worker_key

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State

__all__ = ["stop_left_sessions"]

log = plain_logger("prefect_blocks.left_sessions")

LOOK_S = 4.0


@awaitable_too
def stop_left_sessions(
    flow: Any, flow_run: FlowRun, state: State, *, credentials: str = "", settle_s: float = 20.0
) -> None:
    """Stop what a flow run has rented and left running. For a flow's hooks.

    Prefect runs `on_crashed` and `on_cancellation` in the runner, which outlives a flow's process that is killed with
    -9; there the sessions are found by their rental keys. With `on_completion` and `on_failure` it also stops what the
    flow forgot. The machine that a worker of type `octa` rented for the flow run itself is the worker's.

    Args:
        flow, flow_run, state: as Prefect gives them.
        credentials: name of a saved `OctaCredentials` block; empty for the environment's account.
        settle_s: seconds to go on looking after a crash or a cancellation: a session whose process was killed while
            it was being started shows late.

    Raises:
        OctaStopError: some could not be stopped in time, and may still bill.
        OctaError: the API could not be asked at the last look.

    Example:
        >>> @flow(on_crashed=[stop_left_sessions], on_cancellation=[stop_left_sessions])
        ... def render(): ...
        >>> @flow(on_crashed=[functools.partial(stop_left_sessions, credentials="studio")])
        ... def render_for_the_studio(): ...
    """
    with get_client(sync_client=True) as prefect:
        family = family_of(prefect, flow_run.id)
    unexpected = state.is_crashed() or state.is_cancelling() or state.is_cancelled()
    until = time.monotonic() + (settle_s if unexpected else 0.0)
    with credentials_named(credentials).get_client() as octa:
        while True:
            # Of one flow run that can't be looked at, or one session that can't be stopped, the others know nothing.
            failed: dict[str, None] = {}
            trouble: OctaError | None = None
            for flow_run_id in family:
                try:
                    # A flow run's id is its own wherever; those of a release before 0.2 have no namespace.
                    reaped = octa.rentals.reap(
                        f"{PREFIX}/{flow_run_id}", is_alive=is_worker_key, any_namespace=True, dry_run=False
                    )
                except OctaError as error:
                    log.warning("what flow run %s has left can't be seen now: %s", flow_run_id, error)
                    trouble = error
                    continue
                for orphan in reaped.orphans:
                    log.warning("session %s of %s was left running", orphan.uuid, orphan.key)
                    if orphan.uuid in reaped.stopped:
                        why = "its flow run left it running"
                        tell_orphan(orphan, why, bills=reaped.bills, flow_run_id=flow_run_id)
                failed.update(dict.fromkeys(reaped.failed))
            if time.monotonic() >= until:
                if failed:
                    raise OctaStopError(
                        f"not stopped, so perhaps still billing: {', '.join(failed)}", uuids=tuple(failed)
                    )
                if trouble is not None:
                    raise trouble
                return
            time.sleep(min(LOOK_S, max(until - time.monotonic(), 0.0)))
