"""An Airflow connection of type `octa`, read into the arguments of the core's client."""

from __future__ import annotations

import ast
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_provider.templated import as_float, as_int, as_text

if TYPE_CHECKING:
    from octa_provider import OctaClient
    from octa_provider.rental.intents import Intents

__all__ = ["ConnectionSettings"]

_WHAT_EXTRA_IS = 'give one such as {"ssh_key_file": "/home/airflow/.ssh/id_ed25519"}, or leave it empty.'


@dataclass(frozen=True)
class ConnectionSettings:
    """What a connection says. Plain values: they can be remembered and used where Airflow must not be asked.

    Attributes:
        base_url: one URL, or several separated by commas; None for the core's default.
        api_key: the key; never part of the repr.
        timeout: seconds for one answer.
        retries: how often a read is repeated.
        ssh_private_key: a path, or the PEM text itself; never part of the repr.
        allow_http: whether plain http is accepted beyond loopback.
        namespace: what every rental key begins with; None where the connection names none. See `named`.
        organization_id: the organisation that pays for machines; None where the connection names none.
        project_id: what for, in that organisation.
    """

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 30.0
    retries: int = 2
    ssh_private_key: str | None = field(default=None, repr=False)
    allow_http: bool = False
    namespace: str | None = None
    organization_id: str | None = None
    project_id: str | None = None

    @classmethod
    def from_connection(cls, connection: Any, extra: Mapping[str, Any] | None = None) -> ConnectionSettings:
        """Read a connection.

        Args:
            connection: host = base URL(s), password = API key, extra = `timeout`, `retries`, `ssh_key_file` or
                `ssh_private_key`, `allow_http`, `namespace`, `organization_id`, `project_id`.
            extra: its extra, where it has been read already: on an event loop that must not block.

        Raises:
            ValueError: a field holds something it cannot.
        """
        extra = _extra(connection, extra)
        timeout = as_float("timeout", extra.get("timeout"))
        retries = as_int("retries", extra.get("retries"))
        return cls(
            base_url=_base_url(connection),
            api_key=as_text("password", (connection.password or "").strip()),
            timeout=cls.timeout if timeout is None else timeout,
            retries=cls.retries if retries is None else retries,
            ssh_private_key=as_text("ssh_private_key", str(extra.get("ssh_private_key") or ""))
            or as_text("ssh_key_file", str(extra.get("ssh_key_file") or "")),
            allow_http=str(extra.get("allow_http", "")).strip().lower() in {"true", "1", "yes", "on"},
            namespace=as_text("namespace", str(extra.get("namespace") or "").strip())
            or as_text("OCTA_NAMESPACE", os.environ.get("OCTA_NAMESPACE")),
            organization_id=_id(extra.get("organization_id")),
            project_id=_id(extra.get("project_id")),
        )

    def named(self, namespace: str | None = None) -> ConnectionSettings:
        """The same with the namespace that counts: the connection's, else `OCTA_NAMESPACE`, else this Airflow's own.

        Args:
            namespace: one that was told before, so that Airflow is not asked; it counts before all others.

        Raises:
            OctaAirflowUnreachableError: Airflow can't be asked now.
        """
        if namespace is None and self.namespace is not None:
            return self
        if namespace is None:
            # Only what rents or looks for what was rented asks for it.
            from airflow_provider.namespace import default_namespace

            namespace = default_namespace()
        return replace(self, namespace=namespace)

    def client(
        self, *, timeout: float | None = None, retries: int | None = None, intents: Intents | None = None
    ) -> OctaClient:
        """A new client of the core with these settings.

        Args:
            timeout, retries: instead of the connection's own.
            intents: where it writes down what it is about to rent; a folder of this machine when left out.
        """
        from octa_provider import OctaClient

        # Each task is a process, which would say again of the same odd record that it is left out.
        odd_records = logging.getLogger("octa_provider.wire.records")
        if odd_records.level == logging.NOTSET:
            odd_records.setLevel(logging.ERROR)
        return OctaClient(
            self.api_key,
            base_url=self.base_url,
            timeout=self.timeout if timeout is None else timeout,
            retries=self.retries if retries is None else retries,
            allow_http=self.allow_http,
            namespace=self.namespace,
            organization_id=self.organization_id,
            project_id=self.project_id,
            intents=intents,
        )


def _id(value: object) -> str | None:
    return None if value is None else str(value).strip() or None


def _base_url(connection: Any) -> str | None:
    host = (connection.host or "").strip()
    if not host:
        return None
    # A connection written as a URI (`octa://:key@localhost:8080`) comes in parts; one from the form is a whole URL.
    scheme = connection.schema if connection.schema in {"http", "https"} else "https"
    urls = [part.strip() for part in host.split(",") if part.strip()]
    urls = [url if "://" in url else f"{scheme}://{url}" for url in urls]
    if connection.port and len(urls) == 1:
        urls = [f"{urls[0].rstrip('/')}:{connection.port}"]
    return ",".join(urls)


def _read(text: str) -> Any:
    # Python's text of a dict is what people paste out of code.
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    raise ValueError(f"its extra is no JSON: {_WHAT_EXTRA_IS}")


def _extra(connection: Any, known: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A connection's extra as an object; also one that was encoded twice, as some secrets backends do.

    Raises:
        ValueError: it is something else. Airflow itself takes text that is no JSON for an empty one.
    """
    if isinstance(known, Mapping) and known:
        return known
    text = connection.extra
    value: Any = text
    for _ in range(2):
        if not isinstance(value, str) or not value.strip():
            break
        value = _read(value)
    if value is None or value == "":
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"its extra is a {type(value).__name__} and no JSON object: {_WHAT_EXTRA_IS}")
    return value
