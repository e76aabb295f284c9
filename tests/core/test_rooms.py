"""The contract that keeps the rooms apart sees what it is there for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("octa_provider", "airflow_provider", "prefect_blocks")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def checked(house: Path) -> tuple[int, str]:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-logo", "--no-cache"],
        cwd=house,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_house_keeps_its_contracts(house: Path) -> None:
    status, said = checked(house)
    assert status == 0, said


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("octa_provider/text/plain_text.py", "from octa_provider.errors import OctaError", "text is not allowed"),
        (
            "octa_provider/rental/stop.py",
            "if TYPE_CHECKING:\n    from octa_provider.client import OctaClient",
            "rental is not allowed to import octa_provider.client",
        ),
        (
            "octa_provider/logs/spool.py",
            "def late() -> None:\n    import octa_provider.job.state",
            "logs is not allowed",
        ),
        (
            "octa_provider/job/jobs.py",
            "from airflow.models import DagRun",
            "octa_provider is not allowed to import airflow",
        ),
        ("airflow_provider/links.py", "import prefect_blocks.owner", "airflow_provider is not allowed to import"),
        ("octa_provider/utils/__init__.py", "", "octa_provider.utils"),
    ],
)
def test_an_import_against_the_order_of_the_rooms_is_refused(house: Path, file: str, line: str, broken: str) -> None:
    path = house / file
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{before or ''}\n\n{line}\n")
    try:
        status, said = checked(house)
    finally:
        if before is None:
            shutil.rmtree(path.parent)
        else:
            path.write_text(before)
    assert status != 0
    assert broken in " ".join(said.split()), said
