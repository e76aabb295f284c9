"""`client.sessions`: what this account has running, and what it had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octa_provider.models import Records, Session, decode_list
from octa_provider.models.session_bytes import read_sessions

if TYPE_CHECKING:
    from octa_provider.http.transport import Transport

#: Seconds: a session that has just been started may not be known everywhere yet, nor may one that has just ended.
APPEARING_S = 20.0


class Sessions:
    """The account's sessions."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, recent: bool = False, retries: int | None = None, timeout: float | None = None
    ) -> Records[Session]:
        """Active sessions, or the last ones: `GET /sessions`, `GET /sessions?recent=true`.

        Args:
            recent: the last ones, ended or not: those that have ended, and they alone, carry `finished_at`.
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        params = {"recent": "true"} if recent else None
        answer = self._transport.get("/sessions", params=params, retries=retries, timeout=timeout)
        found = read_sessions(answer.body, "GET /sessions")
        return decode_list(Session, answer.json(), "GET /sessions") if found is None else found
