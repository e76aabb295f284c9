"""Stopping, beside the watching, what runs under the key of a session that is watched, and is not the oldest."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from octa_provider.errors import OctaError
from octa_provider.rental.kept import kept_under
from octa_provider.rental.stop import sweep
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.rental_api import RentalApi

__all__ = ["TwinStopping"]

log = plain_logger("octa_provider.watch.twin_stopping")

TWIN_STOP_S = 30.0


class TwinStopping:
    """Stops later sessions of a key, in a thread of its own and one lot at a time.

    Args:
        api: the API.
    """

    def __init__(self, api: RentalApi) -> None:
        self._api = api
        self._stopper: threading.Thread | None = None

    def stop(self, twins: Sequence[tuple[Session, Session]]) -> None:
        """Begin to stop these, unless others are being stopped: the next look at the list shows them again.

        Args:
            twins: the sessions, each behind the one that is watched.
        """
        if not twins or (self._stopper is not None and self._stopper.is_alive()):
            return
        # An empty context: its log lines must not go to whoever happened to wait first.
        run = contextvars.Context().run
        self._stopper = threading.Thread(target=run, args=(self._stop, twins), name="octa-twins", daemon=True)
        self._stopper.start()

    def _stop(self, twins: Sequence[tuple[Session, Session]]) -> None:
        # One whose work has failed, and that is kept for a look, is first of nothing: the next try runs beside it.
        keys = {watched.rental_key for watched, _ in twins}
        kept = {uuid for key in keys if key is not None for uuid in kept_under(self._api, key)}
        uuids = list(dict.fromkeys(twin.uuid for watched, twin in twins if watched.uuid not in kept))
        if not uuids:
            return
        log.warning("stopping %s: each is a later session of a key whose first one is watched", ", ".join(uuids))
        try:
            sweep(self._api, uuids=uuids, key=None, deadline_s=TWIN_STOP_S)
        except OctaError as error:
            log.warning("the next look tries again: %s", error)
