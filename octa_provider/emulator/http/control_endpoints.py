"""Endpoints under `/_emulator`, which the real API does not have: faults, the ledger, the clock, ends from outside."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from aiohttp import web

from octa_provider.emulator.faults.faults import Fault, Faults, parse_fault
from octa_provider.emulator.faults.render_faults import RenderFaults
from octa_provider.emulator.http.exchange import PLATFORM, json_answer, json_body
from octa_provider.emulator.platform.billing import wall_ns
from octa_provider.emulator.platform.catalogue import nodes_in
from octa_provider.emulator.platform.end_reasons import ENDED
from octa_provider.emulator.platform.ledger import overlaps
from octa_provider.emulator.platform.orders import BadRequestError
from octa_provider.emulator.platform.platform import Platform
from octa_provider.emulator.platform.session import Session
from octa_provider.errors import OctaConfigError

CONTROL_PREFIX = "/_emulator/"
RENDER_FAULTS: web.AppKey[RenderFaults] = web.AppKey("render faults", RenderFaults)
ACTIVE_FAULTS: web.AppKey[Faults] = web.AppKey("faults", Faults)


def session_entry(platform: Platform, session: Session) -> dict[str, Any]:
    """A session in the ledger. Its times are real Unix milliseconds, whatever the billing clock says."""
    now_ms = platform.clock.now_ms()
    return {
        "uuid": session.uuid,
        "service": session.order.service,
        "node_id": session.order.node_id,
        "image": session.order.image,
        "organization_id": session.order.organization_id,
        "project_id": session.order.project_id,
        "user_envs": session.order.envs,
        "rental_key": session.rental_key,
        "started_ms": session.started_ns // 1_000_000,
        "ready_ms": session.ready_ns // 1_000_000 if session.ready_ns else None,
        "stopped_ms": None if session.stopped_ns is None else session.stopped_ns // 1_000_000,
        "stopped_by": session.stopped_by,
        "termination_reason": session.termination_reason,
        "score": session.score,
        "price_wei": session.price_wei,
        "traffic_price_wei": session.traffic_price_wei,
        "tx_bytes": session.tx_bytes(now_ms),
        "rx_bytes": session.rx_bytes(now_ms),
        "billed_ms": session.billed_ms(now_ms),
        "charge_wei": session.charge_wei(now_ms),
        "progress": session.progress,
        "system": [text for _, text in session.system],
    }


async def get_ledger(request: web.Request) -> web.Response:
    """`GET /_emulator/ledger`; `?requests=false` leaves the requests out."""
    platform = request.app[PLATFORM]
    summary = overlaps(platform.ledger.sessions.values(), wall_ns())
    requests = platform.ledger.requests if request.query.get("requests", "true") != "false" else []
    return json_answer(
        {
            "running": platform.running_count(),
            "running_uuids": [s.uuid for s in platform.ledger.sessions.values() if s.running],
            "sessions": [session_entry(platform, session) for session in platform.ledger.sessions.values()],
            "requests": requests,
            "max_running_by_key": summary,
            "billed_wei": platform.funds.billed_wei(),
            "balance_wei": platform.funds.balance_wei(),
            "initial_balance_wei": platform.ledger.balance_start_wei,
            "reboots": {str(node.node_id): node.reboots for node in platform.own_nodes.values()},
            "wallets": platform.wallets,
            "request_counts": dict(Counter(f"{r['method']} {r['route']}" for r in platform.ledger.requests)),
        }
    )


async def get_faults(request: web.Request) -> web.Response:
    """`GET /_emulator/faults`: those in force, with how often each was met."""
    return json_answer([fault.report() for fault in request.app[ACTIVE_FAULTS].active])


async def add_faults(request: web.Request) -> web.Response:
    """`POST /_emulator/faults`: one fault or a list of them, added to those in force; `[]` lifts all."""
    body = await json_body(request)
    specs = body if isinstance(body, list) else [body]
    try:
        faults = [parse_fault(spec) for spec in specs]
    except OctaConfigError as error:
        raise BadRequestError(str(error)) from None
    if not faults:
        request.app[ACTIVE_FAULTS].clear()
    for fault in faults:
        put_in_force(request.app[PLATFORM], request.app[ACTIVE_FAULTS], fault)
    request.app[RENDER_FAULTS].announce()
    return await get_faults(request)


def put_in_force(platform: Platform, active: Faults, fault: Fault) -> None:
    """Put a fault in force; one that strikes by itself starts its countdown."""
    active.add(fault)
    if fault.strikes_by_itself:
        fault.met += 1
        at_site = fault.kind == "site_vanishes"
        gone = nodes_in(fault.spec["country"], platform.nodes) if at_site else [fault.spec["node_id"]]
        platform.in_background(platform.let_nodes_die(gone, fault.option("seconds", 1)))


async def clear_faults(request: web.Request) -> web.Response:
    """`DELETE /_emulator/faults`: lift all."""
    request.app[ACTIVE_FAULTS].clear()
    request.app[RENDER_FAULTS].announce()
    return json_answer([])


async def change_ssh(request: web.Request) -> web.Response:
    """`POST /_emulator/ssh` with the fields of `SshConditions`: how machines answer; `{}` is as it should be."""
    body = await json_body(request)
    try:
        request.app[PLATFORM].ssh_weather.change(body if isinstance(body, dict) else {"": body})
    except OctaConfigError as error:
        raise BadRequestError(str(error)) from None
    return json_answer(asdict(request.app[PLATFORM].ssh_weather.now))


async def advance_clock(request: web.Request) -> web.Response:
    """`POST /_emulator/clock` with `{"advance_s": N}`: let billing time pass at once."""
    body = await json_body(request)
    seconds = body.get("advance_s") if isinstance(body, dict) else None
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= 10**9:
        raise BadRequestError("advance_s must be a number of seconds from 0 to 1000000000")
    platform = request.app[PLATFORM]
    await platform.advance_clock(seconds)
    return json_answer({"billing_ms": platform.clock.now_ms(), "advanced_ms": platform.clock.advanced_ms})


async def let_traffic_flow(request: web.Request) -> web.Response:
    """`POST /_emulator/sessions/{uuid}/traffic` with `{"tx_bytes": N, "rx_bytes": N}`: let traffic go through it."""
    platform = request.app[PLATFORM]
    session = platform.ledger.sessions.get(request.match_info["uuid"])
    if session is None or not session.running:
        raise web.HTTPNotFound(text="Session not found")
    body = await json_body(request)
    await platform.funds.let_traffic_flow(session, tx_bytes=_bytes(body, "tx_bytes"), rx_bytes=_bytes(body, "rx_bytes"))
    return json_answer(session_entry(platform, session))


def _bytes(body: object, name: str) -> int:
    value = body.get(name, 0) if isinstance(body, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 10**18:
        raise BadRequestError(f"{name} must be a number of bytes from 0 to 10^18")
    return value


async def end_session(request: web.Request) -> web.Response:
    """`POST /_emulator/sessions/{uuid}/end` with `{"reason": ...}`: the platform ends it; the API tells that reason."""
    platform = request.app[PLATFORM]
    session = platform.ledger.sessions.get(request.match_info["uuid"])
    if session is None:
        raise web.HTTPNotFound(text="Session not found")
    body = await json_body(request)
    reason = body.get("reason", ENDED) if isinstance(body, dict) else ENDED
    if not isinstance(reason, str | int):
        raise BadRequestError("reason must be a string or an integer")
    await platform.end(session, by="platform", reason=reason)
    return json_answer(session_entry(platform, session))


def control_routes() -> list[web.RouteDef]:
    """The routes of this file."""
    return [
        web.get(CONTROL_PREFIX + "ledger", get_ledger),
        web.get(CONTROL_PREFIX + "faults", get_faults),
        web.post(CONTROL_PREFIX + "faults", add_faults),
        web.delete(CONTROL_PREFIX + "faults", clear_faults),
        web.post(CONTROL_PREFIX + "clock", advance_clock),
        web.post(CONTROL_PREFIX + "ssh", change_ssh),
        web.post(CONTROL_PREFIX + "sessions/{uuid}/end", end_session),
        web.post(CONTROL_PREFIX + "sessions/{uuid}/traffic", let_traffic_flow),
    ]
