"""The campaign's marker."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register it."""
    config.addinivalue_line("markers", "chaos: the campaign; takes minutes")
