"""Us and the peers on the same work in the same run: ratios of CPU time with their spread, and whether the goal is met.

make bench                                    every row
make bench BENCH="--only get catalogue"       some of them
make bench BENCH="--rounds 5 --json out.json"

A peer that is not installed is left out. Other rows of `docs/performance.md` have commands of their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks import (
    catalogue,
    emulator_requests,
    files_over_ssh,
    import_time,
    log_bytes,
    many_waits,
    small_get,
    start_cost,
)
from benchmarks.interleaved import Row

ROWS = (
    "get",
    "catalogue",
    "help",
    "first-byte",
    "prefect",
    "operators",
    "waits",
    "log",
    "emulator",
    *files_over_ssh.GOALS,
)


#: Rows on the emulator, which the environment with the peers may lack, and their goals.
ON_EMULATOR = {"log": log_bytes.GOAL, "emulator": emulator_requests.GOAL, **files_over_ssh.GOALS}


def main() -> int:
    """Measure, print, and return the exit status: 0 when every goal is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), help="rows to measure")
    parser.add_argument("--rounds", type=int, default=11, help="turns of each subject, 2 or more")
    parser.add_argument("--json", type=Path, help="write every figure into this file")
    parser.add_argument("--prefect-python", help="of an environment with Prefect, for the row `prefect`")
    parser.add_argument("--core-python", help="of an environment with the emulator, for rows that need it")
    parser.add_argument("--moto-python", help="of an environment with moto's server, for the row `emulator`")
    parser.add_argument("--clis", nargs="+", default=[], help="other command lines, for `help` and `first-byte`")
    arguments = parser.parse_args()
    rounds, clis = max(2, arguments.rounds), start_cost.command_lines(arguments.clis)
    rows = {}
    with tempfile.TemporaryDirectory(prefix="octa-bench-") as folder:
        bytecode = Path(folder)
        measures = {
            "get": lambda: small_get.measure(rounds),
            "catalogue": lambda: catalogue.measure(rounds),
            "help": lambda: start_cost.measure_help(rounds, bytecode, others=clis),
            "first-byte": lambda: start_cost.measure_first_byte(rounds, bytecode, clis),
            "prefect": lambda: start_cost.measure_prefect(rounds, bytecode, arguments.prefect_python),
            "operators": lambda: import_time.measure(rounds, bytecode),
            "waits": lambda: many_waits.measure(),
            "log": lambda: log_bytes.measure(),
            "emulator": lambda: emulator_requests.measure(rounds, arguments.moto_python),
            **{name: partial(files_over_ssh.measure, name, rounds) for name in files_over_ssh.GOALS},
        }
        for name in arguments.only:
            if name == "prefect" and not arguments.prefect_python:
                print("prefect: left out, no --prefect-python\n")
                continue
            if name == "first-byte" and not clis:
                print("first-byte: left out, no --clis\n")
                continue
            if name in files_over_ssh.GOALS and files_over_ssh.sshd() is None:
                print(f"{name}: left out, there is no sshd here (Debian: openssh-server)\n")
                continue
            if name in ON_EMULATOR and not find_spec("pytest"):
                if not arguments.core_python:
                    print(f"{name}: left out, no --core-python\n")
                    continue
                told = bytecode / f"{name}.json"
                row = _measured_by(arguments.core_python, name, rounds, told, arguments.moto_python)
            else:
                row = measures[name]()
            rows[name] = row
            print(row.table() + "\n", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({name: row.to_dict() for name, row in rows.items()}, indent=1) + "\n")
    return 0 if all(row.is_reached for row in rows.values()) else 1


def _measured_by(python: str, name: str, rounds: int, told: Path, moto_python: str | None) -> Row:
    """A row that a process with another Python measures."""
    command = [python, "-m", "benchmarks.bench", "--only", name, "--rounds", str(rounds), "--json", str(told)]
    command += [] if moto_python is None else ["--moto-python", moto_python]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if not told.exists():
        raise SystemExit(f"{name} could not be measured: {python} ended with {ended.returncode}")
    return Row.from_dict(json.loads(told.read_text())[name], ON_EMULATOR[name])


if __name__ == "__main__":
    sys.exit(main())
