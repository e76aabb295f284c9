"""Every check of this repository, each in the environment it needs, with one summary at the end: `make test` runs it.

python tests/all_checks.py                 all of them
python tests/all_checks.py core airflow    only those whose names are given; `make check` names the quick ones

All of them wait for much of their time, for schedulers, workers and machines to notice something, so lanes of them run
side by side; each check's output is shown in one piece when it has ended. So that no test fails because the others
keep the cores busy, those whose clocks are quick come first wherever they want to run, and the patient ones, which wait
for the thing itself for minutes, get what they leave.

A few tests that failed beside the others are tried once more, alone, when all have ended: what passes then is listed as
fragile, by name, and does not fail the whole. It is a fault of that test all the same, or a race of ours: mend it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venvs"
REPORTS = ROOT / ".reports"
OURS = ("octa_provider", "airflow_provider", "prefect_blocks", "dags_examples", "demo", "benchmarks", "tests")
#: Ends the name of what is tried alone.
ALONE = " alone"


@dataclass(frozen=True)
class Check:
    """One command in an environment, a module or a program of it. Of tests the report counts, of others the status."""

    name: str
    environment: str
    arguments: tuple[str, ...]
    tests: bool = True
    program: bool = False
    lane: int | None = None  # None runs alone; checks of different lanes side by side, those of one in their order
    niceness: int = 0  # the higher, the more it leaves the processors to the other lanes
    is_part: bool = False  # of another one: run when it is named

    @property
    def report(self) -> Path:
        """Where pytest writes what happened."""
        return REPORTS / f"{self.name}.xml"

    @property
    def log(self) -> Path:
        """Where its output goes while it runs beside another."""
        return REPORTS / f"{self.name}.log"

    @property
    def memory(self) -> Path:
        """Where pytest keeps which tests failed."""
        return REPORTS / f"{self.name.removesuffix(ALONE)}.cache"

    def command(self) -> list[str]:
        """What is run."""
        commands = VENVS / self.environment / "bin"
        politely = ["nice", "-n", str(self.niceness)] if self.niceness else []
        if self.program:
            return [*politely, str(commands / self.arguments[0]), *self.arguments[1:]]
        python = str(commands / "python")
        extra = [f"--junitxml={self.report}", "-o", f"cache_dir={self.memory}"] if self.tests else []
        return [*politely, python, "-m", *self.arguments, *extra]

    def alone(self) -> Check:
        """The same of the tests that failed, one by one."""
        kept = [argument for argument in self.arguments if not argument.startswith("--cov")]
        arguments = (*kept, "-n", "0", "--last-failed", "--last-failed-no-failures=none")
        return replace(self, name=f"{self.name}{ALONE}", arguments=arguments, niceness=0)


@dataclass
class Outcome:
    """What a check came to."""

    check: Check
    seconds: float
    cpu_seconds: float
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    fragile: list[str] = field(default_factory=list)
    skipped: int = 0
    has_lost_worker: bool = False  # and what it knew of the lines that it had run
    was_cut_short: bool = False  # some tests were not run at all


CORE_TESTS = ("tests/core", "tests/emulator", "tests/cli", "tests/demo")
CAMPAIGNS = ("tests/chaos", "tests/fuzz")
SLOW = tuple(
    f"--ignore=tests/{name}"
    for name in (
        "cli/test_cli_render.py",
        "cli/test_cli_signals.py",
        "cli/test_cli_terminals.py",
        "cli/test_documents.py",
        "cli/test_shown_commands.py",
        "core/batch/run",
        "core/test_models_fields.py",
        "core/test_models_properties.py",
        "core/test_patterns_are_linear.py",
    )
)
COVERED = 95
COVERAGE = ("--cov=octa_provider", "--cov-branch", "--cov-report=term:skip-covered", f"--cov-fail-under={COVERED}")
#: Not the files with the fewest tests last: these take longest.
BY_FILE = ("--dist", "loadfile", "--no-loadscope-reorder", "-n")
AIRFLOW_TESTS = ("tests/airflow", "--ignore=tests/airflow/e2e")
#: A file's tests stay together, with what is started for it; a worker that has ended takes half of what another has.
SHARED = ("--dist", "worksteal", "-n")
#: How much each leaves to the others: of two that want the same core the smaller number gets more of it. No more than
#: that: beside a stranger's busy processes the highest would get next to nothing.
QUICK_CLOCKS, PATIENT = 2, 4
CHECKS = (
    Check("lint", "core", ("ruff", "check", "."), tests=False),
    Check("format", "core", ("ruff", "format", "--check", "."), tests=False),
    Check("rooms", "core", ("lint-imports", "--no-logo", "--no-cache"), tests=False, program=True),
    Check("types", "core", ("mypy", "octa_provider"), tests=False),
    Check("types-airflow", "airflow", ("mypy", "airflow_provider"), tests=False),
    Check("types-prefect", "prefect", ("mypy", "prefect_blocks"), tests=False),
    # A page for everything public, and no link that leads nowhere.
    Check("docs", "docs", ("mkdocs", "build", "--strict", "--quiet"), tests=False, program=True),
    # What a contributor waits for: not what renders, kills, or draws thousands of inputs, nor whatever else takes long.
    Check("quick", "core", ("pytest", "-q", "--quick", *SHARED, "3", *CORE_TESTS[:3], *SLOW), is_part=True),
    # A whole Airflow, whose scheduler fails healthy tasks when it gets no time: before everything else.
    Check("airflow-e2e", "airflow", ("pytest", "-q", *BY_FILE, "2", "tests/airflow/e2e"), lane=1),
    Check("airflow", "airflow", ("pytest", "-q", *BY_FILE, "3", *AIRFLOW_TESTS), lane=4, niceness=PATIENT),
    Check("core", "core", ("pytest", "-q", *SHARED, "3", *COVERAGE, *CORE_TESTS), lane=2, niceness=QUICK_CLOCKS),
    Check(
        "airflow-2.11",
        "airflow-2.11",
        ("pytest", "-q", *BY_FILE, "2", *AIRFLOW_TESTS),
        lane=1,
        niceness=PATIENT,
    ),
    Check("prefect", "prefect", ("pytest", "-q", *SHARED, "3", "tests/prefect"), lane=3, niceness=PATIENT),
    # The same lines thousands of times: to count them would take twice as long as to run them.
    Check("campaigns", "core", ("pytest", "-q", *SHARED, "2", *CAMPAIGNS), lane=2, niceness=QUICK_CLOCKS),
)
#: pytest's exit status when all tests were run.
SOME_FAILED = 1
#: What xdist says of the test at which a worker ended.
LOST_WORKER = "crashed while running"
#: More that fail at once are no accident.
MOST_FRAGILE = 8
_printing = threading.Lock()


def main(names: list[str]) -> int:
    """Run the checks, print the summary, and return the exit status."""
    known = {check.name for check in CHECKS}
    if unknown := set(names) - known:
        print(f"no check is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        return 2
    REPORTS.mkdir(exist_ok=True)
    # A shell that runs us in the background, or nohup, has them ignored, and every process that a test starts would
    # inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    wanted = [check for check in CHECKS if check.name in names or not (names or check.is_part)]
    outcomes = [run(check) for check in wanted if check.lane is None]
    numbers = sorted({check.lane for check in wanted if check.lane is not None})
    lanes = [[check for check in wanted if check.lane == number] for number in numbers]
    with ThreadPoolExecutor(max(len(lanes), 1)) as pool:
        side_by_side = len(lanes) > 1
        for lane_outcomes in pool.map(lambda lane: [run(check, quiet=side_by_side) for check in lane], lanes):
            outcomes += lane_outcomes
    if sum(len(one.failures) for one in outcomes) <= MOST_FRAGILE:
        for one in outcomes:
            try_alone(one)
    print(f"\n{'check':<16}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}{'cpu':>9}")
    for one in outcomes:
        counts = f"{one.passed:>8}{len(one.failures):>8}{one.skipped:>9}"
        print(f"{one.check.name:<16}{counts}{one.seconds:>9.0f}{one.cpu_seconds:>9.0f}")
    failures = [f"{one.check.name}: {name}" for one in outcomes for name in one.failures]
    for failure in failures:
        print(f"failed  {failure}")
    fragile = [f"{one.check.name}: {name}" for one in outcomes for name in one.fragile]
    for name in fragile:
        print(f"fragile {name}")
    told = f", {len(fragile)} of them only alone: mend these" if fragile else ""
    print(f"\n{sum(one.passed for one in outcomes)} passed{told}, {len(failures)} failed")
    return 1 if failures else 0


def run(check: Check, *, quiet: bool = False) -> Outcome:
    """Run one check, its output shown as it comes; `quiet` shows it at the end."""
    print(f"\n== {check.name}{' begins' if quiet else ''} ==", flush=True)
    check.report.unlink(missing_ok=True)
    if not check.name.endswith(ALONE):
        shutil.rmtree(check.memory, ignore_errors=True)
    started = time.monotonic()
    with check.log.open("wb") as log:
        process = subprocess.Popen(
            check.command(),
            cwd=ROOT,
            env=_environment() | {"MYPY_CACHE_DIR": str(ROOT / ".mypy_cache" / check.environment)},
            stdout=log if quiet else None,
            stderr=log if quiet else None,
        )
        # As `wait`, and with what it and its children have used: whether a check works or waits.
        _, waited, used = os.wait4(process.pid, 0)
        status = process.returncode = os.waitstatus_to_exitcode(waited)
    if quiet:
        with _printing:
            print(f"\n== {check.name} ==\n{check.log.read_text(errors='replace')}", flush=True)
    outcome = Outcome(check, time.monotonic() - started, used.ru_utime + used.ru_stime)
    if check.tests and check.report.exists():
        for case in ElementTree.parse(check.report).iter("testcase"):
            problem = case.find("failure") if case.find("error") is None else case.find("error")
            if problem is not None:
                # One that fails and leaves something behind as well is there twice.
                name = f"{case.get('classname')}::{case.get('name')}"
                if name not in outcome.failures:
                    outcome.failures.append(name)
                outcome.has_lost_worker |= LOST_WORKER in f"{problem.get('message')}{problem.text}"
            elif case.find("skipped") is not None:
                outcome.skipped += 1
            else:
                outcome.passed += 1
    elif status == 0:
        outcome.passed = 1
    outcome.was_cut_short = status not in {0, SOME_FAILED}
    if status != 0 and not outcome.failures:
        outcome.failures.append(f"exit status {status}")
    return outcome


def try_alone(outcome: Outcome) -> None:
    """Give the tests that failed beside the others a second try, and note in the outcome which passed then."""
    if not (outcome.check.tests and outcome.failures and outcome.check.report.exists()) or outcome.was_cut_short:
        return
    again = run(outcome.check.alone())
    passed = len(outcome.failures) == again.passed and not again.failures
    if passed and outcome.has_lost_worker:
        print("a worker of pytest's ended: how many lines were run is not known, and not judged")
    elif passed and COVERAGE[0] in outcome.check.arguments:
        # Whether enough lines were run is asked of what all of them left.
        python = VENVS / outcome.check.environment / "bin" / "python"
        told = subprocess.run(
            [python, "-m", "coverage", "report", f"--fail-under={COVERED}", "--format=total"], cwd=ROOT
        )
        passed = told.returncode == 0
    if passed:
        outcome.passed += again.passed
        outcome.fragile, outcome.failures = outcome.failures, []
    outcome.seconds += again.seconds
    outcome.cpu_seconds += again.cpu_seconds


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OCTA_", "AIRFLOW_"))}
    # The tests start thousands of processes of ours: without compiled files each of them compiles our modules anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    blender = VENVS / "blender" / "bin" / "python"
    return environment | {"OCTA_EMULATOR_BLENDER_PYTHON": str(blender), "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
