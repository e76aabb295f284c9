"""Errors of a rental: it could not be started, kept, or stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from octa_provider.errors.root import MAX_BODY_CHARS, OctaError
from octa_provider.text.carried import sound
from octa_provider.text.plain_text import plain


class Refusal(NamedTuple):
    """One machine that was not taken, and why.

    Attributes:
        node_id: the machine; None when the reason is not about a single one.
        reason: why, as one clause: `Node not found`, `too expensive (0.62 USD/h)`.
    """

    node_id: int | None
    reason: str


class OctaNoMachineError(OctaError):
    """No machine fits the requirements, or every machine that fits refused. Nothing runs.

    Attributes:
        refusals: the machines that were asked, in that order, and what each answered.
        waited_s: seconds that a machine was waited for; 0 when nobody asked for that.
    """

    def __init__(self, message: str = "", *, refusals: Sequence[Refusal] = (), waited_s: float = 0.0) -> None:
        super().__init__(message)
        self.refusals = tuple(refusals)
        self.waited_s = waited_s


class OctaStartUnclearError(OctaError):
    """A request got no answer, and what it may have left can't be told from somebody else's. Nothing was stopped.

    Attributes:
        uuids: the sessions that may be its.
        key: the rental key.
    """

    def __init__(self, message: str = "", *, uuids: Sequence[str] = (), key: str = "") -> None:
        super().__init__(message)
        self.uuids = tuple(map(sound, uuids))
        self.key = key


class OctaSessionFailedError(OctaError):
    """The session ended or failed while it was waited for.

    Attributes:
        uuid: the session.
        system_log_tail: the last lines of its system log, as text; empty when it could not be read.
    """

    def __init__(self, message: str = "", *, uuid: str = "", system_log_tail: str = "") -> None:
        super().__init__(message)
        self.uuid = uuid
        # The end of a log tells why it ended, so this one is cut at its start.
        self.system_log_tail = "\n".join(map(plain, system_log_tail.split("\n")))[-MAX_BODY_CHARS:]


class OctaWaitTimeoutError(OctaError):
    """The deadline passed while the session was waited for. The session still runs, and bills.

    Attributes:
        uuid: the session.
    """

    def __init__(self, message: str = "", *, uuid: str = "") -> None:
        super().__init__(message)
        self.uuid = uuid


class OctaStopError(OctaError):
    """Sessions were still seen running when the stop's deadline passed. They bill until they are stopped.

    Attributes:
        uuids: the sessions still running.
    """

    def __init__(self, message: str = "", *, uuids: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.uuids = tuple(map(sound, uuids))


class OctaBudgetError(OctaError):
    """A cap on cost or duration, or the balance, refused the start or ended the rental. Nothing runs."""


class OctaCancelledError(OctaError):
    """The caller took the start back while it was under way. What it had started was stopped."""
