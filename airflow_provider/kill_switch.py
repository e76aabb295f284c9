"""What a task does when it is killed while a session is being started.

Airflow 3 calls `on_kill` from a signal handler, gives it five seconds, and lets `execute` go on behind it; Airflow 2
raises in `execute` instead. The handler may have interrupted anything, also code that holds a lock. So nothing here
asks Airflow, logs, or touches the client that `execute` uses: settings and key are remembered before, and a thread of
its own does the work.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from airflow_provider.exceptions import OctaTaskKilledError
from octa_provider.errors import OctaError

if TYPE_CHECKING:
    from airflow_provider.connection_settings import ConnectionSettings
    from octa_provider import OctaClient

__all__ = ["KillSwitch"]

#: All that `on_kill` may take: Airflow 3 sends SIGKILL five seconds after SIGTERM.
_HANDLER_S = 4.0
_REQUEST_S = 1.5
#: Of the machines of a batch, so many are asked for at the same time.
_AT_ONCE = 16


class KillSwitch:
    """Made with what is needed to stop, before anything is started.

    Args:
        settings: the connection's settings.
        key: the rental key that the task starts under.
        is_batch: whether machines of a batch are started under it, each with a key of its own that begins with it.

    Attributes:
        pulled: whether the task was killed; `execute` looks at it after every step that spends money.
        uuid: the session, once it is known.
        concluded: whether there is nothing left to stop, however the task ends.
    """

    def __init__(self, settings: ConnectionSettings, key: str, *, is_batch: bool = False) -> None:
        self._settings = settings
        self._key = key
        self._is_batch = is_batch
        self.uuid: str | None = None
        self.pulled = False
        self.concluded = False

    def pull(self) -> None:
        """The task is being killed: remember it, and ask for the stop of what is known to run. For `on_kill`."""
        self.pulled = True
        asking = threading.Thread(target=self._ask_for_stop, name="octa-on-kill", daemon=True)
        asking.start()
        asking.join(_HANDLER_S)

    def refuse(self) -> None:
        """Go no further in a task that was killed.

        Raises:
            OctaTaskKilledError: it was.
        """
        if self.pulled:
            raise OctaTaskKilledError("The task was killed.")

    def _ask_for_stop(self) -> None:
        # Asking is not stopping for certain: execute does that if it is given the time, else the next try or a reaper.
        try:
            with self._settings.client(timeout=_REQUEST_S, retries=0) as client:
                uuids = self._uuids(client)
                with ThreadPoolExecutor(_AT_ONCE) as pool:
                    for uuid in uuids:
                        pool.submit(client.services.session(uuid).stop)
        except OctaError:
            return

    def _uuids(self, client: OctaClient) -> list[str]:
        if self._is_batch:
            begin = f"{client.rentals.full_key(self._key)}/"
            return [one.uuid for one in client.sessions.list() if (one.rental_key or "").startswith(begin)]
        if self.uuid is not None:
            return [self.uuid]
        rental = client.rentals.find(self._key)
        return [] if rental is None else [rental.uuid]
