"""What a task that fails does about what it, or an earlier try of it, has started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.errors import OctaError
from octa_provider.plain_log import plain_logger

if TYPE_CHECKING:
    from octa_provider import OctaClient

__all__ = ["stop_after"]

log = plain_logger(__name__)

#: Seconds to stop what a task that failed leaves; after that the log names what may still run.
_STOP_S = 60.0


def stop_after(error: BaseException, client: OctaClient, key: str, uuid: str | None = None) -> None:
    """Stop every session of a rental key, since the task ends with an error. What can't be stopped is named in the log.

    Args:
        error: what the task ends with.
        client: the API.
        key: the rental key.
        uuid: the session, if it is known: a VPN carries no key, and a key may not be echoed.
    """
    try:
        bills = [*client.rentals.stop(key, deadline_s=_STOP_S)]
        if uuid is not None and uuid not in {bill.uuid for bill in bills}:
            bills.append(client.rentals.open(uuid).stop(deadline_s=_STOP_S))
    except OctaError as stop_error:
        log.error("A session may still run and bill: clear this task, or stop rental key %s. %s", key, stop_error)
        return
    for bill in bills:
        log.warning("Stopped session %s, since the task ended with %s", bill.uuid, type(error).__name__)
