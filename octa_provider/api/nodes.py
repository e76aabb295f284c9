"""`client.nodes`: the account's own nodes."""

from __future__ import annotations

import math
import os
from typing import IO

from octa_provider.errors import OctaConfigError
from octa_provider.http.transport import Transport
from octa_provider.http.urls import path_of
from octa_provider.models import Node, Records, decode_list


class Nodes:
    """Hosts that this account offers on the marketplace."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        country: str | None = None,
        state: str | None = None,
        app: str | None = None,
        retries: int | None = None,
        timeout: float | None = None,
    ) -> Records[Node]:
        """The account's nodes: `GET /nodes`.

        Args:
            country: only nodes in this country.
            state: only nodes in this state, such as `online` (evidence C).
            app: only nodes that can run this app.
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        filters = {"country": country, "state": state, "app": app}
        params = {name: value for name, value in filters.items() if value is not None}
        answer = self._transport.get("/nodes", params=params, retries=retries, timeout=timeout)
        return decode_list(Node, answer.json(), "GET /nodes")

    def get(self, node_id: int, *, retries: int | None = None, timeout: float | None = None) -> Node:
        """One node: `GET /nodes/{id}`, whose envelope differs from the list's (B).

        Args:
            node_id: the node.
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
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
            timeout: seconds that the server may stay silent, by the name that `requests` has for it.

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
        """Save the node's logs: `GET /nodes/{id}/logs`.

        Args:
            node_id: the node.
            target: a path or an open binary file; it gets the whole file or nothing.
            retries: tries after the first one, for this call.
            timeout: seconds that the server may stay silent, by the name that `requests` has for it.

        Returns:
            The number of bytes.
        """
        return self._transport.download(path_of("nodes", node_id, "logs"), target, retries=retries, timeout=timeout)

    def update_prices(
        self,
        node_id: int,
        *,
        base_wei: int | None = None,
        storage_wei: int | None = None,
        traffic_wei: int | None = None,
        gpu_hour: float | None = None,
        cpu_hour: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """Set some of the node's prices: `PATCH /nodes/{id}/prices`, never retried. Those that are left out stay.

        Args:
            node_id: the node.
            base_wei: price of an hour, in wei.
            storage_wei: price of storage, in wei.
            traffic_wei: price of traffic, in wei.
            gpu_hour: price of an hour of its GPU, in the API's unit (evidence C: the Ruby SDK's `gpu_hour: 0.5`).
            cpu_hour: the same for its CPU.
            timeout: seconds, for this call, by the name that `requests` has for it.

        Raises:
            OctaConfigError: no price was given, or one is no price.
        """
        prices: dict[str, int | float] = {}
        for name, wei in (("base", base_wei), ("storage", storage_wei), ("traffic", traffic_wei)):
            if wei is None:
                continue
            if isinstance(wei, bool) or not isinstance(wei, int) or wei < 0:
                raise OctaConfigError(f"{name}_wei must be a whole number of wei, 0 or more")
            prices[name] = wei
        for name, price in (("gpu_hour", gpu_hour), ("cpu_hour", cpu_hour)):
            if price is None:
                continue
            if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 <= price < math.inf:
                raise OctaConfigError(f"{name} must be a price, 0 or more")
            prices[name] = price
        if not prices:
            raise OctaConfigError("give a price: base_wei, storage_wei, traffic_wei, gpu_hour or cpu_hour")
        self._transport.send("PATCH", path_of("nodes", node_id, "prices"), json=prices, timeout=timeout)

    def reboot(self, node_id: int, *, timeout: float | None = None) -> None:
        """Reboot the node: `GET /nodes/{id}/reboot`, a GET with a side effect, so never retried.

        Args:
            node_id: the node.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        self._transport.send("GET", path_of("nodes", node_id, "reboot"), timeout=timeout)
