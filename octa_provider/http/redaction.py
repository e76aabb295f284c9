"""What a log or an error may show: never the key, and no value that is a secret by its place in a body."""

from __future__ import annotations

import json

from octa_provider.models import decode_json
from octa_provider.wire.secret_fields import MASK, cut_before_secrets, values_in, without_secrets

LOGGED_BODY_CHARS = 2_000
#: A longer body is not decoded for the log: it may take seconds.
DECODED_BYTES = 1024 * 1024


def without_key(text: str, api_key: str | None) -> str:
    """The text with the key masked.

    Args:
        text: what is about to be shown.
        api_key: the key; None where there is none.
    """
    return text.replace(api_key, MASK) if api_key else text


def loggable(value: object) -> object:
    """A body, decoded, without the values of environment variables and configurations; their names stay."""
    return without_secrets(value)


def loggable_body(body: bytes, sent: object = None) -> str:
    """A body as it came, as text for the log: decoded and redacted when it is JSON, and clipped. Never fails.

    Args:
        body: of any size.
        sent: the payload of the request.
    """
    if len(body) > DECODED_BYTES:
        return f"({len(body)} bytes)"
    try:
        text = repr(loggable(decode_json(body)))
    except (ValueError, RecursionError):
        text = cut_before_secrets(body[:LOGGED_BODY_CHARS].decode("utf-8", "replace"))
    return _masked(text, sent)[:LOGGED_BODY_CHARS]


def error_body(body: bytes, sent: object) -> str:
    """The body of an error for whoever gets the error: as it came, but for secrets.

    Args:
        body: at most a few MB.
        sent: the payload of the request: what it holds as an environment is masked wherever it is quoted.
    """
    text = body.decode("utf-8", "replace")
    try:
        value = decode_json(body)
        redacted = without_secrets(value)
        if redacted != value:
            text = json.dumps(redacted, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = cut_before_secrets(text)
    return _masked(text, sent)


def _masked(text: str, sent: object) -> str:
    for secret in sorted(values_in(sent), key=len, reverse=True):
        for written in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
            text = text.replace(written, MASK)
    return text
