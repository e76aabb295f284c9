"""Every exception of the core gets whole from one process to another; one that is added later is found by itself."""

from __future__ import annotations

import pytest
from every_exception import check_that_it_travels, exceptions_of

import octa_provider
from octa_provider import errors

EVERY = exceptions_of(octa_provider)


def test_they_are_found() -> None:
    public = {getattr(errors, name) for name in errors.__all__ if name.startswith("Octa")}
    assert public <= set(EVERY)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_it_keeps_all_its_attributes_between_processes(kind: type[BaseException]) -> None:
    check_that_it_travels(kind)
