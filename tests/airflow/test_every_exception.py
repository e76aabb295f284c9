"""Every exception of the Airflow side travels whole between processes; one that is added later is found by itself."""

from __future__ import annotations

import pytest
from every_exception import check_that_it_travels, exceptions_of

import airflow_provider
from airflow_provider import exceptions

EVERY = exceptions_of(airflow_provider)


def test_they_are_found() -> None:
    assert {getattr(exceptions, name) for name in exceptions.__all__} <= set(EVERY)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_it_keeps_all_its_attributes_between_processes(kind: type[BaseException]) -> None:
    check_that_it_travels(kind)
