"""A read that is made again and again, as a poll is: prepared once, sent on the connections it already has.

Of one small GET, requests spends more time on making the request anew (its URL, its headers, which connections to use)
and on the answer's cookies than on sending it. None of that changes from one time to the next.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, cast

import requests
from requests import sessions

if TYPE_CHECKING:
    from requests.auth import AuthBase
    from urllib3 import BaseHTTPResponse
    from urllib3.connectionpool import ConnectionPool

__all__ = ["BareResponse", "RepeatedRead", "RepeatedReads"]

#: Reads that are remembered: more than a process polls by different URLs, and little memory.
MOST_REMEMBERED = 512
#: What a request goes through on its usual way.
_USUAL_WAY = ("request", "prepare_request", "send", "get_adapter")


class RepeatedRead(requests.PreparedRequest):
    """A GET without a body, ready to be sent.

    Attributes:
        pool: the connections that it was last sent on; None before it is sent.
    """

    pool: ConnectionPool | None = None


class BareResponse(requests.Response):
    """An answer with what this package reads of one; no cookies, which the session refuses anyway.

    Args:
        request: what it answers.
        raw: as urllib3 gives it, its body not read yet.
    """

    def __init__(self, request: requests.PreparedRequest, raw: BaseHTTPResponse) -> None:
        self._content: Any = False
        self._content_consumed = False
        self.history = []
        self.request = request
        self.raw = raw
        self.status_code = raw.status
        self.reason = raw.reason or ""
        self.url = request.url or ""
        self.headers = cast(Any, raw.headers)


class RepeatedReads:
    """The reads that one session has made. Safe to share between threads.

    Args:
        session: of this package's own.

    Attributes:
        session: as given.
    """

    def __init__(self, session: requests.Session) -> None:
        self.session = session
        self._known: dict[tuple[str, tuple[tuple[str, str], ...], bool], RepeatedRead] = {}

    def close(self) -> None:
        """Close the session. The reads go too: urllib3 closes connections once nobody has them any more."""
        self._known.clear()
        self.session.close()

    @property
    def is_usual(self) -> bool:
        """Whether requests is as it came: a tracer or a test's stand-in must see each request go its usual way."""
        return not self.session.proxies and all(map(_is_as_it_came, _USUAL_WAY))

    def prepared(
        self, url: str, params: dict[str, str], headers: dict[str, str], auth: AuthBase, *, public: bool
    ) -> RepeatedRead:
        """The read, made by the session the first time.

        Args:
            url: where it goes.
            params: the query.
            headers: those of every read.
            auth: puts the key in.
            public: it has no key.
        """
        name = (url, tuple(params.items()), public)
        known = self._known.get(name)
        if known is None:
            made = self.session.prepare_request(requests.Request("GET", url, headers, params=params, auth=auth))
            known = RepeatedRead()
            known.__dict__.update(made.__dict__)
            # urllib3 copies the headers for each request: a dict in a tenth of the time.
            known.headers = cast(Any, dict(made.headers.items()))
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[name] = known
        return known

    def send(self, read: RepeatedRead, timeout_s: float) -> requests.Response:
        """Its answer, the body not read yet; raises what requests raises.

        Args:
            read: as `prepared` gave it.
            timeout_s: seconds for each step.
        """
        session = self.session
        adapter = session.get_adapter(read.url or "")
        return adapter.send(read, stream=True, timeout=timeout_s, verify=session.verify or False, cert=session.cert)


def _is_as_it_came(name: str) -> bool:
    function = vars(requests.Session).get(name)
    return type(function) is FunctionType and function.__globals__ is vars(sessions)
