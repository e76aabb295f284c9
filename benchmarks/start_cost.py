"""What it costs to start: the help of a command line, and importing `prefect_blocks` together with Prefect."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.interleaved import Goal, Measure, Row, in_turn, process

REPOSITORY = Path(__file__).resolve().parents[1]
PREFECT_PEERS = ("prefect_docker", "prefect_kubernetes")
OUR_HELP = "octa-provider --help"
HELP_GOAL = Goal(OUR_HELP, None, 0.15)
#: How another command line is asked for its help, where not with `--help`.
HELP = {"aws": "help"}


def bytecode_for_all(folder: Path) -> dict[str, str]:
    """An environment in which every source is compiled once, however it was installed."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return own | {"PYTHONPATH": str(REPOSITORY), "PYTHONPYCACHEPREFIX": str(folder)}


def measure_help(rounds: int, folder: Path, python: str = sys.executable, others: Sequence[str] = ()) -> Row:
    """The whole process, to its end.

    Args:
        rounds: how often each takes its turn.
        folder: for bytecode, and the home of the others.
        python: of an environment with this package.
        others: paths of other command lines.
    """
    subjects = {
        name: process(command, environment) for name, (command, environment) in _helps(folder, python, others).items()
    }
    return Row(f"{OUR_HELP}, CPU", "python -c pass", in_turn(subjects, rounds), HELP_GOAL)


def measure_first_byte(rounds: int, folder: Path, others: Sequence[str]) -> Row:
    """How long somebody waits for the first byte of a help.

    Args:
        rounds: how often each takes its turn.
        folder: for bytecode, and the home of the others.
        others: paths of other command lines, one at least.
    """
    commands = _helps(folder, sys.executable, others)
    del commands["python -c pass"]
    subjects = {name: _first_byte(command, environment) for name, (command, environment) in commands.items()}
    seconds = in_turn(subjects, rounds)
    quickest = min((name for name in seconds if name != OUR_HELP), key=lambda name: sum(seconds[name]))
    return Row("the first byte of a help, time", OUR_HELP, seconds, Goal(OUR_HELP, quickest, 1.0), "s")


def command_lines(told: Sequence[str]) -> list[str]:
    """The paths of other command lines that are there: those that are told, and gcloud, which no package index has.

    Args:
        told: paths.
    """
    return [path for path in (*told, shutil.which("gcloud") or "") if path and Path(path).exists()]


def _helps(folder: Path, python: str, others: Sequence[str]) -> dict[str, tuple[list[str], dict[str, str]]]:
    """By name, a command and its environment."""
    environment = bytecode_for_all(folder)
    helps = {
        "python -c pass": ([python, "-c", "pass"], environment),
        OUR_HELP: ([python, "-m", "octa_provider", "--help"], environment),
    }
    # They write into their home, and tell their makers of their use.
    home = folder / "home"
    home.mkdir(exist_ok=True)
    apart = environment | {
        "HOME": str(home),
        "CLOUDSDK_CONFIG": str(home / "gcloud"),
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
    }
    del apart["PYTHONPATH"]
    for path in others:
        name = Path(path).name
        option = HELP.get(name, "--help")
        helps[f"{name} {option}"] = ([path, option], apart)
    return helps


def _first_byte(command: Sequence[str], environment: Mapping[str, str]) -> Measure:
    def measure() -> float:
        begun = time.monotonic()
        with subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            first = os.read(child.stdout.fileno(), 1)
            took_s = time.monotonic() - begun
            child.stdout.read()
        if child.returncode or not first:
            raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
        return took_s

    return measure


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
