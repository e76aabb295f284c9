"""What a fault does to a request and its answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from octa_provider.emulator.exchange import PLATFORM, error_answer, exchange, json_answer
from octa_provider.emulator.faults import Fault
from octa_provider.emulator.prices import PRICE_NAMES

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HANG_S = 3600.0
_GARBAGE = "<html><body><h1>Bad gateway</h1></body></html>"


class DroppedResponse(web.Response):
    """Stands for the answer of a connection that was dropped."""


async def answer_with_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request have its effect and its answer, as far as its faults allow."""
    faults = exchange().faults
    for fault in faults:
        if fault.kind == "delay" and not fault.option("after_effect", False):
            await asyncio.sleep(fault.option("seconds", 1))
        elif fault.kind == "drop_before":
            return await _drop(request, fault)
        elif fault.kind == "refuse":
            return _refusal(request, fault)
        elif fault.kind == "status":
            if fault.option("effect", False):
                await handler(request)
            return _status(fault)
        elif fault.kind == "late_commit":
            request.app[PLATFORM].in_background(_commit_late(request, handler, fault.option("seconds", 1)))
            return await _late_answer(request, fault)
    response = await handler(request)
    for fault in faults:
        match fault.kind:
            case "delay" if fault.option("after_effect", False):
                await asyncio.sleep(fault.option("seconds", 1))
            case "drop_after":
                return await _drop(request, fault)
            case "garbage":
                response = web.Response(
                    text=str(fault.option("body", _GARBAGE)),
                    status=fault.option("status", 200),
                    content_type="text/html",
                )
            case "truncate":
                return await _truncate(request, response)
            case "no_user_envs" | "seconds" | "odd_price" | "bare_uuid" | "duplicate_entry" | "missing_entry":
                response = _edit(response, fault)
    return response


def _refusal(request: web.Request, fault: Fault) -> web.Response:
    reason = fault.option("reason", "Node is busy")
    if request.path == "/services/mr":
        return json_answer([{"id": 0, "status": 1, "reason": reason}])
    return json_answer({"reason": reason})


def _status(fault: Fault) -> web.Response:
    status = fault.option("status", 503)
    body = fault.option("body", {"message": "the emulator was told to answer so"})
    if isinstance(body, str):
        response = web.Response(text=body, status=status)
    else:
        response = json_answer(body, status)
    retry_after = fault.option("retry_after", None)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


async def _commit_late(request: web.Request, handler: Handler, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await handler(request)


async def _late_answer(request: web.Request, fault: Fault) -> web.StreamResponse:
    match fault.option("answer", 500):
        case "drop":
            return await _drop(request, fault, wait=False)
        case "hang":
            await _until_hung_up(request)
            return await _drop(request, fault, wait=False)
        case status:
            return error_answer(int(status), "internal error")


async def _until_hung_up(request: web.Request) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _HANG_S
    while request.transport is not None and not request.transport.is_closing() and loop.time() < deadline:
        await asyncio.sleep(0.05)


async def _drop(request: web.Request, fault: Fault, *, wait: bool = True) -> web.StreamResponse:
    if wait:
        await asyncio.sleep(fault.option("seconds", 0))
    transport = request.transport
    if transport is not None and fault.option("reset", False):
        # No lingering: the kernel sends a reset instead of an orderly end.
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    elif transport is not None:
        transport.close()
    return DroppedResponse()


async def _truncate(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    body = _bytes(response)
    broken = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
    broken.content_length = len(body) + 1
    await broken.prepare(request)
    await broken.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return broken


def _bytes(response: web.StreamResponse) -> bytes:
    body = response.body if isinstance(response, web.Response) else b""
    return bytes(body) if isinstance(body, bytes | bytearray) else b""


def _edit(response: web.StreamResponse, fault: Fault) -> web.StreamResponse:
    if response.status >= 300:
        return response
    payload = json.loads(_bytes(response) or b"null")
    records = payload if isinstance(payload, list) else [payload]
    if fault.kind == "no_user_envs":
        for record in records:
            _hide_user_envs(record, fault.option("form", "missing"))
    elif fault.kind == "seconds":
        for record in records:
            _tell_seconds(record)
    elif fault.kind == "odd_price":
        for record in records:
            _make_price_odd(record, fault)
    elif fault.kind == "bare_uuid":
        payload = {"uuid": records[0]["uuid"]} if "uuid" in records[0] else payload
    elif isinstance(payload, list):
        payload = _entries(payload, fault)
    return json_answer(payload, response.status)


def _hide_user_envs(record: Any, form: str) -> None:
    if not isinstance(record, dict) or "user_envs" not in record:
        return
    if form == "missing":
        del record["user_envs"]
    else:
        record["user_envs"] = None if form == "null" else {}


def _tell_seconds(record: dict[str, Any]) -> None:
    for times in (record, *record.get("system", ())):
        for name in ("started_at", "finished_at", "ts"):
            if isinstance(times.get(name), int):
                times[name] //= 1000


def _make_price_odd(record: Any, fault: Fault) -> None:
    if fault.option("node_id", record.get("node_id")) != record.get("node_id"):
        return
    # A session names its prices in an object of their own.
    prices: dict[str, Any] = record.get("prices") or record
    form = fault.option("form", "missing")
    for name in [name for name in PRICE_NAMES if name in prices]:
        if form == "missing":
            del prices[name]
        else:
            prices[name] = {"null": None, "zero": 0, "negative": -1}[form]


def _entries(payload: list[Any], fault: Fault) -> list[Any]:
    copies = 2 if fault.kind == "duplicate_entry" else 0
    index = fault.option("index", -1)
    chosen = index if index >= 0 else len(payload) + index
    everyone = fault.option("all", False)
    return [
        record
        for position, record in enumerate(payload)
        for _ in range(copies if everyone or position == chosen else 1)
    ]
