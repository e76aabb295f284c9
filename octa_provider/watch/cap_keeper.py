"""Looking after the caps of a session that nobody else watches now, over the watcher that all of an account share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.errors import OctaWaitTimeoutError
from octa_provider.rental.caps import over_budget

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.terms import Terms
    from octa_provider.watch.watcher import Watcher

__all__ = ["watch_caps_async"]


async def watch_caps_async(watcher: Watcher, terms: Terms, within_s: float) -> tuple[Session | None, str | None]:
    """Watch a session for a while, or until one of its caps is reached.

    Args:
        watcher: the account's.
        terms: what its rental is known by, with its caps.
        within_s: seconds to watch it for.

    Returns:
        The session as it was last seen, None when it was not seen; and which cap it has reached, as the end of a
        sentence, None when none. It is not stopped. One that has finished is returned at once.

    Raises:
        OctaSessionFailedError: it is gone, and the API tells nothing of it.
        OctaAuthenticationError, OctaForbiddenError: the key was refused.
    """
    last: list[Session] = []

    def is_capped(session: Session) -> bool:
        last[:] = [session]
        return over_budget(terms, session, watcher.clock) is not None

    try:
        session = await watcher.wait_async(terms.uuid, is_capped, within_s)
    except OctaWaitTimeoutError:
        return (last[0] if last else None), None
    return session, over_budget(terms, session, watcher.clock)
