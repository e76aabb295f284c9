"""The web application: routes, and the steps that every request goes through."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import AsyncIterator

from aiohttp import web

from octa_provider.emulator.faults.answers import DroppedResponse, Handler, answer_with_faults
from octa_provider.emulator.faults.faults import Faults, parse_fault
from octa_provider.emulator.faults.render_faults import RenderFaults
from octa_provider.emulator.http.account_endpoints import account_routes
from octa_provider.emulator.http.control_endpoints import (
    ACTIVE_FAULTS,
    CONTROL_PREFIX,
    RENDER_FAULTS,
    control_routes,
    put_in_force,
)
from octa_provider.emulator.http.exchange import PLATFORM, error_answer, exchange, open_exchange
from octa_provider.emulator.http.service_endpoints import service_routes
from octa_provider.emulator.platform.billing import wall_ns
from octa_provider.emulator.platform.orders import BadRequestError
from octa_provider.emulator.platform.platform import Platform

_MAX_BODY_BYTES = 64 * 1024**2


def make_app(platform: Platform) -> web.Application:
    """The application that serves a platform, with the faults of its settings in force.

    Raises:
        OctaConfigError: one of these faults cannot be.
    """
    faults = Faults()
    app = web.Application(middlewares=[keep_record, meet_faults, authorize], client_max_size=_MAX_BODY_BYTES)
    app[PLATFORM] = platform
    app[ACTIVE_FAULTS] = faults
    app.add_routes([*account_routes(), *service_routes(), *control_routes()])
    render_faults = app[RENDER_FAULTS] = RenderFaults(platform, faults)

    async def hear_machines(_: web.Application) -> AsyncIterator[None]:
        await render_faults.open()
        yield
        await render_faults.close()

    app.cleanup_ctx.append(hear_machines)
    for spec in platform.settings.faults:
        put_in_force(platform, faults, parse_fault(spec))

    async def give_request_id(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["x-request-id"] = exchange().request_id

    app.on_response_prepare.append(give_request_id)
    return app


@web.middleware
async def keep_record(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, and write it into the ledger once it has its answer."""
    current = open_exchange()
    if request.path.startswith(CONTROL_PREFIX):
        return await handler(request)
    started_ns, started = wall_ns(), time.monotonic()
    status: int | None = None
    try:
        response = await handler(request)
        status = None if isinstance(response, DroppedResponse) else response.status
        return response
    except ConnectionResetError:
        # A client that dies in the middle of its request is nobody's error.
        return DroppedResponse()
    finally:
        resource = request.match_info.route.resource
        request.app[PLATFORM].ledger.write_request(
            {
                "at_ms": started_ns // 1_000_000,
                "duration_ms": round((time.monotonic() - started) * 1000, 3),
                "method": request.method,
                "path": request.path_qs,
                "route": request.path if resource is None else resource.canonical,
                "status": status,
                "faults": [fault.kind for fault in current.faults],
                "uuid": current.session_uuid,
                "request_id": current.request_id,
                "user_agent": request.headers.get("User-Agent", ""),
            }
        )


@web.middleware
async def meet_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the request meet the faults in force."""
    if request.path.startswith(CONTROL_PREFIX):
        return await handler(request)
    active = request.app[ACTIVE_FAULTS]
    if not active.active:
        return await handler(request)
    content = await request.read()
    exchange().faults = active.take(request.method, request.path, _node_ids(content))
    return await answer_with_faults(request, handler)


def _node_ids(content: bytes) -> set[int]:
    try:
        body = json.loads(content or b"null")
    except ValueError:
        return set()
    items = body if isinstance(body, list) else [body]
    ids = [item.get("node_id") for item in items if isinstance(item, dict)]
    return {node_id for node_id in ids if isinstance(node_id, int)}


@web.middleware
async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Ask for the key, and word errors as the API does."""
    key = request.headers.get("Authorization", "")
    expected = request.app[PLATFORM].state.api_key
    # The key alone: the API wants no `Bearer` before it.
    allowed = hmac.compare_digest(key.encode("utf-8", "surrogateescape"), expected.encode())
    if not allowed and not (request.method == "GET" and request.path == "/network"):
        return error_answer(401, "Unauthorized")
    try:
        return await handler(request)
    except BadRequestError as error:
        return error_answer(422, str(error))
    except web.HTTPRequestEntityTooLarge:
        return error_answer(413, "the body is too large")
    except web.HTTPError as error:
        known = error.status == 404 and error.text and not error.text.startswith("404")
        return error_answer(error.status, error.text if known and error.text else error.reason)
