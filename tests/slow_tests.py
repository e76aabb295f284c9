"""Which tests `make check` leaves to `make test`: those that took longest, as they were measured.

A test takes the time of all its parameters. Whatever takes longer than `LONGEST_S` is left out, but of each file the
quickest test stays unless it takes longer than `NEVER_S`, so that every room is tried. The list beside this file is
written anew from what `make test` reports, on a computer that has nothing else to do:

    python tests/slow_tests.py .reports/core.xml
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".txt")
LONGEST_S = 0.5
NEVER_S = 3.0


def slow_tests() -> frozenset[str]:
    """The list: `tests/core/test_x.py::test_y`, without parameters."""
    return frozenset(LIST.read_text().split())


def measured(report: Path) -> dict[str, dict[str, float]]:
    """Seconds by file and test, of a report as pytest writes it."""
    files: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for case in ElementTree.parse(report).iter("testcase"):
        file = f"{case.get('classname', '').replace('.', '/')}.py"
        files[file][case.get("name", "").partition("[")[0]] += float(case.get("time", 0))
    return files


def too_slow(files: dict[str, dict[str, float]]) -> Iterable[str]:
    """Those that are left out."""
    for file, tests in files.items():
        quickest_s = min(tests.values())
        longest_s = LONGEST_S if quickest_s > NEVER_S else max(LONGEST_S, quickest_s)
        yield from (f"{file}::{name}" for name, seconds in tests.items() if seconds > longest_s)


def main(reports: list[str]) -> None:
    """Write the list."""
    files: dict[str, dict[str, float]] = {}
    for report in reports:
        files |= measured(Path(report))
    LIST.write_text("".join(f"{name}\n" for name in sorted(too_slow(files))))


if __name__ == "__main__":
    main(sys.argv[1:])
