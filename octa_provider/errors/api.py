"""Errors of a request: no answer, or one with an error status."""

from __future__ import annotations

from typing import ClassVar

from octa_provider.errors.root import OctaError, clip_body, without_user_info
from octa_provider.text.plain_text import plain_words


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
    """No answer arrived within the timeout.

    Attributes:
        maybe_sent: True when the request may have reached the server, so that its effect may have happened.
        method: the HTTP method, such as `POST`.
        url: the URL, without user info.
        final: True when asking again can't help.
        unreached_s: for how many seconds this client has been refused connections by a host that has never answered it;
            None for other failures.
    """


class OctaApiError(OctaError):
    """The API answered with an error status. `octa_provider.http.api_error` words the message.

    Attributes:
        status: the HTTP status; 0 when unknown.
        code: the `code` field of the body, as text (evidence C); None when there is none.
        request_id: the `x-request-id` response header (evidence S): quote it to OctaSpace's support.
        body: the body as text, clipped to `MAX_BODY_CHARS`.
        method: the HTTP method.
        url: the URL, without user info.
    """

    #: What to do next; part of the message that `octa_provider.http.api_error` writes.
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
    """401: the key is missing, mistyped or revoked.

    Attributes:
        status: the HTTP status; 0 when unknown.
        code: the `code` field of the body, as text; None when there is none.
        request_id: the `x-request-id` response header: quote it to OctaSpace's support.
        body: the body as text, clipped to `MAX_BODY_CHARS`.
        method: the HTTP method.
        url: the URL, without user info.
    """

    advice = "Check the API key: OCTA_API_KEY, the connection's password, or api_key=."


class OctaForbiddenError(OctaApiError):
    """403: the key is valid but may not do this.

    Attributes:
        status: the HTTP status; 0 when unknown.
        code: the `code` field of the body, as text; None when there is none.
        request_id: the `x-request-id` response header: quote it to OctaSpace's support.
        body: the body as text, clipped to `MAX_BODY_CHARS`.
        method: the HTTP method.
        url: the URL, without user info.
    """

    advice = "This key may not do that: use the key of the account that owns it."


class OctaNotFoundError(OctaApiError):
    """404: there is no such thing, or no longer.

    Attributes:
        status: the HTTP status; 0 when unknown.
        code: the `code` field of the body, as text; None when there is none.
        request_id: the `x-request-id` response header: quote it to OctaSpace's support.
        body: the body as text, clipped to `MAX_BODY_CHARS`.
        method: the HTTP method.
        url: the URL, without user info.
    """

    advice = "Check the id; a session that has ended is found with recent=True."


class OctaValidationError(OctaApiError):
    """422: the API understood the request and refuses its values.

    Attributes:
        status: the HTTP status; 0 when unknown.
        code: the `code` field of the body, as text; None when there is none.
        request_id: the `x-request-id` response header: quote it to OctaSpace's support.
        body: the body as text, clipped to `MAX_BODY_CHARS`.
        method: the HTTP method.
        url: the URL, without user info.
    """

    advice = "Correct the arguments; sending the same again gives the same answer."


class OctaRateLimitError(OctaApiError):
    """429: too many requests.

    Attributes:
        retry_after: seconds to wait, from the `Retry-After` header; None when it named none.
        status: the HTTP status; 0 when unknown.
        code: the `code` field of the body, as text; None when there is none.
        request_id: the `x-request-id` response header: quote it to OctaSpace's support.
        body: the body as text, clipped to `MAX_BODY_CHARS`.
        method: the HTTP method.
        url: the URL, without user info.
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
    """5xx: the API or the node failed. For a `POST` the effect may have happened.

    Attributes:
        status: the HTTP status; 0 when unknown.
        code: the `code` field of the body, as text; None when there is none.
        request_id: the `x-request-id` response header: quote it to OctaSpace's support.
        body: the body as text, clipped to `MAX_BODY_CHARS`.
        method: the HTTP method.
        url: the URL, without user info.
    """

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
