"""Whether the output folder of a batch is the one that an earlier try of the same flow run has rendered into."""

from __future__ import annotations

import hashlib
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from octa_provider.batch.folder.output_mark import check_mark, check_output, leave_mark
from prefect_blocks.batch_report import FLUSH_S
from prefect_blocks.reports import Reports

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["mark_output", "output_digest"]

_LABEL = "octa.output."


def mark_output(output: str | os.PathLike[str]) -> str:
    """See, before any money is spent, that the output folder can hold a batch, and is that of the tries before.

    The folder's mark is a label of the flow run: where the next try runs on another worker, it is looked for there.

    Args:
        output: the folder, as it was given.

    Returns:
        The mark, to be handed on.

    Raises:
        OctaConfigError: it can't hold a batch, or is another folder than an earlier try's.
        OctaLocalFileError: its disk refuses.
    """
    place = check_output(output)
    context = FlowRunContext.get()
    run = None if context is None else context.flow_run
    label = f"{_LABEL}{output_digest(place)}"
    known = None if run is None else (run.labels or {}).get(label)
    if isinstance(known, str):
        check_mark(place, known)
    mark = leave_mark(place)
    if run is not None and known is None:
        reports = Reports()
        reports.put("mark", partial(_keep, run.id, label, mark))
        # A server that is away costs the label, and a few seconds.
        reports.flush(FLUSH_S)
    return mark


def output_digest(output: Path) -> str:
    """Names a folder in keys and labels, which hold no paths.

    Args:
        output: the folder.
    """
    return hashlib.sha256(str(output.absolute()).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _keep(flow_run_id: UUID, label: str, mark: str) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(flow_run_id, {label: mark})
