"""Sessions as the API shows them, oddities included."""

from __future__ import annotations

from typing import Any

from octa_provider.emulator.container.container import SESSION_HOST
from octa_provider.emulator.http.quirks import Quirks
from octa_provider.emulator.platform.billing import wall_ns
from octa_provider.emulator.platform.catalogue import Node
from octa_provider.emulator.platform.end_reasons import OWN_REASONS
from octa_provider.emulator.platform.platform import Platform
from octa_provider.emulator.platform.prices import MARKET_PRICE_USD, ten_thousandths_usd
from octa_provider.emulator.platform.session import Session

VPN_ADDRESS = "10.8.0.2"
#: Evidence C: 0 is a normal end, 1 the idle limit, anything else an error.
NORMAL_END = 0
ERROR_END = 2
#: The TypeScript SDK's example waits for the flag alone, and must see it in the end.
FLAG_LAGS_NS = 2 * 10**9


def session_payload(platform: Platform, session: Session) -> dict[str, Any]:
    """One session as in `/info` and `/sessions`."""
    quirks, ordinal, order = platform.quirks, session.ordinal, session.order
    now_ms = platform.clock.now_ms()
    duration_s = session.billed_ms(now_ms) // 1000
    node = platform.nodes.get(order.node_id)
    payload: dict[str, Any] = {
        "uuid": session.uuid,
        "service": order.service,
        "kind": order.subkind or order.service,
        "app_name": order.app_name or None,
        "app_logo": f"https://example.com/logos/{order.app_name.replace(' ', '-')}.png" if order.app_name else None,
        "node_id": order.node_id,
        "progress": session.progress,
        "is_ready": _is_ready(quirks, session),
        "duration": quirks.number(duration_s, "duration", ordinal),
        "started_at": quirks.time(platform.started_ms(session), ordinal),
        "ports_matrix": quirks.mapping(session.ports_matrix, "ports matrix", ordinal),
        "urls": quirks.mapping(session.urls, "urls", ordinal),
        "tx": quirks.number(session.tx_bytes(now_ms), "tx", ordinal),
        "rx": quirks.number(session.rx_bytes(now_ms), "rx", ordinal),
        "charge_amount": quirks.number(session.charge_wei(now_ms), "charge", ordinal),
        "user_envs": dict(order.envs),
        "container_id": _container_id(platform, session),
        "prices": {
            **_price(session),
            "currency_usd": True,
            "market_price": MARKET_PRICE_USD,
        },
    }
    if node is not None:
        payload |= node.session_payload
        payload["ip"] = _private_ip(session)
    if session.ssh_port and session.running:
        payload["ssh_direct"] = {"host": SESSION_HOST, "port": session.ssh_port}
        payload["ssh_proxy"] = {"host": "localhost", "port": session.ssh_proxy_port or session.ssh_port}
        payload["ssh_web"] = f"https://ssh.example.com/{session.uuid}"
    if order.service == "vpn":
        payload["config"] = _vpn_config(session, node) if session.is_ready else None
    if not session.running:
        payload["finished_at"] = platform.finished_ms(session)
        payload["termination_reason"] = _termination_reason(quirks, session)
    return payload


def catalogue_payload(platform: Platform, service: str) -> list[Any]:
    """The machines that the catalogue of a service offers; full ones too, as theirs refresh slowly."""
    online = [node for node in platform.nodes.values() if node.online]
    if service == "vpn":
        return [node.vpn_payload for node in online]
    records: list[Any] = [node.payload for node in online]
    if platform.quirks.enabled:
        # One bad record must never take the rest down (evidence B). It is an object: no client has ever met another.
        records.insert(min(1, len(records)), {"node_id": None, "gpus": "none"})
    return records


def _is_ready(quirks: Quirks, session: Session) -> bool | None:
    """Some sessions tell first by the text alone that they are ready: both forms are documented. The flag follows."""
    by_text = quirks.shows("ready by text", session.ordinal)
    if session.is_ready and by_text and wall_ns() - session.ready_ns < FLAG_LAGS_NS:
        return None
    return session.is_ready


def _price(session: Session) -> dict[str, int]:
    if session.order.service == "vpn":
        return {"traffic_usd": ten_thousandths_usd(session.traffic_price_wei)}
    return {"base_usd": ten_thousandths_usd(session.price_wei)}


def _termination_reason(quirks: Quirks, session: Session) -> str | int | None:
    """A number of the official clients' enum, at times as text; a reason that a test gave, as it gave it."""
    reason = session.termination_reason
    if session.stopped_by == "api":
        return quirks.number(NORMAL_END, "reason as text", session.ordinal)
    return quirks.number(ERROR_END, "reason as text", session.ordinal) if reason in OWN_REASONS else reason


def _container_id(platform: Platform, session: Session) -> str | list[str]:
    if not session.is_ready:
        return ""
    identity = session.uuid.replace("-", "")
    if platform.quirks.shows("container ids", session.ordinal):
        return [identity, identity[::-1]]
    return identity


def _private_ip(session: Session) -> str:
    """The session's address behind the node: in its VPN, or among its containers."""
    return (
        VPN_ADDRESS
        if session.order.service == "vpn"
        else f"172.17.{session.ordinal // 250 % 250}.{session.ordinal % 250 + 2}"
    )


def _vpn_config(session: Session, node: Node | None) -> str | dict[str, Any]:
    address = "203.0.113.1" if node is None else node.public_ip
    if session.order.subkind == "http_proxy":
        return {"ip": address, "port": 3128}
    if session.order.subkind == "wg":
        return (
            f"[Interface]\nAddress = {VPN_ADDRESS}/32\n\n[Peer]\nEndpoint = {address}:51820\nAllowedIPs = 0.0.0.0/0\n"
        )
    if session.order.subkind == "openvpn":
        return f"client\ndev tun\nproto udp\nremote {address} 1194\n"
    scheme = session.order.protocol or session.order.subkind
    return f"{scheme}://{session.uuid}@{address}:8443"
