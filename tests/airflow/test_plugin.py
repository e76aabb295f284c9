"""The plugin as Airflow finds it: on every version it loads, quickly and without the page's own imports."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

from a_page import HAS_PAGES
from airflow.plugins_manager import AirflowPlugin

from airflow_provider.plugin import OctaPlugin
from airflow_provider.sessions_page.lazy_app import sessions_page


def test_the_distribution_names_the_plugin() -> None:
    (entry,) = set(metadata.entry_points(group="airflow.plugins", name="octaspace"))
    assert entry.load() is OctaPlugin
    assert issubclass(OctaPlugin, AirflowPlugin)


def test_only_an_airflow_that_shows_pages_of_plugins_gets_one() -> None:
    apps = [{"name": "OctaSpace sessions", "app": sessions_page, "url_prefix": "/octaspace"}]
    assert OctaPlugin.fastapi_apps == (apps if HAS_PAGES else [])
    assert [view["href"] for view in OctaPlugin.external_views] == (["/octaspace/"] if HAS_PAGES else [])


def test_every_process_of_airflow_loads_it_without_the_page() -> None:
    heavy = ("airflow_provider.sessions_page.app", "airflow_provider.sessions_page.rows", "octa_provider.client")
    code = f"import airflow_provider.plugin, sys; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=800, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
