"""Every error this library raises on purpose.

    OctaError
    ├── OctaConfigError (also a ValueError)   arguments or settings are wrong; no request was made
    ├── OctaNetworkError                      no answer arrived
    │   └── OctaTimeoutError                  no answer arrived in time
    ├── OctaApiError                          the API answered with an error status
    │   ├── OctaAuthenticationError           401
    │   ├── OctaForbiddenError                403
    │   ├── OctaNotFoundError                 404
    │   ├── OctaValidationError               422
    │   ├── OctaRateLimitError                429
    │   └── OctaServerError                   5xx
    ├── OctaRejectedError                     a 2xx answer that starts nothing
    ├── OctaDecodeError                       an answer that is not what it must be
    ├── OctaNoMachineError                    no machine fits, or every one that fits refused
    ├── OctaStartUnclearError                 whether a lost request started something can't be told
    ├── OctaSessionFailedError                the session ended while we waited for it
    ├── OctaWaitTimeoutError                  the deadline passed before the session was ready
    ├── OctaSshError                          the rented machine could not be reached, or used, over SSH
    │   ├── OctaLocalFileError                a file of this machine can't be read or written
    │   └── OctaUnfetchedError                some files could not be fetched; the others are here
    ├── OctaStopError                         sessions still run after the stop's deadline
    ├── OctaBudgetError                       a spending cap or the balance refused, or a cap was reached
    └── OctaCancelledError                    the caller took it back while it was being started

Airflow and Prefect send errors between processes, so each one can be pickled with its attributes intact. That is why
every argument but the message is a keyword with a default: `pickle` calls the class with the message alone and then
restores the rest. No error holds the API key: user info is cut from URLs here, and whoever passes a body has masked the
key in it. Messages quote strangers (file names, answers of the API, what a machine says), so each is made plain here:
text that every log, terminal and database can take, in which no line passes for another message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit, urlunsplit

from octa_provider.carried import sound
from octa_provider.plain_text import plain, plain_message, plain_words

__all__ = [
    "MAX_BODY_CHARS",
    "OctaApiError",
    "OctaAuthenticationError",
    "OctaBudgetError",
    "OctaCancelledError",
    "OctaConfigError",
    "OctaDecodeError",
    "OctaError",
    "OctaForbiddenError",
    "OctaLocalFileError",
    "OctaNetworkError",
    "OctaNoMachineError",
    "OctaNotFoundError",
    "OctaRateLimitError",
    "OctaRejectedError",
    "OctaServerError",
    "OctaSessionFailedError",
    "OctaSshError",
    "OctaStartUnclearError",
    "OctaStopError",
    "OctaTimeoutError",
    "OctaUnfetchedError",
    "OctaValidationError",
    "OctaWaitTimeoutError",
    "Refusal",
    "clip_body",
    "tell_also",
    "without_user_info",
]

#: Bodies kept in errors are cut to this many characters: enough to see what came, little enough to pickle and to log.
MAX_BODY_CHARS = 2000


def clip_body(body: str) -> str:
    """Cut a body to `MAX_BODY_CHARS`, saying how much was left off, as sound text. Clipping twice changes nothing."""
    body = sound(body)
    if len(body) <= MAX_BODY_CHARS:
        return body
    # The note counts towards the limit, otherwise clipping a clipped body would cut it again.
    note = f"... ({len(body)} characters in all)"
    return body[: MAX_BODY_CHARS - len(note)] + note


def without_user_info(url: str) -> str:
    """The URL without `user:password@`, which must not reach a log."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable URL)"
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def tell_also(error: BaseException, text: str) -> None:
    """Add to an error what came on top of it: to its message, or as a note where it is not ours.

    Args:
        error: what went wrong first, and is what the caller gets.
        text: a sentence.
    """
    if isinstance(error, OctaError):
        error.also(text)
    else:
        # As `add_note` of Python 3.11 does it.
        vars(error)["__notes__"] = [*getattr(error, "__notes__", ()), text]


class OctaError(Exception):
    """The root: `except OctaError` catches everything this library raises on purpose.

    Attributes:
        message: the text of the error: plain, and of no more than 10,000 characters.
    """

    def __init__(self, message: str = "") -> None:
        self.message = plain_message(message)
        super().__init__(self.message)

    def also(self, text: str) -> None:
        """Add a sentence to the message: what came on top of it must neither hide the error nor be hidden by it."""
        self.message = plain_message(f"{self.message.rstrip().rstrip('.')}. {text}")
        self.args = (self.message,)


class OctaConfigError(OctaError, ValueError):
    """An argument or setting is wrong. Raised before any request."""


class OctaNetworkError(OctaError):
    """No answer arrived: name resolution, connection, TLS, or a connection lost halfway.

    Attributes:
        maybe_sent: True when the request may have reached the server, so that its effect may have happened.
            True is also the default: who does not know must assume the worst.
        method: the HTTP method, such as `POST`.
        url: the URL, without user info.
        final: True when asking again can't help: the host has never answered this client, and what is wrong (its
            certificate, its name, a proxy's URL) won't pass by itself.
        unreached_s: for how many seconds this client has been refused connections by a host that has never answered it;
            None for other failures. It may be about to start, or the URL is wrong.
    """

    def __init__(
        self,
        message: str = "",
        *,
        maybe_sent: bool = True,
        method: str = "",
        url: str = "",
        final: bool = False,
        unreached_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.maybe_sent = maybe_sent
        self.method = method
        self.url = without_user_info(url)
        self.final = final
        self.unreached_s = unreached_s


class OctaTimeoutError(OctaNetworkError):
    """No answer arrived within the timeout. Attributes as in `OctaNetworkError`."""


class OctaApiError(OctaError):
    """The API answered with an error status. `octa_provider.api_error` words the message.

    Attributes:
        status: the HTTP status; 0 when unknown.
        code: the `code` field of the body, as text (evidence C); None when there is none.
        request_id: the `x-request-id` response header (evidence S): quote it to OctaSpace's support.
        body: the body as text, clipped to `MAX_BODY_CHARS`.
        method: the HTTP method.
        url: the URL, without user info.
    """

    #: What to do next; part of the message that `octa_provider.api_error` writes.
    advice: ClassVar[str] = "Look at the body for the reason."

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        code: str | None = None,
        request_id: str | None = None,
        body: str = "",
        method: str = "",
        url: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = None if code is None else plain_words(code)
        self.request_id = None if request_id is None else plain_words(request_id)
        self.body = clip_body(body)
        self.method = method
        self.url = without_user_info(url)


class OctaAuthenticationError(OctaApiError):
    """401: the key is missing, mistyped or revoked. Attributes as in `OctaApiError`."""

    advice = "Check the API key: OCTA_API_KEY, the connection's password, or api_key=."


class OctaForbiddenError(OctaApiError):
    """403: the key is valid but may not do this. Attributes as in `OctaApiError`."""

    advice = "This key may not do that: use the key of the account that owns it."


class OctaNotFoundError(OctaApiError):
    """404: there is no such thing, or no longer. Attributes as in `OctaApiError`."""

    advice = "Check the id; a session that has ended is found with recent=True."


class OctaValidationError(OctaApiError):
    """422: the API understood the request and refuses its values. Attributes as in `OctaApiError`."""

    advice = "Correct the arguments; sending the same again gives the same answer."


class OctaRateLimitError(OctaApiError):
    """429: too many requests.

    Attributes:
        retry_after: seconds to wait, from the `Retry-After` header; None when it named none.
        (others): as in `OctaApiError`.
    """

    advice = "Ask less often, or try again later."

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 429,
        code: str | None = None,
        request_id: str | None = None,
        body: str = "",
        method: str = "",
        url: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, request_id=request_id, body=body, method=method, url=url)
        self.retry_after = retry_after


class OctaServerError(OctaApiError):
    """5xx: the API or the node failed. For a `POST` the effect may have happened. Attributes as in `OctaApiError`."""

    advice = "Try again later, or another machine; after a POST look for the session before sending it again."


class OctaRejectedError(OctaError):
    """A 2xx answer that starts nothing, such as `[{"id": 0, "status": 1, "reason": "Node not found"}]` (evidence B).

    Attributes:
        reason: why, in the API's words.
        node_id: the node that was asked; None when unknown.
        body: the answer as text, clipped to `MAX_BODY_CHARS`.
    """

    def __init__(self, message: str = "", *, reason: str = "", node_id: int | None = None, body: str = "") -> None:
        super().__init__(message)
        self.reason = plain_words(reason)
        self.node_id = node_id
        self.body = clip_body(body)


class OctaDecodeError(OctaError):
    """An answer that is not what it must be: not JSON, or JSON of another shape.

    Attributes:
        what: what was being read, such as `session` or `GET /sessions`.
        body: what came, as text, clipped to `MAX_BODY_CHARS`.
    """

    def __init__(self, message: str = "", *, what: str = "", body: str = "") -> None:
        super().__init__(message)
        self.what = what
        self.body = clip_body(body)


@dataclass(frozen=True)
class Refusal:
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
    """

    def __init__(self, message: str = "", *, refusals: Sequence[Refusal] = ()) -> None:
        super().__init__(message)
        self.refusals = tuple(refusals)


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


class OctaSshError(OctaError):
    """The rented machine could not be reached, or used, over SSH.

    Attributes:
        lost: True when the connection could not be made or broke off, so that trying again may help.
    """

    def __init__(self, message: str = "", *, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


class OctaLocalFileError(OctaSshError):
    """A file of this machine can't be read or written: asking the rented one again can't help. Attributes as above."""


class OctaUnfetchedError(OctaSshError):
    """Some files of a folder could not be fetched, which the message names. The others are here.

    Attributes:
        fetched: the files that are here.
    """

    def __init__(self, message: str = "", *, lost: bool = False, fetched: Sequence[str] = ()) -> None:
        super().__init__(message, lost=lost)
        self.fetched = tuple(fetched)


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
