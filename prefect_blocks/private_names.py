"""What is used of Prefect that it never promised, looked for when the worker is imported: before anything is rented."""

from __future__ import annotations

from collections.abc import Iterable

import prefect
from prefect.workers.base import BaseJobConfiguration, BaseWorker

__all__ = ["PRIVATE_NAMES", "check_private_names"]

#: The name, of which class, and what it is for here.
PRIVATE_NAMES: tuple[tuple[type, str, str], ...] = (
    (BaseWorker, "_runs_task_group", "holds what follows a machine, so that a worker that ends lets go of it"),
    (BaseWorker, "_scheduled_task_scopes", "ends the look for what other workers have left when the worker ends"),
    (BaseWorker, "_work_pool", "whose machines are looked for"),
    (BaseWorker, "_work_pool_name", "tells another worker whose machine to follow"),
    (BaseWorker, "_work_queues", "a worker begins only what is of its queues"),
    (BaseWorker, "_submitting_flow_run_ids", "what is being begun is not taken for left behind"),
    (BaseWorker, "_logger", "the worker's log"),
    (BaseWorker, "_initiate_run", "what @octa's submit calls"),
    (BaseWorker, "_propose_crashed_state", "gives a crash our reason"),
    (BaseWorker, "_propose_pending_state", "lets a flow run be begun whose worker ended before"),
    (BaseWorker, "_submit_scheduled_flow_runs", "begins it"),
    (BaseJobConfiguration, "_base_flow_run_command", "what a machine runs where no command is given"),
    # Not private, and yet new in 3.8.
    (BaseJobConfiguration, "resolve_for_flow_run", "the job variables of a flow run that another worker began"),
)
TESTED = "prefect>=3.8,<3.10"


def check_private_names(names: Iterable[tuple[type, str, str]] = PRIVATE_NAMES) -> None:
    """Refuse a Prefect that lacks one.

    Args:
        names: the class, the name, and what for.

    Raises:
        ImportError: says which is missing, and what to install.
    """
    for owner, name, what_for in names:
        # The class has it, or its instances are given it when they are made.
        if not hasattr(owner, name) and name not in _set_when_made(owner):
            raise ImportError(
                f"Prefect {prefect.__version__} has no {owner.__name__}.{name}, which octa-provider needs "
                f"({what_for}): pip install '{TESTED}'"
            )


def _set_when_made(owner: type) -> tuple[str, ...]:
    code = getattr(vars(owner).get("__init__"), "__code__", None)
    return () if code is None else tuple(code.co_names)
