"""Every DAG of docs/cookbook.md runs, and does what is said of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow_runs import Renting, Run, run
from shown_dag import DOCS, shown_dag

pytestmark = [pytest.mark.e2e]

SHOWN = re.findall(r"^@dag\(.*\)\ndef (\w+)\(\)", (DOCS / "cookbook.md").read_text(encoding="utf-8"), re.MULTILINE)

#: Writes a model that tells how many lines it has seen.
FITS = "import sys\nlines = len(open(sys.argv[1]).readlines())\nopen(sys.argv[2], 'w').write(str(lines))\n"
#: The best combination is rate 0.01, depth 8.
SCORES = """
import json, os
rate, depth = float(os.environ["RATE"]), int(os.environ["DEPTH"])
json.dump({"loss": rate / depth, "rate": rate, "depth": depth}, open("metrics.json", "w"))
"""

Cook = Callable[[str], Run]


@pytest.fixture
def cook(renting: Renting, tmp_path: Path) -> Cook:
    """Run a recipe, with a folder of its own for `/data`."""
    return lambda name: run(shown_dag("cookbook.md", name, tmp_path, tmp_path))


def test_every_recipe_has_a_test() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert len(SHOWN) >= 9
    assert [name for name in SHOWN if f'"{name}"' not in here] == []


def test_a_model_comes_home(renting: Renting, cook: Cook, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(FITS)
    (tmp_path / "points.csv").write_text("1,2\n3,4\n")
    assert cook("train_a_model").state == "success"
    assert (tmp_path / "model.json").read_text() == "2"
    assert renting.running() == []


def test_the_best_of_a_matrix(renting: Renting, cook: Cook, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCORES)
    ended = cook("matrix_of_parameters")
    assert ended.state == "success"
    assert ended.result("best") == {"loss": 0.00125, "rate": 0.01, "depth": 8}
    assert len(renting.sessions) == 4
    assert renting.running() == []


def test_what_succeeded_is_stopped(renting: Renting, cook: Cook, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('fine')")
    ended = cook("keep_what_failed")
    assert ended.tasks == {"train": "success", "stop": "success"}
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_what_failed_is_kept_until_the_reaper_comes(renting: Renting, cook: Cook, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit(3)")
    ended = cook("keep_what_failed")
    assert ended.tasks == {"train": "failed", "stop": "upstream_failed"}
    (kept,) = renting.running()
    assert ended.result("train", "uuid") == kept
    assert cook("reap_every_night").result("reap")["stopped"] == []
    renting.emulator.advance_clock(1000)
    assert cook("reap_every_night").result("reap")["stopped"] == [kept]
    assert renting.running() == []


@pytest.mark.parametrize("name", ["cheap_or_not_at_all", "capped"])
def test_one_machine_does_it(renting: Renting, cook: Cook, name: str) -> None:
    ended = cook(name)
    assert ended.result("train")["outcome"] == "succeeded"
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_secret_arrives_and_is_not_told(renting: Renting, cook: Cook, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"conn_type": "http", "password": "hf-s3cret-token"}
    monkeypatch.setenv("AIRFLOW_CONN_HUGGINGFACE", json.dumps(told))
    assert cook("with_a_secret").result("download")["outcome"] == "succeeded"
    assert "hf-s3cret-token" not in json.dumps(renting.emulator.ledger(), default=str)
    assert renting.running() == []


def test_a_command_comes_out_of_a_file(
    renting: Renting, cook: Cook, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "work.sh").write_text("echo for {{ dag.dag_id }}\n")
    assert cook("from_a_file").state == "success"
    log: Any = capfd.readouterr()
    assert "for from_a_file" in log.out + log.err
    assert renting.running() == []


def test_a_service_answers_while_the_dag_works(renting: Renting, cook: Cook) -> None:
    ended = cook("service_for_a_while")
    assert ended.state == "success"
    assert ended.result("service.ask") == "it works"
    assert renting.running() == []


def test_the_reaper_comes(renting: Renting, cook: Cook) -> None:
    ended = cook("reap_every_night")
    assert ended.result("reap") == {"orphans": [], "stopped": []}
