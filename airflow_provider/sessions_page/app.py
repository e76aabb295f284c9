"""The page's routes. Only for the API server of Airflow 3.1 and newer, which has what is imported in here."""

# No `from __future__ import annotations`: FastAPI reads the annotations of the functions within `make_app`.

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow_provider.sessions_page.accounts import account, connection_ids
from airflow_provider.sessions_page.own_threads import in_looking_thread, in_stopping_thread
from airflow_provider.sessions_page.permissions import Permissions, current_user
from airflow_provider.sessions_page.refusal import PageError
from airflow_provider.sessions_page.rows import Table, table_for
from airflow_provider.sessions_page.stopping import stop_session

__all__ = ["REFRESH_S", "STOP_HEADER", "make_app"]

#: An open page asks so often; all of them share one request to OctaSpace in that time.
REFRESH_S = 15.0
_MAX_AGE_S = 12.0
#: A page of another site can't send this with a user's cookie: a browser asks us before, and we never say yes.
STOP_HEADER = "X-Octa-Page"
_HERE = Path(__file__).parent
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_LOGGED_OUT = "You are not logged in to Airflow: log in, and load this page again."
_NOT_FOR_YOU = "You may not see this page: it takes the permission to read Airflow's plugins."


def make_app() -> Any:
    """The FastAPI application that Airflow's API server mounts."""
    from fastapi import Depends, FastAPI, HTTPException, Request
    from fastapi.responses import HTMLResponse, JSONResponse, Response
    from fastapi.staticfiles import StaticFiles
    from jinja2 import Environment, FileSystemLoader
    from starlette.exceptions import HTTPException as StarletteHTTPException

    pages = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True)
    app = FastAPI(title="OctaSpace sessions", openapi_url=None, docs_url=None, redoc_url=None)
    app.mount("/static", StaticFiles(directory=_HERE / "static"))
    signed_in = Depends(current_user())

    def shown(name: str, status: int = 200, **values: object) -> HTMLResponse:
        return HTMLResponse(pages.get_template(name).render(**values), status, _HEADERS)

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        sentence = _LOGGED_OUT if error.status_code == 401 else str(error.detail)
        return told(request, error.status_code, sentence)

    @app.exception_handler(PageError)
    async def not_done(request: Request, error: PageError) -> Response:
        return told(request, error.status, error.sentence)

    def told(request: Request, status: int, sentence: str) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return shown("sentence.html", status, sentence=sentence)
        return JSONResponse({"sentence": sentence}, status, _HEADERS)

    @app.get("/")
    async def page(connection: str = "", user: Any = signed_in) -> HTMLResponse:
        connections = connection_ids()
        chosen = connection or connections[0]
        table, sentence = None, ""
        try:
            table = await in_looking_thread(_table, user, chosen)
        except PageError as error:
            if error.status == 403 or chosen not in connections:
                raise
            # The frame of the page stays: it asks again by itself.
            sentence = error.sentence
        return shown(
            "page.html",
            table=table,
            sentence=sentence,
            asked_at=_now(),
            connections=connections,
            chosen=chosen,
            refresh_s=REFRESH_S,
            stop_header=STOP_HEADER,
        )

    @app.get("/sessions")
    async def sessions(connection: str = "", user: Any = signed_in) -> JSONResponse:
        table = await in_looking_thread(_table, user, connection or connection_ids()[0])
        drawn = pages.get_template("table.html").render(table=table)
        return JSONResponse({"table": drawn, "asked_at": _now()}, headers=_HEADERS)

    @app.post("/stop")
    async def stop(request: Request, user: Any = signed_in) -> JSONResponse:
        if not _is_of_this_page(request.headers):
            raise PageError(403, "A session is stopped from this page, and from nowhere else.")
        connection, uuid = _what_to_stop(await _json_of(request))
        sentence = await in_stopping_thread(stop_session, user, connection, uuid)
        return JSONResponse({"sentence": sentence}, headers=_HEADERS)

    return app


def _table(user: Any, connection_id: str) -> Table:
    may = Permissions(user)
    if not may.may_see_page():
        raise PageError(403, _NOT_FOR_YOU)
    with account(connection_id) as client:
        return table_for(client.rentals.running(max_age_s=_MAX_AGE_S), connection_id, may)


def _is_of_this_page(headers: Mapping[str, str]) -> bool:
    """Whether a request was sent by the page's own script: a user's cookie alone may be sent by any page."""
    return headers.get(STOP_HEADER) == "stop" and headers.get("sec-fetch-site", "same-origin") == "same-origin"


async def _json_of(request: Any) -> Any:
    try:
        return await request.json()
    except (ValueError, RecursionError):
        return None


def _what_to_stop(body: Any) -> tuple[str, str]:
    told = body if isinstance(body, Mapping) else {}
    connection, uuid = told.get("connection"), told.get("uuid")
    if not isinstance(connection, str) or not isinstance(uuid, str) or not uuid:
        raise PageError(400, "Say which session to stop: a JSON object with connection and uuid.")
    return connection, uuid


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
