"""What a task with a job tells of its files, and what the trigger has told of its session."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from octa_provider.errors import OctaError
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from airflow_provider.lineage.run_bill import RunBill
    from airflow_provider.lineage.tells_lineage import MadeFiles

__all__ = ["bill_of_event", "made_files"]

log = plain_logger(__name__)


def made_files(bill: RunBill, declared: Iterable[object]) -> list[MadeFiles]:
    """What a job has made here: what its author names, each with the number of its files; what lies elsewhere; its log.

    The names that an author gives are the same in every run, however many files a folder gets. Of very many files a
    triggerer hands over the first names alone: one place has them all, and of several nobody knows how many each got.

    Args:
        bill: of the job.
        declared: the local paths of its `outputs`.
    """
    counts = {_absolute(place): 0 for place in declared if place}
    elsewhere: list[str] = []
    for file in bill.fetched:
        path = _absolute(file)
        while path not in counts and path != os.path.dirname(path):  # noqa: PTH120 - a path that may hold anything
            path = os.path.dirname(path)  # noqa: PTH120
        if path in counts:
            counts[path] += 1
        else:
            # What could not be written where it should go.
            elsewhere.append(file)
    is_whole = bill.outcome == "succeeded"
    made: list[MadeFiles] = [(place, count) for place, count in counts.items() if count or is_whole]
    if bill.fetched_count > len(bill.fetched):
        total = bill.fetched_count if len(counts) == 1 and not elsewhere else None
        made = [(place, total) for place, _ in made]
    return [*made, *((file, 1) for file in elsewhere), *([] if bill.log is None else [(bill.log, None)])]


def bill_of_event(bill: RunBill, event: Mapping[str, Any]) -> None:
    """Note what the trigger has told of the session; nothing of it ends the task.

    Args:
        bill: of the try that it comes back to.
        event: of `OctaJobTrigger`, also of another version of this package.
    """
    from airflow_provider.job_json import job_from_json
    from octa_provider.rental.terms import Bill

    try:
        if not isinstance(event.get("job"), Mapping):
            return
        state = job_from_json(event["job"])
        bill.rented(state.rental)
        bill.session(state.rental.uuid).gpu = str(event.get("gpu") or "")
        if isinstance(told := event.get("bill"), Mapping):
            wei = told.get("charge_wei")
            usd, ran_s = told.get("charge_usd"), told.get("duration_s")
            bill.stopped([Bill(state.rental.uuid, None if wei is None else int(wei), usd, ran_s, None)])
    except (OctaError, ValueError, TypeError) as error:
        log.debug("What the trigger tells of the session can't be read: %s", error)


def _absolute(place: object) -> str:
    return os.path.abspath(os.path.expanduser(str(place)))  # noqa: PTH100, PTH111 - resolve() would follow links
