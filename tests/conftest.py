"""What every suite needs: nothing that a test writes down is left in the home folder of whoever runs it."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Give the run, and every process that it starts, a state folder of its own."""
    folder = tempfile.mkdtemp(prefix="octa-state-")
    os.environ["OCTA_STATE_DIR"] = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
