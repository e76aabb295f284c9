"""A task that was killed since somebody marked it as a success: it has nothing to report that anybody has to mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider.task_states import states_of
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["is_marked_success"]

log = plain_logger(__name__)


def is_marked_success(context: Context) -> bool:
    """Whether Airflow has the task as a success while it still runs, and so has ended its process; says so in its log.

    Not for `on_kill`, which must not ask Airflow for anything.

    Args:
        context: of the task, which was killed; what it had started has been stopped.

    Returns:
        False too where Airflow can't be asked.
    """
    ti = context["ti"]
    try:
        states = states_of(ti.dag_id, ti.run_id, [ti.task_id], ti.map_index)
    except Exception as error:  # noqa: BLE001 - each Airflow has its own
        log.info("Why the task was killed can't be asked: %s: %s", type(error).__name__, error)
        return False
    if states.get(ti.task_id, states.get(f"{ti.task_id}_{ti.map_index}")) != "success":
        return False
    log.info("The task was marked as a success while its job ran: the job was ended, and its machine stopped.")
    return True
