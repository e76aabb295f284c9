"""What `rented_machine` shows in Prefect: its steps and its commands' lines in the log, its cost as an artifact."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from octa_provider.rental.session_text import started_text
from octa_provider.wire.money import usd_text
from prefect_blocks.cost_artifact import artifact_name, flow_run_id_here, put_cost, row
from prefect_blocks.events import emit
from prefect_blocks.reports import Reports

if TYPE_CHECKING:
    from prefect.blocks.abstract import LoggerOrAdapter

    from octa_provider import Rental
    from octa_provider.rental.terms import Bill

__all__ = ["MachineReport"]

#: Seconds to wait at the end, when the machine is stopped, for what is still to be told.
FLUSH_S = 5.0


class MachineReport:
    """Told of a machine's steps. A Prefect API that does not answer costs pictures, never the machine or its time.

    Args:
        name: what the work is called.
        logger: gets the lines.

    Attributes:
        name: what the work is called.
        rental: the machine, once it is rented; the last of several.
        is_stop_told: whether the event of its stop was emitted by who stopped it.
    """

    def __init__(self, name: str, logger: LoggerOrAdapter) -> None:
        self.rental: Rental | None = None
        self.is_stop_told = False
        self.name = name
        self._logger = logger
        self._flow_run_id = flow_run_id_here()
        self._reports = Reports()

    def line(self, line: str) -> None:
        """A line of a command's output.

        Args:
            line: without its end.
        """
        self._logger.info("%s", line)

    def rented(self, rental: Rental) -> None:
        """A machine is rented, or adopted; telling it again tells nothing.

        Args:
            rental: the machine.
        """
        is_told = self.rental is not None and self.rental.uuid == rental.uuid
        self.rental = rental
        if not is_told:
            self._logger.info("%s", started_text(rental))
            emit("adopted" if rental.adopted else "started", rental, name=self.name)

    def ready(self) -> None:
        """The machine is up."""
        if self.rental is not None:
            self._logger.info("Session %s is up", self.rental.uuid)
            emit("ready", self.rental, name=self.name)

    def stopped(self, bill: Bill) -> None:
        """The machine is seen gone. Takes some seconds at most.

        Args:
            bill: what it came to.
        """
        cost = "" if bill.charge_usd is None else f", {usd_text(bill.charge_usd, 6)}"
        self._logger.info("%s", f"Session {bill.uuid} was stopped after {bill.duration_s} s{cost}")
        if self.rental is None:
            # Nobody has been told of its start.
            return
        if not self.is_stop_told:
            emit("stopped", self.rental, bill=bill, name=self.name)
        if self._flow_run_id is None:
            return
        new = row(
            "stopped",
            uuid=bill.uuid,
            node_id=self.rental.node_id,
            duration_s=bill.duration_s,
            cost_usd=bill.charge_usd,
            labels=self.rental.labels,
        )
        self._reports.put("cost", partial(put_cost, artifact_name(self.name), self.name, new, self._flow_run_id))
        self._reports.flush(FLUSH_S)
