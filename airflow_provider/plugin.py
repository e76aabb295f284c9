"""The plugin that adds the page of running sessions to Airflow, found through the `airflow.plugins` entry point.

Every process of Airflow imports this, so it imports nothing: the page itself is made when somebody first opens it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow import __version__ as airflow_version
from airflow.plugins_manager import AirflowPlugin

from airflow_provider.sessions_page.lazy_app import URL_PREFIX, sessions_page

__all__ = ["OctaPlugin"]

#: Airflow shows pages of a plugin's own from here on.
_SINCE = (3, 1)


def _has_pages() -> bool:
    major, minor = (int(part) for part in airflow_version.split(".")[:2])
    return (major, minor) >= _SINCE


def _apps() -> list[dict[str, Any]]:
    return [{"name": "OctaSpace sessions", "app": sessions_page, "url_prefix": URL_PREFIX}]


def _views() -> list[dict[str, Any]]:
    from airflow.providers.common.compat.sdk import conf

    # Airflow may be served below a path: what a browser asks for begins with it.
    path = urlsplit(str(conf.get("api", "base_url", fallback="") or "")).path.rstrip("/")
    return [
        {
            "name": "OctaSpace sessions",
            "href": f"{path}{URL_PREFIX}/",
            "destination": "nav",
            "category": "browse",
            "url_route": "octaspace-sessions",
        }
    ]


class OctaPlugin(AirflowPlugin):
    """The page of running sessions, on Airflow 3.1 and newer; older ones have no place for it."""

    name = "octaspace"
    fastapi_apps = _apps() if _has_pages() else []
    external_views = _views() if _has_pages() else []
