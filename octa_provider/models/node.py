"""The account's own nodes, from both of their envelopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from octa_provider.models.fields import integer, label, mapping, strings, text
from octa_provider.models.hardware import Reliability, decode_reliability
from octa_provider.models.model import Model
from octa_provider.models.wire import require_object

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Node", "NodePrices"]


class NodePrices(Model, frozen=True, kw_only=True):
    """What a node's owner asks.

    Attributes:
        base_wei: wei per hour.
        storage_wei, traffic_wei: wei per unit of storage and traffic.
    """

    base_wei: int | None = None
    storage_wei: int | None = None
    traffic_wei: int | None = None


class Node(Model, frozen=True, kw_only=True):
    """A node of `GET /nodes` or `GET /nodes/{id}`: two envelopes (evidence B), one view.

    Attributes:
        node_id: the node; None when the answer does not repeat it.
        ip: its address.
        state: the API's word or number for its state, as text.
        osn: the version of its node software.
        uptime_s: seconds since it came up.
        country, city: where it stands.
        prices: what it asks; None in the detail envelope.
        reliability: only in the detail envelope.
        features: only in the detail envelope.
        system: the system figures: `system` of the list, `data` of the detail.
    """

    node_id: int | None = None
    ip: str | None = None
    state: str | None = None
    osn: str | None = None
    uptime_s: int | None = None
    country: str | None = None
    city: str | None = None
    prices: NodePrices | None = None
    reliability: Reliability | None = None
    features: tuple[str, ...] = ()
    system: dict[str, Any] = msgspec.field(default_factory=dict)

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Decode. Raises OctaDecodeError when the payload is not an object."""
        raw = require_object(payload, "node")
        system = mapping(raw.get("system")) or mapping(raw.get("data"))
        location = mapping(raw.get("location"))
        node_id = integer(raw.get("id"))
        return cls(
            raw=raw,
            node_id=integer(raw.get("node_id")) if node_id is None else node_id,
            ip=text(raw.get("ip")),
            state=label(raw.get("state")),
            osn=label(raw.get("osn")),
            uptime_s=integer(raw.get("uptime")),
            country=text(location.get("country")) or text(raw.get("country")),
            city=text(location.get("city")) or text(raw.get("city")),
            prices=_prices(raw.get("prices")),
            reliability=decode_reliability(raw.get("reliability")),
            features=strings(raw.get("features")),
            system=system,
        )


def _prices(value: object) -> NodePrices | None:
    raw = mapping(value)
    if not raw:
        return None
    return NodePrices(
        raw=raw,
        base_wei=integer(raw.get("base")),
        storage_wei=integer(raw.get("storage")),
        traffic_wei=integer(raw.get("traffic")),
    )
