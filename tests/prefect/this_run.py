"""Which flow run this is asked in."""

from __future__ import annotations

from prefect.context import FlowRunContext


def this_run() -> str:
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return str(context.flow_run.id)
