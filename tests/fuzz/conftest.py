"""Says at the end what was tried."""

from __future__ import annotations

import pytest
from fuzzing import COUNTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line: inputs tried, and the slowest of them."""
    if not COUNTS:
        return
    inputs = sum(count for count, _ in COUNTS.values())
    slowest_s, name = max((slowest, name) for name, (_, slowest) in COUNTS.items())
    terminalreporter.write_line(
        f"{inputs} inputs in {len(COUNTS)} fuzzers; the slowest took {slowest_s:.3f} s of CPU, in {name}"
    )
