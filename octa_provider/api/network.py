"""`client.network`: public statistics of the whole network."""

from __future__ import annotations

from octa_provider.http.transport import Transport
from octa_provider.models import Network as NetworkStatistics


class Network:
    """The network's statistics, the one thing that needs no key (S)."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, *, retries: int | None = None, timeout: float | None = None) -> NetworkStatistics:
        """Statistics: `GET /network`. Any part of them may be missing.

        Args:
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        answer = self._transport.get("/network", public=True, retries=retries, timeout=timeout)
        return NetworkStatistics.from_payload(answer.json())
