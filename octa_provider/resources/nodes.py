"""`client.nodes`: the account's own nodes."""

from __future__ import annotations

import os
from typing import IO

from octa_provider.address import path_of
from octa_provider.errors import OctaConfigError
from octa_provider.models import Node, Records, decode_list
from octa_provider.transport import Transport


class Nodes:
    """Hosts that this account offers on the marketplace."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        country: str | None = None,
        app: str | None = None,
        retries: int | None = None,
        timeout: float | None = None,
    ) -> Records[Node]:
        """The account's nodes: `GET /nodes`.

        Args:
            country: only nodes in this country.
            app: only nodes that can run this app.
            retries: tries after the first one, for this call.
            timeout: seconds, for this call.
        """
        params = {name: value for name, value in (("country", country), ("app", app)) if value is not None}
        answer = self._transport.get("/nodes", params=params, retries=retries, timeout=timeout)
        return decode_list(Node, answer.json(), "GET /nodes")

    def get(self, node_id: int, *, retries: int | None = None, timeout: float | None = None) -> Node:
        """One node: `GET /nodes/{id}`, whose envelope differs from the list's (B)."""
        return Node.from_payload(
            self._transport.get(path_of("nodes", node_id), retries=retries, timeout=timeout).json()
        )

    def download_ident(
        self,
        node_id: int,
        target: str | os.PathLike[str] | IO[bytes],
        *,
        retries: int | None = None,
        timeout: float | None = None,
    ) -> int:
        """Save the node's identity file: `GET /nodes/{id}/ident`.

        Args:
            node_id: the node.
            target: a path or an open binary file; it gets the whole file or nothing.
            retries: tries after the first one, for this call.
            timeout: seconds that the server may stay silent.

        Returns:
            The number of bytes.
        """
        return self._transport.download(path_of("nodes", node_id, "ident"), target, retries=retries, timeout=timeout)

    def download_logs(
        self,
        node_id: int,
        target: str | os.PathLike[str] | IO[bytes],
        *,
        retries: int | None = None,
        timeout: float | None = None,
    ) -> int:
        """Save the node's logs: `GET /nodes/{id}/logs`. Arguments and result as in `download_ident`."""
        return self._transport.download(path_of("nodes", node_id, "logs"), target, retries=retries, timeout=timeout)

    def update_prices(
        self, node_id: int, *, base_wei: int, storage_wei: int, traffic_wei: int, timeout: float | None = None
    ) -> None:
        """Set the node's prices: `PATCH /nodes/{id}/prices`, never retried.

        Args:
            node_id: the node.
            base_wei: price of an hour, in wei.
            storage_wei: price of storage, in wei.
            traffic_wei: price of traffic, in wei.
            timeout: seconds, for this call.
        """
        prices = {"base": base_wei, "storage": storage_wei, "traffic": traffic_wei}
        for name, value in prices.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise OctaConfigError(f"{name}_wei must be a whole number of wei, 0 or more")
        self._transport.send("PATCH", path_of("nodes", node_id, "prices"), json=prices, timeout=timeout)

    def reboot(self, node_id: int, *, timeout: float | None = None) -> None:
        """Reboot the node: `GET /nodes/{id}/reboot`, a GET with a side effect, so never retried."""
        self._transport.send("GET", path_of("nodes", node_id, "reboot"), timeout=timeout)
