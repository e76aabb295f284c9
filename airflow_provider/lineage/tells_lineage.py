"""The methods by which OpenLineage's listener asks an operator of ours, where somebody has installed it.

It calls them beside the task, in a process or a thread of its own. Nothing of OpenLineage is imported before that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider.lineage.run_bill import RunBill

__all__ = ["MadeFiles", "TellsLineage"]

#: A file or a folder that was made, and how many files it holds; None where nobody counted.
MadeFiles = tuple[object, "int | None"]


class TellsLineage:
    """An operator whose runs tell which files they read and made, and what they cost.

    Attributes:
        run_bill: what this try has rented and come to; None before it runs.
    """

    run_bill: RunBill | None = None

    def lineage_inputs(self) -> Iterable[object]:
        """The files and folders that the task reads, from rendered arguments."""
        return ()

    def lineage_outputs(self) -> Iterable[MadeFiles]:
        """The files and folders that it has made, once it has ended."""
        return ()

    def get_openlineage_facets_on_start(self) -> Any:
        """What OpenLineage is told when the task starts: what it reads."""
        return self._lineage(has_ended=False)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What it is told when the task has ended well, or was skipped: also what was made, and what that cost.

        Args:
            task_instance: of the task.
        """
        return self._lineage(has_ended=True)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """The same of a task that has failed: what there is, and what it cost all the same.

        Args:
            task_instance: of the task.
        """
        return self._lineage(has_ended=True)

    def _lineage(self, *, has_ended: bool) -> Any:
        try:
            from airflow_provider.lineage.open_lineage import lineage_of

            bill = self.run_bill if has_ended else None
            return lineage_of(self.lineage_inputs(), self.lineage_outputs() if has_ended else (), bill)
        except Exception as error:  # noqa: BLE001 - for want of lineage no task is lost
            from octa_provider.text.loggers import plain_logger

            plain_logger(__name__).warning("OpenLineage is not told of this task: %s: %s", type(error).__name__, error)
            return None
