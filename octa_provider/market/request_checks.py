"""What can stand in a request, checked before any money is spent.

Apart from the requests themselves: a DAG file that is parsed checks its job by this, and makes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from octa_provider import errors
from octa_provider.wire.labels import LABELS_ENV, checked_labels

__all__ = [
    "check_text",
    "checked_disk",
    "checked_envs",
    "checked_machine",
    "checked_ports",
    "is_env_name",
    "is_sendable_text",
]


def checked_machine(given: Mapping[str, Any]) -> dict[str, Any]:
    """What there is to check of a `MachineRequest` but its payer.

    Args:
        given: its fields by name; what is left out is as the request has it.

    Returns:
        Those that are kept in another form than they were given in.

    Raises:
        OctaConfigError: one that the API could only refuse.
    """
    for name in ("image", "start_command", "entrypoint", "app"):
        check_text(name, given.get(name, ""))
    image = given.get("image", "")
    if any(c.isspace() for c in image) or not (image or given.get("app")):
        raise errors.OctaConfigError("image must name a container image without spaces, such as 'blender:4.5'")
    return {
        "disk_gb": checked_disk(given.get("disk_gb", 10)),
        "envs": checked_envs(given.get("envs", {})),
        "ports": checked_ports("ports", given.get("ports", ())),
        "http_ports": checked_ports("http_ports", given.get("http_ports", ())),
        "labels": checked_labels(given.get("labels", {})),
    }


def checked_disk(value: object) -> int:
    """The disk in GB; raises OctaConfigError unless it is a whole number from 1 to 100,000."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100_000:
        raise errors.OctaConfigError(f"disk_gb must be a whole number of GB from 1 to 100000, not {value!r}")
    return value


def is_env_name(name: object) -> bool:
    """Whether this can be the name of an environment variable."""
    return isinstance(name, str) and name.isascii() and name.isidentifier()


def is_sendable_text(value: object) -> bool:
    """Whether this is text that UTF-8 and a C string can hold."""
    return isinstance(value, str) and "\0" not in value and not any(0xD800 <= ord(c) <= 0xDFFF for c in value)


def checked_envs(value: object) -> dict[str, str]:
    """Environment variables as a mapping of their own; raises OctaConfigError for what the API could only refuse."""
    if not isinstance(value, Mapping):
        raise errors.OctaConfigError(f"envs must be a mapping of names to texts, not {type(value).__name__}")
    for name, text in value.items():
        if not is_env_name(name):
            raise errors.OctaConfigError(f"envs: {name!r} is not a name of an environment variable")
        check_text(f"envs: the value of {name}", text)
    if LABELS_ENV in value:
        raise errors.OctaConfigError(f"envs must not set {LABELS_ENV}: it carries the labels, which are given apart")
    return dict(value)


def check_text(name: str, value: object) -> None:
    """Raise OctaConfigError for what is no text that can be sent.

    Args:
        name: what it is, for the error.
        value: what was given.
    """
    # The value is not quoted: it may be a secret.
    if not is_sendable_text(value):
        raise errors.OctaConfigError(f"{name} must be text, without NUL characters and halves of surrogate pairs")


def checked_ports(name: str, value: object) -> tuple[int, ...]:
    """Port numbers as a tuple; raises OctaConfigError for what is none.

    Args:
        name: the argument's, for the error.
        value: one port, or several.
    """
    ports = tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else (value,)
    for port in ports:
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
            raise errors.OctaConfigError(f"{name} must be port numbers from 1 to 65535, not {port!r}")
    return ports
