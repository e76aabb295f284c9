"""What is behind the links of a task that is deferred."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow_provider.triggers.worker_threads import in_thread, to_the_end
from octa_provider.text.loggers import plain_logger

if TYPE_CHECKING:
    from octa_provider.models import Session

__all__ = ["SessionLink"]

log = plain_logger(__name__)

#: Whoever waits for it waits for so long.
PUSHED_S = 10.0


class SessionLink:
    """Puts a session's addresses behind its task's links, once; needs Airflow 3.

    Nobody waits for that while a machine bills: Airflow's API server may take seconds, in which the command ends.
    """

    def __init__(self) -> None:
        self._pushing: asyncio.Future[None] | None = None

    def push(self, task_instance: Any, session: Session) -> None:
        """Begin to put them there; what fails is logged.

        Args:
            task_instance: the trigger's; None where there is none, as in `dag.test()`.
            session: as the API shows it, once it is up.
        """
        if self._pushing is None and task_instance is not None:
            self._pushing = asyncio.ensure_future(to_the_end(_push(task_instance, session)))

    async def pushed(self) -> None:
        """Wait until they are there, for some seconds at most."""
        if self._pushing is not None:
            await asyncio.wait([self._pushing], timeout=PUSHED_S)


async def _push(task_instance: Any, session: Session) -> None:
    from airflow_provider.links import push_from_trigger

    try:
        await in_thread(push_from_trigger, task_instance, session)
    except Exception as error:  # noqa: BLE001 - for want of a link no job is lost
        log.warning("No links to session %s: %s: %s", session.uuid, type(error).__name__, error)
