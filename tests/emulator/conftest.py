"""Emulators for the tests of the emulator."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tenancy import Tenant

from octa_provider.emulator.testing import start_emulator


@pytest.fixture
def hire() -> Iterator[Callable[..., Tenant]]:
    """Start an emulator with options of its own, and get its tenant."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Tenant:
            fields = {"in_process": True, "start_delay_s": 0.02} | options
            return Tenant(stack.enter_context(start_emulator(**fields)))

        yield start


@pytest.fixture
def tenant(hire: Callable[..., Tenant]) -> Tenant:
    """The tenant of an emulator with the usual options."""
    return hire()
