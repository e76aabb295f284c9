"""From the body of a start request to an order, or to the sentence that says what is wrong with it."""

from __future__ import annotations

import math
from typing import Any

from octa_provider.emulator.platform.session import Order
from octa_provider.market.request import V2RAY_PROTOCOLS, VPN_SUBKINDS

MAX_DISK_GB = 100_000
#: What a node's owner may ask: in wei (the TypeScript SDK), or for an hour of its GPU or CPU (the Ruby SDK).
WEI_PRICES = ("base", "storage", "traffic")
HOURLY_PRICES = ("gpu_hour", "cpu_hour")


class BadRequestError(Exception):
    """The request's values are refused: 422, with the text as its message."""


def parse_order(service: str, body: object, apps: list[dict[str, Any]]) -> Order:
    """The order in one item of a start request.

    Raises:
        BadRequestError: the item is not an object, or one of its values is missing or impossible.
    """
    if not isinstance(body, dict):
        raise BadRequestError("the body must be an object")
    node_id = body.get("node_id")
    if not isinstance(node_id, int) or isinstance(node_id, bool):
        raise BadRequestError("node_id must be an integer")
    if service == "vpn":
        return _parse_vpn(node_id, body)
    order: dict[str, Any] = {
        "service": service,
        "node_id": node_id,
        "disk_gb": _disk(body),
        "envs": _envs(body),
    }
    if service == "render":
        if not isinstance(body.get("multi-gpu-worker", False), bool):
            raise BadRequestError("multi-gpu-worker must be a boolean")
        return Order(**order)
    return _parse_machine(body, order, apps)


def _parse_machine(body: dict[str, Any], order: dict[str, Any], apps: list[dict[str, Any]]) -> Order:
    image, start_command = _text(body, "image"), _text(body, "start_command")
    app_id, app_name = _text(body, "app"), ""
    if app_id:
        app = next((app for app in apps if app["uuid"] == app_id), None)
        if app is None:
            raise BadRequestError(f"app {app_id} does not exist")
        app_name = app["name"]
        image = image or app["image"]
        start_command = start_command or app["start_command"]
    if not image:
        raise BadRequestError("image must not be empty")
    parsed = Order(
        **order,
        image=image,
        app_name=app_name,
        ports=_ports(body, "ports"),
        http_ports=_ports(body, "http_ports"),
        start_command=start_command,
        entrypoint=_text(body, "entrypoint"),
        organization_id=_id(body, "organization_id"),
        project_id=_id(body, "project_id"),
    )
    try:
        argv = parsed.argv
    except ValueError as error:
        raise BadRequestError(f"entrypoint and start_command: {error}") from None
    if argv == ():
        raise BadRequestError("entrypoint must not be blank")
    return parsed


def parse_score(body: object) -> int | None:
    """The rating in the body of a stop request, if any.

    Raises:
        BadRequestError: it is not 1 to 5.
    """
    if body is None:
        return None
    if not isinstance(body, dict):
        raise BadRequestError("the body must be an object")
    score = body.get("score")
    if score is None:
        return None
    if not isinstance(score, int) or isinstance(score, bool) or not 1 <= score <= 5:
        raise BadRequestError("score must be an integer from 1 to 5")
    return score


def parse_prices(body: object) -> dict[str, int | float]:
    """The prices in the body of a node's price change: any of those that an official client sends.

    Raises:
        BadRequestError: one is not a number, or the body names none.
    """
    if not isinstance(body, dict):
        raise BadRequestError("the body must be an object")
    prices = {name: body[name] for name in (*WEI_PRICES, *HOURLY_PRICES) if name in body}
    if not prices:
        raise BadRequestError(f"one of {', '.join((*WEI_PRICES, *HOURLY_PRICES))} is required")
    for name, value in prices.items():
        if name in HOURLY_PRICES:
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
                raise BadRequestError(f"{name} must be a price, 0 or more")
            continue
        if isinstance(value, str) and value.isascii() and value.isdigit():
            prices[name] = int(value)
        elif not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise BadRequestError(f"{name} must be a number of wei")
    return prices


def _parse_vpn(node_id: int, body: dict[str, Any]) -> Order:
    subkind, protocol = body.get("subkind"), body.get("protocol")
    if subkind is None:
        subkind = "wg"
    if subkind == "v2ray" and protocol is None:
        protocol = "trojan"
    if subkind not in VPN_SUBKINDS:
        raise BadRequestError(f"subkind must be one of {', '.join(VPN_SUBKINDS)}")
    if subkind == "v2ray" and protocol not in V2RAY_PROTOCOLS:
        raise BadRequestError(f"protocol must be one of {', '.join(V2RAY_PROTOCOLS)} for v2ray")
    if subkind != "v2ray" and protocol is not None:
        raise BadRequestError("protocol is for v2ray only")
    return Order("vpn", node_id, subkind=subkind, protocol=protocol or "")


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRequestError(f"{name} must be a string")
    if "\0" in value:
        raise BadRequestError(f"{name} must not contain a zero byte")
    return value


def _id(body: dict[str, Any], name: str) -> int | str | None:
    value = body.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | str)):
        raise BadRequestError(f"{name} must be an id")
    return value


def _disk(body: dict[str, Any]) -> float:
    value = body.get("disk_size")
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise BadRequestError("disk_size must be a number of GB")
    if not 0 < value <= MAX_DISK_GB:
        raise BadRequestError(f"disk_size must be above 0 and at most {MAX_DISK_GB} GB")
    return value


def _envs(body: dict[str, Any]) -> dict[str, str]:
    envs = body.get("envs")
    if envs is None:
        return {}
    if not isinstance(envs, dict):
        raise BadRequestError("envs must be an object")
    for name, value in envs.items():
        if not name or "=" in name or "\0" in name:
            raise BadRequestError(f"envs: {name!r} is not a name")
        if not isinstance(value, str | int | float) or "\0" in str(value):
            raise BadRequestError(f"envs: the value of {name} must be a string or a number")
    return {name: str(value) for name, value in envs.items()}


def _ports(body: dict[str, Any], name: str) -> tuple[int, ...]:
    ports = body.get(name)
    if ports is None:
        return ()
    if not isinstance(ports, list):
        raise BadRequestError(f"{name} must be a list of ports")
    for port in ports:
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            raise BadRequestError(f"{name}: {port!r} is not a port")
    return tuple(ports)
