"""What it costs Airflow to import an operator when it parses a DAG file, beside three well-known operators.

.venvs/peers/bin/python benchmarks/import_time.py               15 rounds
.venvs/peers/bin/python benchmarks/import_time.py --rounds 5    fewer

Each measurement is a process of its own. It does what costs Airflow's own time for any DAG file: import `DAG`, and
`BaseOperator` through the common.compat provider, and make the first DAG, with one task (which imports timetables and
more). Then it times a DAG file that imports one operator and makes a task of it. The operators take turns, so that a
busy machine is as unfair to one as to the other. Printed are medians, and ours as a share of the cheapest of the
others. Run it in an environment that has the others' providers installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
#: The goal: ours is at most this share of the cheapest of the others.
GOAL = 0.1

PREAMBLE = """
import sys, time
from airflow.sdk import DAG
from airflow.providers.common.compat.sdk import BaseOperator
with DAG("airflows_own", schedule=None):
    BaseOperator(task_id="task")
before = len(sys.modules)
begun = time.perf_counter()
"""
EPILOGUE = """
print(time.perf_counter() - begun, len(sys.modules) - before)
"""


@dataclass
class Subject:
    """An operator that is measured.

    Attributes:
        name: its class.
        package: the distribution it comes in.
        module: where it is imported from.
        arguments: of the task that is made of it, as Python.
        seconds: what each measurement took.
        modules: how many modules it brought in.
    """

    name: str
    package: str
    module: str
    arguments: str
    seconds: list[float] = field(default_factory=list)
    modules: int = 0

    @property
    def is_installed(self) -> bool:
        try:
            return importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:
            return False

    def measure(self, home: Path) -> None:
        """Import it once, in a new process."""
        task = f'{self.name}(task_id="task", {self.arguments})'
        dag = f'from {self.module} import {self.name}\nwith DAG("dag", schedule=None):\n    {task}\n'
        ended = subprocess.run(
            [sys.executable, "-c", PREAMBLE + dag + EPILOGUE],
            env=environment(home),
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise SystemExit(f"{self.name} can't be imported:\n{ended.stderr.strip()[-1500:]}")
        seconds, modules = ended.stdout.split()[-2:]
        self.seconds.append(float(seconds))
        self.modules = int(modules)

    @property
    def median_ms(self) -> float:
        return statistics.median(self.seconds) * 1000


def environment(home: Path) -> dict[str, str]:
    """Bytecode for all alike, in a folder of the benchmark's own, however each was installed."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return own | {
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONPYCACHEPREFIX": str(home / "bytecode"),
    }


OURS = Subject(
    "OctaRunJobOperator", "octa-provider", "airflow_provider.operators.job", 'image="alpine:3", command="true"'
)
PEERS = (
    Subject(
        "KubernetesPodOperator",
        "apache-airflow-providers-cncf-kubernetes",
        "airflow.providers.cncf.kubernetes.operators.pod",
        'image="alpine:3", cmds=["true"]',
    ),
    Subject(
        "DbtCloudRunJobOperator",
        "apache-airflow-providers-dbt-cloud",
        "airflow.providers.dbt.cloud.operators.dbt",
        "job_id=1",
    ),
    Subject(
        "SSHRemoteJobOperator",
        "apache-airflow-providers-ssh",
        "airflow.providers.ssh.operators.ssh_remote_job",
        'ssh_conn_id="ssh", command="true"',
    ),
)


def main() -> int:
    """Measure, print the table, and return the exit status: 0 when the goal is reached."""
    parser = argparse.ArgumentParser(description="Import cost of operators, one process for each measurement.")
    parser.add_argument("--rounds", type=int, default=15, help="2 or more")
    rounds = max(2, parser.parse_args().rounds)
    missing = [peer for peer in PEERS if not peer.is_installed]
    if missing:
        print(f"Not installed here, so not compared: {', '.join(peer.package for peer in missing)}.")
    subjects = [OURS, *(peer for peer in PEERS if peer not in missing)]
    with tempfile.TemporaryDirectory(prefix="octa-import-time-") as home:
        for number in range(rounds + 1):
            for subject in subjects:
                subject.measure(Path(home))
                if number == 0:
                    # Compiles what has no bytecode yet, and reads the disk.
                    subject.seconds.clear()
    print(f"{'operator':<26}{'median ms':>11}{'quartiles':>16}{'modules':>9}   {rounds} processes each")
    for subject in subjects:
        low, _, high = statistics.quantiles(subject.seconds, n=4)
        quartiles = f"{low * 1000:.1f}-{high * 1000:.1f}"
        print(f"{subject.name:<26}{subject.median_ms:>11.1f}{quartiles:>16}{subject.modules:>9}")
    if len(subjects) == 1:
        return 2
    cheapest = min(subjects[1:], key=lambda subject: subject.median_ms)
    share = OURS.median_ms / cheapest.median_ms
    verdict = "reached" if share <= GOAL else "missed"
    print(f"ours is {share:.3f} of the cheapest other, {cheapest.name}; goal at most {GOAL}: {verdict}")
    return 0 if share <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
