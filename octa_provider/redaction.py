"""What a log may show: never the key, and no value that is a secret by its place in a body."""

from __future__ import annotations

from octa_provider.models import decode_json

MASK = "***"
LOGGED_BODY_CHARS = 2_000
#: `envs` is what we send, `user_envs` what the API echoes; a VPN session's `config` holds its private key.
SECRET_FIELDS = frozenset({"envs", "user_envs", "config"})


def without_key(text: str, api_key: str | None) -> str:
    """The text with the key masked."""
    return text.replace(api_key, MASK) if api_key else text


def loggable(value: object) -> object:
    """A body, decoded, without the values of environment variables and configurations; their names stay."""
    if isinstance(value, list):
        return [loggable(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _hidden(item) if key in SECRET_FIELDS else loggable(item) for key, item in value.items()}


def loggable_body(body: bytes) -> str:
    """A body as it came, as text for the log: decoded and redacted when it is JSON, and clipped."""
    try:
        text = repr(loggable(decode_json(body)))
    except ValueError:
        text = body[:LOGGED_BODY_CHARS].decode("utf-8", "replace")
    return text[:LOGGED_BODY_CHARS]


def _hidden(value: object) -> object:
    if isinstance(value, dict):
        return dict.fromkeys(value, MASK)
    return MASK if value else value
