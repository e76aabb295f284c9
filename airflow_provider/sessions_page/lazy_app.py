"""The page as Airflow's API server mounts it: made when it is first asked for, so that nothing of it is in the way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

from octa_provider.text.loggers import plain_logger

__all__ = ["URL_PREFIX", "sessions_page"]

log = plain_logger(__name__)

#: Where it is mounted.
URL_PREFIX = "/octaspace"
_making = threading.Lock()


async def sessions_page(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer one request, as ASGI has it."""
    try:
        app = await asyncio.to_thread(_made)
    except Exception as error:
        log.exception("the page of OctaSpace sessions can't be made")
        from starlette.responses import PlainTextResponse

        said = f"The page of OctaSpace sessions does not work on this Airflow ({type(error).__name__}): see its log."
        app = PlainTextResponse(said, status_code=500)
    await app(scope, receive, send)


def _made() -> Any:
    with _making:
        return _app()


@cache
def _app() -> Any:
    from airflow_provider.sessions_page.app import make_app

    return make_app()
