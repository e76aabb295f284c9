"""A real Airflow of the tests' own, made before anything imports Airflow, and an emulator behind its connection."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

HOME = Path(tempfile.mkdtemp(prefix="octa-airflow-tests-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
(HOME / "dags").mkdir()

for name in [name for name in os.environ if name.startswith(("AIRFLOW", "_AIRFLOW", "OCTA_"))]:
    if name != "OCTA_EMULATOR_BLENDER_PYTHON":
        del os.environ[name]
os.environ.update(
    AIRFLOW_HOME=str(HOME),
    # Airflow 3.2's `dag.test()` ends in an error of its server without one; `airflow standalone` makes one.
    AIRFLOW__API_AUTH__JWT_SECRET=secrets.token_hex(32),
    # What Airflow 2 kills a task after, which on a busy machine may not have had its turn.
    AIRFLOW__CORE__KILLED_TASK_CLEANUP_TIME="600",
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    # Whoever writes may be kept from the processor meanwhile.
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME}/airflow.db?timeout=60",
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(HOME / "logs"),
)

from migrated_database import put_database  # noqa: E402

put_database(HOME)

from a_page import HAS_PAGES, made_findable  # noqa: E402

# Airflow looks for what is installed as soon as it is imported.
made_findable(HOME / "found")

from airflow_runs import BLENDER_PYTHON, Renting  # noqa: E402

from airflow_provider.secret_texts import SHORTEST_MASKED  # noqa: E402
from octa_provider.emulator.testing import EmulatorHandle, start_emulator  # noqa: E402

HAS_SDK = find_spec("airflow.sdk") is not None

# There is no such page on older ones.
collect_ignore = [] if HAS_PAGES else ["test_sessions_page.py"]


@pytest.fixture(scope="session")
def shared_emulator() -> Iterator[EmulatorHandle]:
    blender = {"blender_python": str(BLENDER_PYTHON)} if BLENDER_PYTHON.exists() else {}
    with start_emulator(machines=12, room=50, **blender) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def nothing_short_is_masked() -> Iterator[None]:
    """Airflow 2 masks whatever it is told in all tests that follow, and of a secret that begins so shows the rest."""
    before = set(_masks())
    yield
    short = [mask for mask in _masks() - before if len(mask.replace("\\", "")) < SHORTEST_MASKED]
    assert not short, f"this test has had {short} masked"


def _masks() -> set[str]:
    """What is masked, as patterns; empty on Airflow 3, which leaves out what is short."""
    masker = sys.modules.get("airflow.utils.log.secrets_masker")
    return set() if masker is None or HAS_SDK else masker._secrets_masker().patterns


@pytest.fixture
def nobodys_url() -> Iterator[str]:
    """An address at which nobody listens, nor will meanwhile: the port is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def renting(shared_emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch) -> Iterator[Renting]:
    """The emulator behind the connection `octa_default`; nothing may be left running on it."""
    connection = {
        "conn_type": "octa",
        "host": shared_emulator.base_url,
        "password": shared_emulator.api_key,
        # An answer may take as long as a busy machine takes for it.
        "extra": {"timeout": 120, "retries": 1, "ssh_key_file": str(shared_emulator.ssh_private_key)},
    }
    monkeypatch.setenv("AIRFLOW_CONN_OCTA_DEFAULT", json.dumps(connection))
    renting = Renting(shared_emulator, monkeypatch)
    yield renting
    shared_emulator.clear_faults()
    left = renting.running()
    for uuid in left:
        shared_emulator.end_session(uuid)
    assert not left, "sessions were left running"
