"""The extra `pictures`, borrowed from the core's environment where this one has it not: both are of one Python."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("numpy", "numpy.libs", "OpenImageIO")


@pytest.fixture
def pictures_extra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For the length of a test frames can be decoded."""
    if find_spec("OpenImageIO") is not None:
        yield
        return
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = ROOT / ".venvs" / "core" / "lib" / version / "site-packages"
    assert (packages / "OpenImageIO").exists(), "the core's environment is missing: run `make core`"
    borrowed = tmp_path_factory.mktemp("pictures")
    for name in NAMES:
        (borrowed / name).symlink_to(packages / name)
    sys.path.append(str(borrowed))
    try:
        yield
    finally:
        # What is loaded stays: libraries of C can't be taken out again.
        sys.path.remove(str(borrowed))
