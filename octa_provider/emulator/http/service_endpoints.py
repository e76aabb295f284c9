"""Endpoints that offer machines, and start, show and stop sessions."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from aiohttp import web

from octa_provider.emulator.http.exchange import PLATFORM, error_answer, exchange, json_answer, json_body
from octa_provider.emulator.http.payloads import catalogue_payload, session_payload
from octa_provider.emulator.platform.orders import BadRequestError, parse_order, parse_score
from octa_provider.emulator.platform.platform import Platform
from octa_provider.emulator.platform.room import OutOfFundsError, RefusedError
from octa_provider.emulator.platform.session import Session
from octa_provider.emulator.platform.start_faults import StartFaults


def catalogue(service: str) -> Any:
    """The handler of `GET /services/{service}`."""

    async def handler(request: web.Request) -> web.Response:
        return json_answer(catalogue_payload(request.app[PLATFORM], service))

    return handler


def start(service: str) -> Any:
    """The handler of `POST /services/{service}`."""

    async def handler(request: web.Request) -> web.Response:
        platform = request.app[PLATFORM]
        body = await json_body(request)
        if service != "mr" or not isinstance(body, list):
            return _start_one(platform, service, body)
        if len(body) != 1:
            raise BadRequestError("the array must hold one item")
        return _start_one(platform, service, body[0], as_array=True)

    return handler


def _start_one(platform: Platform, service: str, item: Any, *, as_array: bool = False) -> web.Response:
    order = parse_order(service, item, platform.apps)
    try:
        session = platform.start(order, _start_faults())
    except OutOfFundsError:
        return error_answer(402, "Insufficient balance: top up the account to start a session")
    except RefusedError as refusal:
        if refusal.internal:
            return json_answer({"code": "INTERNAL_ERROR"}, 500)
        if not as_array:
            # The official clients take any 2xx with an object for a start, and know this refusal (evidence C: Ruby).
            return error_answer(400, refusal.reason)
        # The live API says so with 200 (evidence B).
        return json_answer([{"id": 0, "status": 1, "reason": refusal.reason}])
    exchange().session_uuid = session.uuid
    answer: Any = {"uuid": session.uuid}
    if as_array:
        answer = [{"id": item.get("id", 0), "uuid": session.uuid}]
    return json_answer(answer, 201 if platform.quirks.shows("201", session.ordinal) else 200)


def _start_faults() -> StartFaults:
    dying, hidden = exchange().faults_of("node_dies"), exchange().faults_of("late_listing")
    return StartFaults(
        price_factor=math.prod(fault.option("factor", 5) for fault in exchange().faults_of("raise_price")),
        never_ready=bool(exchange().faults_of("never_ready")),
        slow_s=sum(fault.option("seconds", 1) for fault in exchange().faults_of("slow_start")),
        dies_after_s=dying[0].option("seconds", 1) if dying else None,
        hidden_s=hidden[0].option("seconds", 1) if hidden else 0.0,
    )


def _session(request: web.Request) -> Session:
    session = request.app[PLATFORM].ledger.sessions.get(request.match_info["uuid"])
    if session is None:
        raise web.HTTPNotFound(text="Session not found")
    exchange().session_uuid = session.uuid
    return session


def _recent(request: web.Request) -> bool:
    return request.query.get("recent", "").lower() in ("true", "1")


async def get_info(request: web.Request) -> web.Response:
    """`GET /services/{uuid}/info`; with quirks, every other finished session is no longer known here."""
    platform, session = request.app[PLATFORM], _session(request)
    if not session.running and platform.quirks.shows("info forgets", session.ordinal):
        return error_answer(404, "Session not found")
    return json_answer(session_payload(platform, session))


async def get_logs(request: web.Request) -> web.Response:
    """`GET /services/{uuid}/logs`; a finished session's need `?recent=true`."""
    platform, session = request.app[PLATFORM], _session(request)
    if not session.running and not _recent(request):
        return error_answer(404, "Session not found")
    # Reading and encoding a large log takes long enough to hold everybody up: a thread does it.
    return await asyncio.to_thread(_logs_answer, platform, session)


def _logs_answer(platform: Platform, session: Session) -> web.Response:
    system = [{"ts": ts, "msg": text} for ts, text in tuple(session.system)]
    return json_answer({"container": platform.read_log(session), "system": system})


async def stop(request: web.Request) -> web.Response:
    """`POST /services/{uuid}/stop`, also `GET` as old clients did; with quirks, some forget a stopped session."""
    platform, session = request.app[PLATFORM], _session(request)
    score = parse_score(await json_body(request))
    if not session.running and platform.quirks.shows("stop forgets", session.ordinal):
        return error_answer(404, "Session not found")
    await platform.stop(session, score)
    return json_answer({"status": "ok"})


async def list_sessions(request: web.Request) -> web.Response:
    """`GET /sessions`; `GET /sessions?recent=true`: the last ones, ended (with `finished_at`) and active (without)."""
    platform = request.app[PLATFORM]
    sessions = platform.recent() if _recent(request) else platform.active()
    return json_answer([session_payload(platform, session) for session in sessions])


def service_routes() -> list[web.RouteDef]:
    """The routes of this file."""
    services = ("mr", "render", "vpn")
    return [
        *(web.get(f"/services/{service}", catalogue(service)) for service in services),
        *(web.post(f"/services/{service}", start(service)) for service in services),
        web.get("/services/{uuid}/info", get_info),
        web.get("/services/{uuid}/logs", get_logs),
        web.post("/services/{uuid}/stop", stop),
        web.get("/services/{uuid}/stop", stop),
        web.get("/sessions", list_sessions),
    ]
