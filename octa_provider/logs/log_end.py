"""When a log that is followed comes to its end: with its session, or when whoever follows it says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from octa_provider.api.sessions import APPEARING_S
from octa_provider.errors import OctaError, OctaNotFoundError
from octa_provider.timing.asking import is_transient
from octa_provider.timing.deadline import Deadline

if TYPE_CHECKING:
    from octa_provider.api.api import Api

__all__ = ["once_yes", "whether_ended"]


def whether_ended(api: Api, uuid: str) -> Callable[[], bool]:
    """Make the question whether a session has ended: no, while that can't be told, and while it may not have appeared.

    Args:
        api: the API.
        uuid: the session, which may have been started a moment ago.

    Returns:
        The question. Each time it is asked it is a request or several.
    """
    appearing = Deadline(api.clock, APPEARING_S)
    appeared = False

    def ended() -> bool:
        nonlocal appeared
        try:
            try:
                session = api.services.session(uuid).info()
            except OctaNotFoundError:
                # `/info` of a session that has ended may answer 404; so may that of one that is too new.
                if any(session.uuid == uuid for session in api.sessions.list()):
                    appeared = True
                    return False
                return (
                    appeared
                    or appearing.passed
                    or any(s.uuid == uuid and s.finished_at is not None for s in api.sessions.list(recent=True))
                )
        except OctaError as error:
            if not is_transient(error):
                raise
            return False
        appeared = True
        return session.finished_at is not None

    return ended


def once_yes(question: Callable[[], object]) -> Callable[[], bool]:
    """Make the same question, which stays answered once it was answered with yes.

    Args:
        question: what is asked until then.
    """
    answered = False

    def asked() -> bool:
        nonlocal answered
        answered = answered or bool(question())
        return answered

    return asked
