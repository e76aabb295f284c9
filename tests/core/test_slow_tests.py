"""What `make check` leaves to `make test` is there, and leaves something of every file."""

from __future__ import annotations

import ast
from pathlib import Path

from slow_tests import ROOT, measured, slow_tests, too_slow

REPORT = """<testsuites><testsuite>
<testcase classname="tests.core.test_a" name="test_long[1]" time="0.3"/>
<testcase classname="tests.core.test_a" name="test_long[x::y[2]]" time="0.3"/>
<testcase classname="tests.core.test_a" name="test_short" time="0.5"/>
<testcase classname="tests.core.test_b" name="test_longest" time="2.9"/>
<testcase classname="tests.core.test_b" name="test_shortest" time="2.8"/>
<testcase classname="tests.core.test_c" name="test_of_minutes" time="60"/>
</testsuite></testsuites>"""


def test_what_is_left_out_is_a_test_that_there_is() -> None:
    by_file: dict[str, set[str]] = {}
    for name in slow_tests():
        file, _, test = name.partition("::")
        by_file.setdefault(file, set()).add(test)
    assert by_file
    for file, left_out in by_file.items():
        tree = ast.parse((ROOT / file).read_text())
        assert left_out <= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, file


def test_a_test_takes_the_time_of_its_parameters_and_of_each_file_the_quickest_stays(tmp_path: Path) -> None:
    report = tmp_path / "core.xml"
    report.write_text(REPORT)
    left_out = sorted(too_slow(measured(report)))
    assert left_out == [
        "tests/core/test_a.py::test_long",
        "tests/core/test_b.py::test_longest",
        "tests/core/test_c.py::test_of_minutes",
    ]
