"""What it costs Airflow to import an operator when it parses a DAG file, beside three well-known operators.

Each measurement is a process of its own. It does what costs Airflow's own time for any DAG file: import `DAG`, and
`BaseOperator` through the common.compat provider, and make the first DAG, with one task (which imports timetables and
more). Then it counts the CPU time of a DAG file that imports one operator and makes a task of it. Run it in an
environment that has the others' providers installed: `make bench BENCH="--only operators"`.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.interleaved import Goal, Row, in_turn
from benchmarks.start_cost import bytecode_for_all

PREAMBLE = """
import time
from airflow.sdk import DAG
from airflow.providers.common.compat.sdk import BaseOperator
with DAG("airflows_own", schedule=None):
    BaseOperator(task_id="task")
begun = time.process_time()
"""
EPILOGUE = """
print(time.process_time() - begun)
"""


@dataclass(frozen=True)
class Subject:
    """An operator that is measured.

    Attributes:
        name: its class.
        module: where it is imported from.
        arguments: of the task that is made of it, as Python.
    """

    name: str
    module: str
    arguments: str

    @property
    def is_installed(self) -> bool:
        try:
            return importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:
            return False

    def measure(self, home: Path) -> float:
        """CPU seconds of importing it once, in a new process."""
        task = f'{self.name}(task_id="task", {self.arguments})'
        dag = f'from {self.module} import {self.name}\nwith DAG("dag", schedule=None):\n    {task}\n'
        ended = subprocess.run(
            [sys.executable, "-c", PREAMBLE + dag + EPILOGUE],
            env=bytecode_for_all(home / "bytecode") | {"AIRFLOW_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise SystemExit(f"{self.name} can't be imported:\n{ended.stderr.strip()[-1500:]}")
        return float(ended.stdout.split()[-1])


OURS = Subject("OctaRunJobOperator", "airflow_provider.operators.job", 'image="alpine:3", command="true"')
DBT = Subject("DbtCloudRunJobOperator", "airflow.providers.dbt.cloud.operators.dbt", "job_id=1")
PEERS = (
    DBT,
    Subject(
        "KubernetesPodOperator",
        "airflow.providers.cncf.kubernetes.operators.pod",
        'image="alpine:3", cmds=["true"]',
    ),
    Subject(
        "SSHRemoteJobOperator",
        "airflow.providers.ssh.operators.ssh_remote_job",
        'ssh_conn_id="ssh", command="true"',
    ),
)


GOAL = Goal(OURS.name, DBT.name, 0.05)


def measure(rounds: int, home: Path) -> Row:
    """Import each operator that is installed here.

    Args:
        rounds: how often each takes its turn.
        home: a folder for Airflow and for bytecode.
    """
    subjects = {one.name: partial(one.measure, home) for one in (OURS, *PEERS) if one.is_installed}
    if DBT.name not in subjects:
        raise SystemExit(f"{DBT.name} is not installed here, and it is what ours is compared with: make bench")
    return Row("parsing a DAG with one operator, over Airflow's own, CPU", DBT.name, in_turn(subjects, rounds), GOAL)
