"""`client.apps`: the catalogue of ready-made apps."""

from __future__ import annotations

from octa_provider.models import App, Records, decode_list
from octa_provider.transport import Transport


class Apps:
    """Apps that a machine can be rented with."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, retries: int | None = None, timeout: float | None = None) -> Records[App]:
        """Every app: `GET /apps`."""
        return decode_list(App, self._transport.get("/apps", retries=retries, timeout=timeout).json(), "GET /apps")
