"""Every flow of docs/cookbook.md runs, as a script of its own, and does what is said of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.blocks.system import Secret
from prefect_server import PrefectServer, Process, start_process
from renting import Renting
from waiting_for import wait_for

from prefect_blocks import OctaCredentials

pytestmark = [pytest.mark.e2e]

TEXT = (Path(__file__).parents[2] / "docs" / "cookbook.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"<!-- (?:run|serve) with prefect -->\n```python\n(.*?)```", TEXT, re.DOTALL)

FITS = "import sys\nlines = len(open(sys.argv[1]).readlines())\nopen(sys.argv[2], 'w').write(str(lines))\n"
SCORES = """
import json, os
rate, depth = float(os.environ["RATE"]), int(os.environ["DEPTH"])
json.dump({"loss": rate / depth, "rate": rate, "depth": depth}, open("metrics.json", "w"))
"""

Cook = Callable[..., Process]


@pytest.fixture
def cook(server: PrefectServer, renting: Renting, tmp_path: Path) -> Cook:
    """Start the recipe in which a text is, with a folder of its own for `/data`."""
    settings = {"PREFECT_API_URL": server.api_url, "PREFECT_HOME": str(tmp_path / "home")} | renting.emulator.env()
    settings["OCTA_SSH_KEY_FILE"] = str(renting.emulator.ssh_private_key)
    settings["PREFECT_LOGGING_LEVEL"] = "INFO"

    def start(mark: str, but: tuple[str, str] = ("", "")) -> Process:
        (shown,) = [block for block in SHOWN if mark in block]
        (tmp_path / "shown.py").write_text(shown.replace('"/data/', f'"{tmp_path}/').replace(*but))
        return start_process([sys.executable, "shown.py"], tmp_path / "log", settings, tmp_path)

    return start


def ended(process: Process) -> str:
    assert process.wait() == 0, process.output
    return process.output


def test_every_recipe_has_a_test() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    names = re.findall(r"@flow.*\ndef (\w+)\(", TEXT)
    assert len(SHOWN) >= 10
    assert [name for name in names if f'"def {name}' not in here] == []


def test_a_model_comes_home(renting: Renting, cook: Cook, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(FITS)
    (tmp_path / "points.csv").write_text("1,2\n3,4\n")
    assert " USD" in ended(cook("def train_a_model"))
    assert (tmp_path / "model.json").read_text() == "2"
    assert renting.running() == []


def test_the_best_of_a_matrix(renting: Renting, cook: Cook, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCORES)
    assert str({"loss": 0.00125, "rate": 0.01, "depth": 8}) in ended(cook("def matrix_of_parameters"))
    assert len(renting.sessions) == 4
    assert renting.running() == []


def test_what_failed_waits_for_a_look_and_fails(renting: Renting, cook: Cook, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit(3)")
    process = cook("def keep_what_failed", ("sleep 3600", "sleep 1"))
    assert process.wait() != 0
    assert "failed with 3: an hour for a look" in process.output
    assert "JobFailedError" in process.output
    assert renting.running() == []


def test_what_succeeded_waits_for_nobody(renting: Renting, cook: Cook, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('fine')")
    ended(cook("def keep_what_failed"))
    assert renting.running() == []


@pytest.mark.parametrize("mark", ["def cheap_or_not_at_all", "def capped"])
def test_one_machine_does_it(renting: Renting, cook: Cook, mark: str) -> None:
    ended(cook(mark))
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_secret_arrives_and_is_not_told(renting: Renting, cook: Cook) -> None:
    Secret(value="hf-s3cret-token").save("hf-token", overwrite=True)
    said = ended(cook("def with_a_secret"))
    assert "there is a token" in said
    assert "hf-s3cret-token" not in said + json.dumps(renting.emulator.ledger(), default=str)
    assert renting.running() == []


def test_a_command_comes_out_of_a_file(renting: Renting, cook: Cook, tmp_path: Path) -> None:
    (tmp_path / "work.sh").write_text("echo out of a file\n")
    assert "out of a file" in ended(cook("def from_a_file"))
    assert renting.running() == []


def test_a_service_answers_while_the_flow_works(renting: Renting, cook: Cook) -> None:
    assert "it works" in ended(cook("def service_for_a_while", ("retries=5", "retries=100")))
    assert renting.running() == []


def test_the_reaper_is_scheduled(server: PrefectServer, cook: Cook) -> None:
    process = cook('name="every-night"')
    try:
        wait_for(lambda: "is being served" in process.output, "the reaper serves")
        (found,) = server.post("/deployments/filter", deployments={"name": {"any_": ["every-night"]}})
        assert [one["schedule"]["cron"] for one in found["schedules"]] == ["0 3 * * *"]
        assert found["parameters"] == {"max_age_s": 172800}
    finally:
        process.kill()


@pytest.mark.usefixtures("renting")
def test_each_installation_has_its_namespace(cook: Cook) -> None:
    ended(cook("OctaCredentials(api_key=os.environ"))
    assert [OctaCredentials.load(name).namespace for name in ("prod", "dev")] == ["prod", "dev"]
