"""The names of others that docs/references.txt gives a page exist where our source imports them from."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

LINES = (Path(__file__).parents[2] / "docs" / "references.txt").read_text().splitlines()
NAMES = [line.split()[0] for line in LINES if line.startswith(("prefect", "pydantic"))]


@pytest.mark.parametrize("name", NAMES)
def test_a_referenced_name_exists(name: str) -> None:
    module, _, short = name.rpartition(".")
    assert hasattr(importlib.import_module(module), short)
