"""What every endpoint shares: JSON in and out, error bodies, and what the middleware leaves on a request."""

from __future__ import annotations

import json
import random
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from octa_provider.emulator.faults.faults import Fault
from octa_provider.emulator.platform.orders import BadRequestError
from octa_provider.emulator.platform.platform import Platform

PLATFORM: web.AppKey[Platform] = web.AppKey("platform", Platform)
#: Its own, so that whoever seeds Python's for a test gets no id twice.
_IDS = random.Random()
_to_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass
class Exchange:
    """What the steps of one request tell each other.

    Attributes:
        request_id: as in the answer's `x-request-id`.
        faults: those that the request meets.
        session_uuid: the session that it is about.
    """

    request_id: str = field(default_factory=lambda: f"{_IDS.getrandbits(96):024x}")
    faults: list[Fault] = field(default_factory=list)
    session_uuid: str | None = None

    def faults_of(self, kind: str) -> list[Fault]:
        """The faults of one kind that the request meets."""
        return [fault for fault in self.faults if fault.kind == kind]


#: A context variable and not a key on the request: typed keys there need a newer aiohttp than we ask for.
_CURRENT: ContextVar[Exchange] = ContextVar("exchange")


def open_exchange() -> Exchange:
    """Begin the exchange of a request; `exchange` gives it to whatever runs for that request."""
    opened = Exchange()
    _CURRENT.set(opened)
    return opened


def exchange() -> Exchange:
    """The exchange of the current request."""
    return _CURRENT.get()


def json_answer(payload: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(
        body=_to_json(payload).encode("utf-8", "replace"),
        status=status,
        headers={"Content-Type": "application/json; charset=utf-8"},
    )


def error_answer(status: int, message: str) -> web.Response:
    """An error as the API words it."""
    return json_answer({"message": message}, status)


async def json_body(request: web.Request) -> Any:
    """The JSON in a request's body; None when it is empty.

    Raises:
        BadRequestError: it is not JSON.
    """
    content = await request.read()
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise BadRequestError("the body is not JSON") from None
