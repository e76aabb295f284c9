"""What it costs to start: the help of the command line, and importing `prefect_blocks` together with Prefect."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.interleaved import Goal, Row, in_turn, process

REPOSITORY = Path(__file__).resolve().parents[1]
PREFECT_PEERS = ("prefect_docker", "prefect_kubernetes")
HELP_GOAL = Goal("octa-provider --help", None, 0.15)


def bytecode_for_all(folder: Path) -> dict[str, str]:
    """An environment in which every source is compiled once, however it was installed."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return own | {"PYTHONPATH": str(REPOSITORY), "PYTHONPYCACHEPREFIX": str(folder)}


def measure_help(rounds: int, folder: Path, python: str = sys.executable) -> Row:
    """The whole process, to its end: an upper bound of what comes before its first byte.

    Args:
        rounds: how often each takes its turn.
        folder: for bytecode.
        python: of an environment with this package.
    """
    environment = bytecode_for_all(folder)
    subjects = {
        "python -c pass": process([python, "-c", "pass"], environment),
        "octa-provider --help": process([python, "-m", "octa_provider", "--help"], environment),
    }
    return Row("octa-provider --help, CPU", "python -c pass", in_turn(subjects, rounds), HELP_GOAL)


def measure_prefect(rounds: int, folder: Path, python: str) -> Row:
    """Importing our blocks and those of others, beyond importing Prefect.

    Args:
        rounds: how often each takes its turn.
        folder: for bytecode.
        python: of an environment with Prefect and the others.
    """
    environment = bytecode_for_all(folder)
    subjects = {"prefect": process([python, "-c", "import prefect"], environment)}
    # Ours loads a name when it is used, so what a flow imports of it is what counts, and everything beside it.
    ours = {"prefect_blocks, for a job": "from prefect_blocks import OctaCredentials, OctaJob, rented_machine"}
    ours["prefect_blocks, all"] = "from prefect_blocks import *"
    peers = {name: f"import {name}" for name in PREFECT_PEERS if _has(python, name, environment)}
    for name, imported in (ours | peers).items():
        subjects[name] = process([python, "-c", f"import prefect\n{imported}"], environment)
    seconds = in_turn(subjects, rounds)
    # The import of Prefect itself is in each of them.
    least = min(peers or ["prefect"], key=lambda name: sum(seconds[name]))
    goal = Goal("prefect_blocks, for a job", least, 1.0)
    return Row("importing prefect_blocks together with Prefect, CPU", "prefect", seconds, goal)


def _has(python: str, module: str, environment: Mapping[str, str]) -> bool:
    looked = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", looked], env=dict(environment), check=False).returncode == 0
