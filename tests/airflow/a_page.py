"""Airflow's own API server with the page of running sessions in it, and users of each role who look at it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

#: Airflow shows pages of plugins from 3.1 on.
HAS_PAGES = tuple(int(part) for part in metadata.version("apache-airflow").split(".")[:2]) >= (3, 1)
ROOT = Path(__file__).parents[2]
STOP = {"X-Octa-Page": "stop"}


def made_findable(folder: Path) -> None:
    """A distribution with the plugin's entry point as our pyproject has it, where an older one of ours is installed.

    Args:
        folder: made, and put at the end of Python's path.
    """
    if metadata.entry_points(group="airflow.plugins", name="octaspace"):
        return
    text = (ROOT / "pyproject.toml").read_text()
    entry = text.split('[project.entry-points."airflow.plugins"]\n')[1].split("\n\n")[0].replace('"', "")
    info = folder / "octa_page_for_tests-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: octa-page-for-tests\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[airflow.plugins]\n{entry}\n")
    sys.path.append(str(folder))


class Visitor:
    """A user of Airflow with a browser.

    Args:
        app: Airflow's.
        role: in the simple auth manager: VIEWER, USER, OP or ADMIN; None for nobody.
    """

    def __init__(self, app: Any, role: str | None) -> None:
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from fastapi.testclient import TestClient

        self.http = TestClient(app, base_url="http://testserver", raise_server_exceptions=False)
        if role is not None:
            user = SimpleAuthManagerUser(username=f"a-{role.lower()}", role=role)
            self.http.cookies.set("_token", get_auth_manager().generate_jwt(user))

    def page(self, **query: str) -> Any:
        return self.http.get("/octaspace/", params=query, headers={"Accept": "text/html"})

    def sessions(self, **query: str) -> Any:
        return self.http.get("/octaspace/sessions", params=query)

    def stop(self, uuid: str, *, connection: str = "octa_default", headers: dict[str, str] = STOP) -> Any:
        return self.http.post("/octaspace/stop", json={"connection": connection, "uuid": uuid}, headers=headers)


@contextmanager
def airflow_with_the_page() -> Iterator[Any]:
    """Airflow's FastAPI application, which has found our plugin as it finds any."""
    from airflow.api_fastapi import app as airflow_app

    airflow_app.purge_cached_app()
    try:
        yield airflow_app.create_app(apps="core")
    finally:
        airflow_app.purge_cached_app()
