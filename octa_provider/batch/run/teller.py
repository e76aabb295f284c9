"""What a batch tells those who watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.batch.events import BatchEvent, BatchProgress, OnEvent
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.batch.run.crew import Crew
    from octa_provider.batch.run.parts import BatchParts

__all__ = ["Teller"]

log = plain_logger("octa_provider.batch.run.teller")


class Teller:
    """Tells events, each with how far the batch is.

    Args:
        parts: of the batch.
        on_event: called with each; None for nobody. What it raises ends the batch, as a signal would.

    Attributes:
        began_at: when this run began, on the clock of the parts.
        failed: how many frames were given up.
        rendering: how many machines render.
        left_s: seconds that are left, as far as anything tells.
        usd_per_wei: for display.
    """

    def __init__(self, parts: BatchParts, on_event: OnEvent | None) -> None:
        self._parts = parts
        self._on_event = on_event
        self._crew: Crew | None = None
        self._told_ended: set[int] = set()
        self.began_at = parts.clock.monotonic()
        self.failed = 0
        self.rendering = 0
        self.left_s: float | None = None
        self.usd_per_wei = 0.0

    def follow(self, crew: Crew) -> None:
        """From now on these are the machines."""
        self._crew = crew

    def tell_ended(self) -> None:
        """Tell of the machines that were stopped at the end, when nobody heard them any more."""
        if self._crew is None:
            return
        for thread in self._crew.threads:
            if thread.rental is not None and thread.number not in self._told_ended:
                self.tell(
                    "machine ended",
                    number=thread.number,
                    node_id=thread.estimate.node_id,
                    uuid=thread.rental.uuid,
                    reason=thread.why,
                )

    @property
    def progress(self) -> BatchProgress:
        """How far the batch is now."""
        parts, crew = self._parts, self._crew
        spent = 0 if crew is None else crew.spent_wei()
        return BatchProgress(
            frames=len(parts.batch.numbers),
            done=len(parts.folder.accepted),
            failed=self.failed,
            machines=0 if crew is None else crew.alive,
            rendering=self.rendering,
            spent_wei=spent,
            spent_usd=spent * self.usd_per_wei,
            elapsed_s=parts.clock.monotonic() - self.began_at,
            left_s=self.left_s,
        )

    def tell(
        self,
        kind: str,
        *,
        frame: int | None = None,
        number: int | None = None,
        node_id: int | None = None,
        uuid: str | None = None,
        reason: str = "",
    ) -> None:
        """Tell one thing.

        Args:
            kind: one of `EVENT_KINDS`.
            frame: its number, where it is about one.
            number: the machine's number in the batch.
            node_id: the machine.
            uuid: its session.
            reason: why, as one clause.
        """
        if kind == "machine ended" and number is not None:
            self._told_ended.add(number)
        if kind != "progress":
            log.info("%s%s", kind, _about(frame, node_id, reason))
        if self._on_event is not None:
            self._on_event(BatchEvent(kind, self.progress, frame, node_id, number, uuid, reason))


def _about(frame: int | None, node_id: int | None, reason: str) -> str:
    about = [f"frame {frame}"] if frame is not None else []
    about += [f"node {node_id}"] if node_id is not None else []
    about += [reason] if reason else []
    return f": {', '.join(about)}" if about else ""
