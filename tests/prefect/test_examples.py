"""The examples, end to end: each does on emulated machines, against a real server, what it says.

Those that render batches have a file of their own.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BLENDER_PYTHON
from examples import EXAMPLES, example
from pool import Pool, env_of_machine
from prefect import Flow
from prefect.states import State
from prefect_server import PrefectServer, start_process
from renting import Renting
from waiting_for import wait_for

from prefect_blocks.namespace import namespace_here

pytestmark = [pytest.mark.e2e]

ROOT = Path(__file__).parents[2]

#: Fits a line to points by gradient descent: a training with a real result, and no library.
TRAIN = """
import argparse, json, pathlib
parser = argparse.ArgumentParser()
for name in ("data", "model"):
    parser.add_argument(f"--{name}", type=pathlib.Path)
parser.add_argument("--epochs", type=int)
args = parser.parse_args()
points = json.loads((args.data / "points.json").read_text())
slope = offset = 0.0
for epoch in range(1, args.epochs + 1):
    for _ in range(200):
        errors = [(slope * x + offset - y, x) for x, y in points]
        slope -= 0.05 * sum(error * x for error, x in errors) / len(points)
        offset -= 0.05 * sum(error for error, _ in errors) / len(points)
    print(f"epoch {epoch}/{args.epochs}", flush=True)
args.model.mkdir()
(args.model / "weights.json").write_text(json.dumps([slope, offset]))
"""


#: The code in the document that is marked so.
SHOWN = re.findall(
    r"<!-- run with prefect -->\n```python\n(.*?)```", (ROOT / "docs" / "prefect.md").read_text(), re.DOTALL
)
README = [
    block
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    if "from prefect import" in block
]


def run(flow: Flow[..., Any], *args: Any, **kwargs: Any) -> tuple[str, State[Any]]:
    state = flow(*args, **kwargs, return_state=True)
    return str(state.state_details.flow_run_id), state


def logged(server: PrefectServer, flow_run_id: str, text: str) -> None:
    wait_for(lambda: any(text in line for line in server.logs_of(flow_run_id)), f"{text!r} is in the log")


@pytest.fixture(autouse=True)
def runs_log_as_usual() -> Iterator[None]:
    """The other tests keep their runs quiet."""
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's scene, as small as it gets."""
    path = tmp_path_factory.mktemp("scene") / "scene.blend"
    assert BLENDER_PYTHON.exists(), "Blender's environment is missing: run `make blender`"
    size = ["--frames", "6", "--size", "64", "36", "--samples", "1"]
    script = ROOT / "demo" / "make_scene.py"
    subprocess.run([BLENDER_PYTHON, script, path, *size], check=True, capture_output=True)
    return path


def test_gpu_training(server: PrefectServer, renting: Renting, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "points.json").write_text(json.dumps([[x, 3 * x - 1] for x in range(-4, 5)]))
    run_id, state = run(example("gpu_training").gpu_training, str(tmp_path), epochs=5)
    result = state.result()
    slope, offset = json.loads((tmp_path / "model" / "weights.json").read_text())
    assert (round(slope, 3), round(offset, 3)) == (3, -1)
    assert result["model"] == str(tmp_path / "model")
    (session,) = renting.sessions
    assert result["node_id"] == session["node_id"]
    assert "epoch 5/5" in (tmp_path / "train.log").read_text()
    logged(server, run_id, "epoch 5/5")
    artifacts = {one["key"]: one for one in server.artifacts_of(run_id)}
    assert float(artifacts["octa-gpu-training-progress"]["data"]) == 100
    (row,) = json.loads(artifacts["octa-gpu-training-cost"]["data"])
    assert (row["outcome"], row["session"], row["USD"]) == ("succeeded", session["uuid"], f"{result['cost_usd']:.6f}")
    assert "weights.json" in artifacts["octa-gpu-training-links"]["data"]


def test_machine_for_a_block(server: PrefectServer, renting: Renting, scene: Path, tmp_path: Path) -> None:
    picture = tmp_path / "preview.png"
    run_id, state = run(example("machine_for_a_block").preview, str(scene), str(picture), frame=2)
    assert state.result() == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(renting.sessions) == 1
    assert renting.running() == []
    logged(server, run_id, "Blender 4")


@pytest.mark.usefixtures("server")
def test_machine_for_a_block_that_fails_stops_it(renting: Renting, tmp_path: Path) -> None:
    broken = tmp_path / "broken.blend"
    broken.write_bytes(b"no scene")
    _, state = run(example("machine_for_a_block").preview, str(broken), str(tmp_path / "preview.png"))
    with pytest.raises(RuntimeError, match="exit code"):
        state.result()
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.usefixtures("server")
def test_steps(renting: Renting) -> None:
    _, state = run(example("steps").server_for_a_while)
    result = state.result()
    assert result["answer"] == "hello\n"
    assert any('"GET / HTTP/1.1" 200' in line for line in result["log"])
    (session,) = renting.sessions
    assert result["bill"]["charge_wei"] == str(session["charge_wei"])
    assert renting.running() == []


@pytest.mark.usefixtures("server")
def test_steps_that_fail_stop_what_was_started(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    module = example("steps")
    monkeypatch.setattr(module, "UNTIL_IT_IS_UP", False)
    monkeypatch.setattr(module, "SERVE", "sleep 3600")
    _, state = run(module.server_for_a_while)
    assert state.is_failed()
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.usefixtures("server")
def test_many_waits(renting: Renting) -> None:
    before = len(renting.emulator.ledger()["requests"])
    _, state = run(example("many_waits").many_machines, count=8, poll_s=1.0)
    bills = state.result()
    assert {bill["uuid"] for bill in bills} == {session["uuid"] for session in renting.sessions}
    assert len(bills) == 8
    assert renting.running() == []
    requests = renting.emulator.ledger()["requests"][before:]
    # What is asked for one session by itself would be `GET /services/<uuid>`.
    singles = [one for one in requests if one["method"] == "GET" and any(b["uuid"] in one["path"] for b in bills)]
    assert singles == []


def test_work_pool(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    pool.worker()
    env = env_of_machine(server)
    deployment = example("work_pool").deploy(
        str(EXAMPLES), pool.name, env=env, image="prefect:3", poll_s=0.5, gpu_model="4090", max_cost_usd=1.0
    )
    run_id = server.post(f"/deployments/{deployment}/create_flow_run", state={"type": "SCHEDULED"})["id"]
    server.wait_for_state(run_id, "Completed")
    renting.wait_until_none_runs()
    (session,) = renting.sessions
    assert session["rental_key"] == f"{namespace_here()}/prefect/{run_id}/worker/0"
    assert server.flow_run(run_id)["infrastructure_pid"].startswith(session["uuid"])
    logged(server, run_id, "This machine:")


@pytest.mark.parametrize("number", range(len(SHOWN)))
def test_what_the_document_shows_runs(server: PrefectServer, renting: Renting, tmp_path: Path, number: int) -> None:
    settings = {"PREFECT_API_URL": server.api_url, "PREFECT_HOME": str(tmp_path / "home")} | renting.emulator.env()
    (tmp_path / "shown.py").write_text(SHOWN[number])
    process = start_process([sys.executable, "shown.py"], tmp_path / "log", settings, tmp_path)
    assert process.wait() == 0, process.output
    assert renting.running() == []


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("shown", README)
def test_the_readmes_flow_renders(renting: Renting, scene: Path, tmp_path: Path, shown: str) -> None:
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(shown, "README.md", "exec"), names)
    names["first_render"](str(scene), str(tmp_path))
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [f"{n:04d}.png" for n in range(1, 25)]
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_every_example_is_tested_and_runs_as_a_script() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    files = ("test_examples.py", "test_batch_examples.py", "test_automation.py")
    tests = "".join((Path(__file__).parent / name).read_text() for name in files)
    assert {name for name in names if f'"{name}' not in tests} == set()
    assert {path.stem for path in EXAMPLES.glob("*.py") if "__main__" not in path.read_text()} == set()
