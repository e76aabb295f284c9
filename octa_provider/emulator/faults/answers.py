"""What a fault does to a request and its answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web

from octa_provider.emulator.faults.edits import EDITING_KINDS, edited
from octa_provider.emulator.faults.faults import Fault
from octa_provider.emulator.http.exchange import PLATFORM, error_answer, exchange, json_answer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HANG_S = 3600.0
_MOST_DRIPS = 1000
_GARBAGE = "<html><body><h1>Bad gateway</h1></body></html>"


class DroppedResponse(web.Response):
    """Stands for the answer of a connection that was dropped."""


async def answer_with_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request have its effect and its answer, as far as its faults allow."""
    faults = exchange().faults
    for fault in faults:
        if fault.kind == "delay" and not fault.option("after_effect", False):
            await _wait_out(fault)
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
                await _wait_out(fault)
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
            case "drip":
                return await _drip(request, response, fault.option("seconds", 1))
            case kind if kind in EDITING_KINDS and response.status < 300:
                payload = json.loads(_bytes(response) or b"null")
                response = json_answer(edited(payload, fault), response.status)
    return response


async def _wait_out(fault: Fault) -> None:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(fault.lifted.wait(), fault.option("seconds", 1))


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


async def _drip(request: web.Request, response: web.StreamResponse, seconds: float) -> web.StreamResponse:
    body = _bytes(response)
    slow = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
    slow.content_length = len(body)
    await slow.prepare(request)
    size = -(-len(body) // _MOST_DRIPS) or 1
    for at in range(0, len(body), size):
        await slow.write(body[at : at + size])
        await asyncio.sleep(seconds * size / len(body))
    await slow.write_eof()
    return slow


def _bytes(response: web.StreamResponse) -> bytes:
    body = response.body if isinstance(response, web.Response) else b""
    return bytes(body) if isinstance(body, bytes | bytearray) else b""
