"""`client.apps`: the catalogue of ready-made apps."""

from __future__ import annotations

from octa_provider.http.transport import Transport
from octa_provider.models import App, Records, decode_list


class Apps:
    """Apps that a machine can be rented with."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, category: str | None = None, retries: int | None = None, timeout: float | None = None
    ) -> Records[App]:
        """Every app: `GET /apps`.

        Args:
            category: only apps of this category, such as `AI` (evidence C).
            retries: tries after the first one, for this call.
            timeout: seconds, for this call, by the name that `requests` has for it.
        """
        params = None if category is None else {"category": category}
        answer = self._transport.get("/apps", params=params, retries=retries, timeout=timeout)
        return decode_list(App, answer.json(), "GET /apps")
