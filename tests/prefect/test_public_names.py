"""The site's reference has a page for each of Prefect's names, and for nothing else."""

from __future__ import annotations

import importlib

import prefect_blocks
from prefect_blocks import OctaWorker, collection, flows, tasks
from tests.public_names import IMPORTED_FROM

PAGES = IMPORTED_FROM["prefect_blocks"]


def test_the_pages_are_those_of_the_package_the_tasks_the_flows_and_the_pools_form() -> None:
    modules = {name: module.__name__ for module in (tasks, flows) for name in module.__all__}
    package = dict.fromkeys(prefect_blocks.__all__, "prefect_blocks")
    form = OctaWorker.job_configuration_variables
    assert form is not None
    assert modules | package | {form.__name__: form.__module__} == PAGES
    assert set(collection.__all__) <= set(PAGES)


def test_what_has_a_page_can_be_imported() -> None:
    assert [name for name, module in PAGES.items() if not hasattr(importlib.import_module(module), name)] == []
