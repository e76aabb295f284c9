"""Another Airflow installation, for a test that needs two.

It has a home and a database of its own, made by `another_airflow`, and runs the same DAG for the same date.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forked import forked
from migrated_database import put_database

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Installation:
    """An Airflow of its own.

    Attributes:
        home: its folder.
        environment: of its processes.
    """

    home: Path
    environment: Mapping[str, str]

    def python(self, *arguments: str) -> str:
        """Run Python in it; returns what it printed last."""
        done = subprocess.run(
            [sys.executable, *arguments], env=dict(self.environment), capture_output=True, text=True, timeout=800
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip().splitlines()[-1]

    def namespace(self) -> str:
        """What its rental keys begin with, asked of its hook outside of any task."""
        code = "from airflow_provider.hooks.octa import OctaHook; print(OctaHook().get_conn().namespace)"
        return self.python("-c", code)

    def key(self) -> str:
        """The rental key of a task that it has just run."""
        return str(self._ran("key")["key"])

    def reaped(self) -> dict[str, Any]:
        """What its reaper found and stopped."""
        return self._ran("reap")

    def _ran(self, what: str) -> dict[str, Any]:
        """What the DAG's task returns, in a process of its own."""
        log = self.home / f"{what}.log"
        with forked(run_here, what, log, self.environment) as process:
            process.join(800)
            assert process.exitcode == 0, log.read_text()[-6000:]
        found: dict[str, Any] = json.loads((self.home / f"{what}.json").read_text())
        return found


def another_airflow(home: Path, *, migrated: bool = True, **environment: str) -> Installation:
    """Make an Airflow in a folder.

    Args:
        home: the folder.
        migrated: whether it has a database.
        environment: more of its environment.
    """
    (home / "dags").mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    made = Installation(
        home,
        os.environ
        | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "PYTHONPATH": path,
        }
        | environment,
    )
    if migrated:
        put_database(home)
    return made


def run_here(what: str) -> None:
    """Run one DAG, the same in every installation, and write its task's result into the folder of this Airflow.

    Args:
        what: `key` or `reap`.
    """
    from datetime import datetime, timezone

    from airflow import settings
    from airflow.providers.common.compat.sdk import DAG
    from airflow_runs import run

    from airflow_provider.operators.reap import OctaReapOperator
    from airflow_provider.operators.start import OctaStartMachineOperator

    # What this process was forked from has another database.
    settings.initialize()
    at = datetime(2026, 1, 2, tzinfo=timezone.utc)
    with DAG(f"same_{what}", schedule=None, start_date=at) as dag:
        if what == "key":
            OctaStartMachineOperator(task_id="task", image="alpine:3", start_command="sleep 600")
        else:
            OctaReapOperator(task_id="task", older_than_s=0)
    ended = run(dag, at=at)
    (Path(os.environ["AIRFLOW_HOME"]) / f"{what}.json").write_text(json.dumps(ended.result("task")))
