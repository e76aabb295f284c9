"""Airflow's database, made once: every other Airflow of the same tests begins with a copy of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: Names the one that this process's parent has made: what hands the tests out, or the test that starts a process.
_MADE = "TESTS_MIGRATED_AIRFLOW"


def put_database(home: Path) -> Path:
    """Give an Airflow a database as `airflow db migrate` leaves it, which takes some seconds of a processor.

    Args:
        home: its folder.

    Returns:
        The database's file.
    """
    database = home / "airflow.db"
    shutil.copyfile(_made(), database)
    return database


def _made() -> Path:
    made = os.environ.get(_MADE, "")
    if not made:
        # Beside the home of these tests, and gone with it.
        folder = Path(tempfile.mkdtemp(prefix="migrated-", dir=os.environ["AIRFLOW_HOME"]))
        made = os.environ[_MADE] = str(folder / "airflow.db")
        environment = os.environ | {
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{made}",
        }
        subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True, env=environment
        )
    return Path(made)
