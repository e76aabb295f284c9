"""Us and the peers on the same work in the same run: ratios of CPU time with their spread, and whether the goal is met.

make bench                                    every row
make bench BENCH="--only get catalogue"       some of them
make bench BENCH="--rounds 5 --json out.json"

A peer that is not installed is left out. Other rows of `docs/performance.md` have commands of their own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks import catalogue, import_time, many_waits, small_get, start_cost

ROWS = ("get", "catalogue", "help", "prefect", "operators", "waits")


def main() -> int:
    """Measure, print, and return the exit status: 0 when every goal is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), help="rows to measure")
    parser.add_argument("--rounds", type=int, default=11, help="turns of each subject, 2 or more")
    parser.add_argument("--json", type=Path, help="write every figure into this file")
    parser.add_argument("--prefect-python", help="of an environment with Prefect, for the row `prefect`")
    arguments = parser.parse_args()
    rounds = max(2, arguments.rounds)
    rows = {}
    with tempfile.TemporaryDirectory(prefix="octa-bench-") as folder:
        bytecode = Path(folder)
        measures = {
            "get": lambda: small_get.measure(rounds),
            "catalogue": lambda: catalogue.measure(rounds),
            "help": lambda: start_cost.measure_help(rounds, bytecode),
            "prefect": lambda: start_cost.measure_prefect(rounds, bytecode, arguments.prefect_python),
            "operators": lambda: import_time.measure(rounds, bytecode),
            "waits": lambda: many_waits.measure(),
        }
        for name in arguments.only:
            if name == "prefect" and not arguments.prefect_python:
                print("prefect: left out, no --prefect-python\n")
                continue
            rows[name] = row = measures[name]()
            print(row.table() + "\n", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({name: row.to_dict() for name, row in rows.items()}, indent=1) + "\n")
    return 0 if all(row.is_reached for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
