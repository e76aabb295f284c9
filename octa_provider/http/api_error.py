"""From an answer with an error status to the error that says what to do about it."""

from __future__ import annotations

from http import HTTPStatus

from octa_provider.errors import (
    OctaApiError,
    OctaAuthenticationError,
    OctaForbiddenError,
    OctaNotFoundError,
    OctaRateLimitError,
    OctaServerError,
    OctaValidationError,
    without_user_info,
)
from octa_provider.models import decode_json
from octa_provider.text.plain_text import plain_words

__all__ = ["api_error"]

_BY_STATUS: dict[int, type[OctaApiError]] = {
    401: OctaAuthenticationError,
    403: OctaForbiddenError,
    404: OctaNotFoundError,
    422: OctaValidationError,
    429: OctaRateLimitError,
}


def api_error(
    status: int,
    *,
    method: str,
    url: str,
    body: str = "",
    request_id: str | None = None,
    retry_after: float | None = None,
) -> OctaApiError:
    """Build the error for an answer with an error status.

    Args:
        status: the HTTP status.
        method: the HTTP method.
        url: the URL that answered.
        body: the body as text, with the key masked: `{"message"?, "error"?, "detail"?, "code"?}` or anything else
            (evidence C).
        request_id: the `x-request-id` header.
        retry_after: seconds from the `Retry-After` header; used for 429 alone.

    Returns:
        The child of `OctaApiError` for the status; `OctaApiError` itself for one without a child.
    """
    reason, code = _reason_and_code(body)
    kind = OctaServerError if 500 <= status <= 599 else _BY_STATUS.get(status, OctaApiError)
    try:
        title = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        title = str(status)
    shown_url = without_user_info(url)
    message = f"{method} {shown_url} answered {title}"
    if reason:
        message += f": {reason.rstrip('.')}"
    if request_id:
        message += f" (request id {request_id})"
    if kind is OctaRateLimitError:
        advice = kind.advice if retry_after is None else f"Try again in {retry_after:g} s."
        return OctaRateLimitError(
            f"{message}. {advice}",
            status=status,
            code=code,
            request_id=request_id,
            body=body,
            method=method,
            url=url,
            retry_after=retry_after,
        )
    return kind(
        f"{message}. {kind.advice}",
        status=status,
        code=code,
        request_id=request_id,
        body=body,
        method=method,
        url=url,
    )


def _reason_and_code(body: str) -> tuple[str, str | None]:
    try:
        payload = decode_json(body.encode("utf-8", "replace"))
    except ValueError:
        # A proxy's HTML page or plain text: its first line is the best there is.
        return plain_words(body.strip().partition("\n")[0][:200]), None
    if not isinstance(payload, dict):
        return "", None
    reasons = [payload[key] for key in ("message", "error", "detail") if isinstance(payload.get(key), str)]
    code = payload.get("code")
    return (
        next((plain_words(reason[:500]) for reason in reasons if reason.strip()), ""),
        str(code)[:100] if isinstance(code, (str, int)) and not isinstance(code, bool) else None,
    )
