"""The Python for Airflow in README and docs: every block is type-checked, and every one is parsed by Airflow itself."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import airflow
import pytest

from tests.document_blocks import PYTHON, Block, misspelt, refused_by_mypy

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag

BLOCKS = [block for block in PYTHON if block.environment == "airflow"]
#: Any argument that is a template may be what another task returns, which Airflow's types don't know; and mypy does not
#: see what is in a dict of several arguments, but Airflow does.
OF_AIRFLOW = (r'incompatible type "XComArg"', r'incompatible type "\*\*dict\[str, object\]"')


def parsing_errors(source: str, folder: Path) -> list[str]:
    """What Airflow says against a file of a `dags` folder: an unknown argument among it."""
    if airflow.__version__.startswith("2."):
        # As the README says of Airflow 2.11.
        source = source.replace("from airflow.sdk import dag, task", "from airflow.decorators import dag, task")
    for command in re.findall(r'"([\w-]+\.(?:sh|bash))"', source):
        (folder / command).write_text("true\n", encoding="utf-8")
    file = folder / "shown.py"
    file.write_text(source, encoding="utf-8")
    return list(DagBag(dag_folder=str(file), safe_mode=False).import_errors.values())


def test_every_block_is_type_checked(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="types are checked on the newest Airflow")
    assert len(BLOCKS) >= 20
    assert refused_by_mypy(BLOCKS, tmp_path, *OF_AIRFLOW) == []


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_a_block_is_parsed(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(block.document.parent / "examples"))
    assert parsing_errors(block.source, tmp_path) == []


@pytest.mark.parametrize("block", [block for block in BLOCKS if "task_id=" in block.text], ids=lambda block: block.name)
def test_a_misspelt_argument_would_be_noticed(block: Block, tmp_path: Path) -> None:
    (told,) = parsing_errors(block.source.replace("task_id=", "gpuu=1, task_id=", 1), tmp_path)
    assert "gpuu" in told


def test_a_name_that_is_none_and_a_wrong_type_would_be_noticed(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="types are checked on the newest Airflow")
    wrong = [
        replace(block, text=block.text.replace("import OctaRunJobOperator", "import OctaRunJobOperator, Octa"))
        for block in misspelt(BLOCKS, "timeout_s")
    ]
    wrong = [replace(block, text=block.text.replace("timeout_sx=", "result_file=[], timeout_s=")) for block in wrong]
    told = refused_by_mypy(wrong, tmp_path, *OF_AIRFLOW)
    for block in wrong:
        here = " ".join(line for line in told if block.has(line.split(":")[0], int(line.split(":")[1])))
        assert '"Octa"' in here
        assert '"result_file"' in here or ".partial(" in block.text
