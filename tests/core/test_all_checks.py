"""The one command of all checks: what of the tests fails it, and what passes at the second try."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Runs the checks on one file of tests, with reports of their own.
PROGRAM = """
import sys
from pathlib import Path
folder, tests = Path(sys.argv[1]), sys.argv[2]
sys.path.insert(0, sys.argv[3])
import all_checks
all_checks.REPORTS = folder / "reports"
arguments = ("pytest", "-q", "-p", "no:cov", *all_checks.SHARED, "2", tests)
all_checks.CHECKS = (all_checks.Check("few", "core", arguments, lane=1),)
sys.exit(all_checks.main([]))
"""
BEGINNING = """
import os, pathlib, pytest
def is_first(name):
    try:
        pathlib.Path(__file__).with_name(name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
def test_whole():
    pass
"""
FAILS_AND_LEAVES_SOMETHING = """
@pytest.fixture
def tidy():
    yield
    assert not is_first("left"), "something was left behind"
def test_once(tidy):
    assert not is_first("failed"), "it failed"
"""
FAILS_AT_ITS_END = """
@pytest.fixture
def tidy():
    yield
    assert not is_first("left"), "something was left behind"
def test_once(tidy):
    pass
"""
ENDS_THE_WORKER = """
def test_once():
    if is_first("ended"):
        os._exit(3)
"""
FAILS_ALWAYS = """
def test_once():
    assert False
"""


def all_checks(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    file = folder / "test_few.py"
    file.write_text(BEGINNING + tests)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    command = [sys.executable, "-c", PROGRAM, str(folder), str(file), str(Path(__file__).parents[1])]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("tests", [FAILS_AND_LEAVES_SOMETHING, FAILS_AT_ITS_END, ENDS_THE_WORKER])
def test_what_passes_alone_is_told_and_fails_nothing(tests: str, tmp_path: Path) -> None:
    ended = all_checks(tmp_path, tests)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("fragile few: test_few::test_once") == 1
    assert ended.stdout.rstrip().endswith("2 passed, 1 of them only alone: mend these, 0 failed")


def test_what_fails_alone_too_fails_the_whole(tmp_path: Path) -> None:
    ended = all_checks(tmp_path, FAILS_ALWAYS)
    assert ended.returncode == 1
    assert ended.stdout.rstrip().endswith("failed  few: test_few::test_once\n\n1 passed, 1 failed")
