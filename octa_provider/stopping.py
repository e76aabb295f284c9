"""Stopping for certain: a session counts as stopped when it has been seen gone, not when the API said yes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from octa_provider.errors import OctaApiError, OctaError, OctaNotFoundError, OctaStopError
from octa_provider.patience import Deadline, is_transient, pauses

if TYPE_CHECKING:
    from octa_provider.client import OctaClient
    from octa_provider.models import Records, Session

log = logging.getLogger("octa_provider.stopping")


def sweep(
    client: OctaClient,
    *,
    uuids: Iterable[str],
    key: str | None,
    score: int | None = None,
    deadline_s: float,
) -> dict[str, Session | None]:
    """Stop these sessions and every active one of the key; return when all have been seen gone.

    Seen gone means: not in the list of active sessions, and either in the list of recent ones or unknown to `/info`.
    (A 404 to `stop` alone proves nothing, and a list can miss an entry.)

    Args:
        client: the API.
        uuids: sessions to stop.
        key: the rental key to sweep; None for none.
        score: what the machines were worth, 1 to 5.
        deadline_s: seconds to try for.

    Returns:
        What the API last told of each session; None where it tells nothing any more.

    Raises:
        OctaStopError: some were not seen gone in time; its cause is what stood in the way.
        OctaError: the API refused the key.
    """
    deadline = Deadline(client.clock, deadline_s)
    pause = pauses()
    running = dict.fromkeys(uuids)
    ended: dict[str, Session | None] = {}
    while True:
        problem = _ask_to_stop(client, running, score)
        try:
            active = client.sessions.list()
            mates = {s.uuid for s in active if key is not None and s.rental_key == key}
            found = mates - running.keys()
            running.update(dict.fromkeys(found))
            if not found:
                gone = [uuid for uuid in running if not _is_listed(uuid, active)]
                if gone:
                    ended.update(_confirmed_gone(client, gone))
                running = {uuid: None for uuid in running if uuid not in ended}
            if not running:
                return ended
            if found and not deadline.passed:
                continue
        except OctaError as error:
            if not is_transient(error):
                raise
            problem = error
        if deadline.passed:
            raise OctaStopError(
                f"not seen gone within {deadline_s:g} s, so perhaps still billing: "
                f"{', '.join(running) or f'the sessions of {key}'}. Stop again, or run: octa-provider reap",
                uuids=tuple(running),
            ) from problem
        deadline.pause(pause(problem))


def _ask_to_stop(client: OctaClient, uuids: Iterable[str], score: int | None) -> OctaError | None:
    """Ask once for each; whether it helped is what the lists tell. Returns what last went wrong."""
    problem: OctaError | None = None
    for uuid in uuids:
        try:
            client.services.session(uuid).stop(score=score)
        except OctaError as error:
            if not is_transient(error) and not isinstance(error, OctaApiError):
                raise
            if isinstance(error, OctaApiError) and error.status in {401, 403}:
                raise
            if not isinstance(error, OctaNotFoundError):
                log.warning("asked %s to stop: %s", uuid, error)
                problem = error
    return problem


def _is_listed(uuid: str, active: Records[Session]) -> bool:
    """In the list, be it as a record too odd to read."""
    return any(s.uuid == uuid for s in active) or any(uuid in repr(record) for record in active.odd)


def _confirmed_gone(client: OctaClient, uuids: list[str]) -> dict[str, Session | None]:
    """Of sessions that are not listed as active: those that have certainly ended, and what they came to."""
    recent = {s.uuid: s for s in client.sessions.list(recent=True)}
    gone: dict[str, Session | None] = {}
    for uuid in uuids:
        if uuid in recent:
            gone[uuid] = recent[uuid]
            continue
        try:
            session = client.services.session(uuid).info()
        except OctaNotFoundError:
            gone[uuid] = None
        else:
            if session.finished_at is not None:
                gone[uuid] = session
    return gone
