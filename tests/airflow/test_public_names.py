"""The site's reference has a page for each of Airflow's names, and for nothing else."""

from __future__ import annotations

import importlib

from airflow_provider import exceptions
from airflow_provider.get_provider_info import get_provider_info
from tests.public_names import IMPORTED_FROM

PAGES = IMPORTED_FROM["airflow_provider"]


def told_to_airflow() -> dict[str, str]:
    """What this package tells Airflow that it has."""
    info = get_provider_info()
    modules = [
        module
        for kind in ("operators", "sensors", "hooks", "triggers")
        for one in info[kind]
        for module in one["python-modules"]
    ]
    names = {
        name: module
        for module in modules
        for name in importlib.import_module(module).__all__
        if name.startswith("Octa")
    }
    paths = [*info["extra-links"], *(one["class-name"] for one in info["task-decorators"])]
    return names | {path.rpartition(".")[2]: path.rpartition(".")[0] for path in paths}


def test_the_pages_are_those_of_what_airflow_knows_of_the_errors_and_of_the_task_group() -> None:
    errors = dict.fromkeys(exceptions.__all__, exceptions.__name__)
    assert told_to_airflow() | errors | {"octa_session": "airflow_provider.task_group"} == PAGES


def test_what_has_a_page_can_be_imported() -> None:
    assert [name for name, module in PAGES.items() if not hasattr(importlib.import_module(module), name)] == []
