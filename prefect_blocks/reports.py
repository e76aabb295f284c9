"""Reports to Prefect's API that nobody waits for: what watches or stops a machine never hangs on another server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context

from octa_provider.text.loggers import plain_logger

__all__ = ["Reports"]

log = plain_logger("prefect_blocks.reports")

#: Reports of different kinds that may wait at once; the oldest is lost when there are more.
MAX_WAITING = 100


class Reports:
    """Sent one after the other by a thread that exists while there is something to send.

    Of one kind only the latest waits, so that a server that is away costs reports, and neither time nor memory. They
    are sent in the context that this was made in, such as that of a flow run.
    """

    def __init__(self) -> None:
        self._context = copy_context()
        self._changed = threading.Condition()
        self._waiting: dict[str, Callable[[], object]] = {}
        self._is_sending = False

    def put(self, kind: str, send: Callable[[], object]) -> None:
        """Have something sent soon, instead of what waits of the same kind. Returns at once.

        Args:
            kind: what it tells of.
            send: makes the request; what it raises is logged, and the report is lost.
        """
        with self._changed:
            self._waiting.pop(kind, None)
            self._waiting[kind] = send
            if len(self._waiting) > MAX_WAITING:
                self._waiting.pop(next(iter(self._waiting)))
            if self._is_sending:
                return
            self._is_sending = True
        thread = threading.Thread(
            target=self._context.copy().run, args=(self._send_all,), name="octa-reports", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            # The interpreter is ending.
            with self._changed:
                self._is_sending = False
            log.warning("reports to Prefect are lost: %s", error)

    def flush(self, seconds: float) -> bool:
        """Wait until all have been sent or lost.

        Args:
            seconds: to wait at most.

        Returns:
            Whether all have been.
        """
        until = time.monotonic() + seconds
        with self._changed:
            while self._is_sending:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def _send_all(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._is_sending = False
                    self._changed.notify_all()
                    return
                kind = next(iter(self._waiting))
                send = self._waiting.pop(kind)
            try:
                send()
            except Exception as error:  # noqa: BLE001 - a report is never worth more than a line in the log
                log.warning("the report %r to Prefect is lost: %s: %s", kind, type(error).__name__, error)
