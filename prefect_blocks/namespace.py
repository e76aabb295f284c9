"""The namespace that tells this installation of Prefect from others that rent on the same account.

Two Prefects on one account must neither adopt nor reap each other's machines, and all parts of one must agree: flows,
the processes of task runners, workers, hooks, the reaper, and flow runs on rented machines. So it is made of what all
of them are told: the address of Prefect's API.
"""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prefect.settings import get_current_settings
from pydantic import SecretStr

from octa_provider.http.urls import is_loopback
from octa_provider.rental.key import NAMESPACE_ENV

if TYPE_CHECKING:
    from prefect.settings import Settings

__all__ = ["default_namespace", "namespace_here"]

_PORTS = {"http": 80, "https": 443}
_LABEL_CHARS = 60
#: Where a computer keeps an id of its own; containers mostly have none.
MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def namespace_here(given: str = "") -> str:
    """The namespace to use: the given one, else that of the environment variable `OCTA_NAMESPACE`, else the default.

    Args:
        given: as the credentials have it; may be empty.
    """
    return given.strip() or os.environ.get(NAMESPACE_ENV, "").strip() or default_namespace()


def default_namespace() -> str:
    """What tells this installation from others: the workspace in Prefect Cloud, else the server, else its database.

    A loopback address is the same text on every computer, and so is the path of a SQLite file: those are told apart by
    the computer's own id. There is no secret in it: what is not the host's name is hashed.
    """
    settings = get_current_settings()
    if settings.api.url:
        return _of_url(str(settings.api.url))
    return _named("local", _database(settings))


def _of_url(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower().rstrip(".")
    path = parts.path.rstrip("/")
    cloud = path.lower().partition("/accounts/")[2]
    if cloud:
        # The same workspace, by whichever address it is reached.
        return _named("prefect-cloud", cloud)
    try:
        port = parts.port or _PORTS.get(parts.scheme.lower(), 0)
    except ValueError:
        port = 0
    # `/api` is Prefect's own; what is in front of it is where a proxy serves it.
    path = path.removesuffix("/api")
    if is_loopback(host):
        # localhost, 127.0.0.1 and ::1 are the same server.
        return _named(f"localhost-{port}", f"{_this_computer()} {port} {path}")
    shown = "" if port in _PORTS.values() else f":{port}"
    return _named(host, f"{host}{shown}{path}")


def _database(settings: Settings) -> str:
    url = settings.server.database.connection_url
    text = url.get_secret_value() if isinstance(url, SecretStr) else url
    if not text:
        return f"{_this_computer()} {Path(settings.home).expanduser()}"
    parts = urlsplit(text)
    if parts.hostname:
        # Without user and password, which differ from part to part and are no one's business.
        return f"{parts.hostname.lower()}:{parts.port or ''}{parts.path}"
    return f"{_this_computer()} {parts.path}"


def _this_computer() -> str:
    for path in MACHINE_IDS:
        try:
            if found := path.read_text().strip():
                return found
        except (OSError, ValueError):
            continue
    return socket.gethostname()


def _named(label: str, what: str) -> str:
    digest = hashlib.sha256(f"octa-provider {what}".encode()).hexdigest()[:12]
    return f"{label[:_LABEL_CHARS]}-{digest}"
