"""Values that are secrets by their place in a payload: environments, and configurations that hold a private key."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["MASK", "NAMES", "cut_before_secrets", "values_in", "without_secrets"]

MASK = "***"
#: `envs` is what we send, `user_envs` what the API echoes; a VPN session's `config` holds its private key.
NAMES = frozenset({"envs", "user_envs", "env", "environment", "config"})
#: What is nested deeper is left out: no payload of ours, and Python's own limit is not far.
MOST_LEVELS = 40
#: Shorter values are no secrets, and stand in every other text.
_SHORTEST_SECRET = 4


def without_secrets(value: object, _levels: int = MOST_LEVELS) -> object:
    """A decoded payload without the values of environments and configurations, at any depth; their names stay."""
    if not isinstance(value, (dict, list)):
        return value
    if not _levels:
        return "(nested too deep)"
    if isinstance(value, list):
        return [without_secrets(item, _levels - 1) for item in value]
    return {
        key: _masked(item) if _is_secret(key) else without_secrets(item, _levels - 1) for key, item in value.items()
    }


def cut_before_secrets(text: str) -> str:
    """A text that is no JSON, up to where an environment may begin: whole, were it whole JSON, it would be masked."""
    written = text.lower()
    found = [at for at in (written.find(f"{name}{quote}") for name in NAMES for quote in ('"', "'", "\\")) if at >= 0]
    return f"{text[: min(found)]}(what follows may hold an environment)" if found else text


def values_in(payload: object, _levels: int = MOST_LEVELS) -> frozenset[str]:
    """The secret texts of a payload that is sent, for masking them in what comes back."""
    found: set[str] = set()
    if isinstance(payload, Mapping) and _levels:
        for key, item in payload.items():
            if _is_secret(key) and isinstance(item, Mapping):
                # Our own names tell which work it is, and stand in messages.
                found |= {
                    text
                    for name, text in item.items()
                    if isinstance(text, str) and len(text) >= _SHORTEST_SECRET and not str(name).startswith("OCTA_")
                }
            else:
                found |= values_in(item, _levels - 1)
    elif isinstance(payload, (list, tuple)) and _levels:
        for item in payload:
            found |= values_in(item, _levels - 1)
    return frozenset(found)


def _is_secret(key: object) -> bool:
    return isinstance(key, str) and key.lower() in NAMES


def _masked(value: object) -> object:
    if isinstance(value, dict):
        return dict.fromkeys(value, MASK)
    return MASK if value else value
