"""Environment variables that reach a job's command over SSH alone, and so never the API.

Nothing here quotes a value, nor a name that can't be one: it may be a value in the wrong place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from octa_provider import errors
from octa_provider.market.request_checks import is_env_name, is_sendable_text

MASK = "***"
#: What Linux takes for one `NAME=value` and its end; with more, no program starts at all.
LONGEST_BYTES = 128 * 1024


def checked_secret_envs(value: object, envs: Mapping[str, str], taken: Iterable[str]) -> dict[str, str]:
    """The secrets of a job, as a mapping of their own that nobody else changes.

    Args:
        value: what was given.
        envs: the job's other environment variables.
        taken: names that the job itself needs.

    Raises:
        OctaConfigError: they can't be set, in one sentence without any value.
    """
    if not isinstance(value, Mapping):
        raise errors.OctaConfigError(f"secret_envs must be a mapping of names to texts, not {type(value).__name__}")
    for name, text in value.items():
        if not is_env_name(name):
            raise errors.OctaConfigError(
                "secret_envs: one of the names is not a name of an environment variable: "
                "letters, digits and _, and no digit first"
            )
        if not is_sendable_text(text):
            raise errors.OctaConfigError(
                f"secret_envs: the value of {name} must be text, without NUL characters and halves of surrogate pairs"
            )
        if len(f"{name}={text}".encode()) >= LONGEST_BYTES:
            raise errors.OctaConfigError(
                f"secret_envs: the value of {name} is longer than the 128 kB that a program can be given: send a file"
            )
        if name in envs:
            raise errors.OctaConfigError(f"{name} is in envs and in secret_envs: give it in one of them")
        if name in taken:
            raise errors.OctaConfigError(
                f"secret_envs must not set {name}: it carries the job's nonce or its rental key"
            )
    return dict(value)


def without_values(text: str, secret_envs: Mapping[str, str]) -> str:
    """A text of the machine's with the secrets masked, also where a shell has quoted them or broken their lines.

    Args:
        text: what the machine said.
        secret_envs: the secrets that were sent to it.
    """
    # Quoting for the shell changes nothing but the quotation marks between these.
    lines = (value.replace("\r", "\n").replace("'", "\n").split("\n") for value in secret_envs.values())
    pieces = {piece for parts in lines for piece in parts if piece.strip()}
    for piece in sorted(pieces, key=len, reverse=True):
        text = text.replace(piece, MASK)
    return text
