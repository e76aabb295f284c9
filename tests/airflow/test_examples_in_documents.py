"""What docs/airflow.md shows runs, and nothing that there is is missing from it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import airflow
import pytest
from airflow_runs import Renting, run
from quick_batch import quick_batch, whole_frames
from shown_dag import shown_dag

from airflow_provider.get_provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "airflow.md").read_text(encoding="utf-8")
EXAMPLES = sorted(path.name for path in (ROOT / "dags_examples" / "airflow").glob("*.py") if path.name != "train.py")


@pytest.mark.e2e
def test_the_first_dag_runs_and_tells_its_asset_what_it_cost(renting: Renting, tmp_path: Path) -> None:
    dag = shown_dag("airflow.md", "hello_octa", tmp_path)
    if airflow.__version__.startswith("2."):
        # It tells datasets that its database knows.
        dag.sync_to_db()
    ended = run(dag)
    assert ended.state == "success"
    result = ended.result("hello")
    assert ended.result("bill") == f"{result['cost_usd']} USD on node {result['node_id']}"
    (extra,) = asset_extras()
    assert (extra["uuid"], extra["cost_wei"]) == (result["uuid"], result["cost_wei"])
    assert renting.running() == []


@pytest.mark.e2e
def test_the_survey_maps_over_machines(renting: Renting, tmp_path: Path) -> None:
    ended = run(shown_dag("airflow.md", "survey", tmp_path))
    assert ended.state == "success"
    offered = [machine["node_id"] for machine in ended.result("machines")]
    assert [ended.result(f"look[{index}]")["node_id"] for index in range(2)] == offered
    assert len({session["node_id"] for session in renting.sessions}) == 2
    assert renting.running() == []


def test_the_batch_is_quoted_and_rendered(renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dag = shown_dag("airflow.md", "shot", tmp_path)
    given = quick_batch(tmp_path, "1-4")
    for task_id in ("plan", "render"):
        task = dag.get_task(task_id)
        for name in ("scene", "main", "frames", "renderer", "seconds_per_frame", "requirements"):
            setattr(task, name, given.get(name))
        task.output_folder, task.poll_interval = given["output"], 0.5
    dag.get_task("plan").measure = False
    ended = run(dag)
    assert ended.state == "success"
    assert whole_frames(tmp_path) == [1, 2, 3, 4]
    assert ended.result("render")["quoted_cost_most_usd"] == ended.result("plan")["chosen"]["cost_most_usd"]
    assert renting.running() == []


def test_a_machine_can_be_a_task(renting: Renting, tmp_path: Path) -> None:
    from airflow_provider.operators.render_animation import OctaRenderAnimationOperator

    dag = shown_dag("airflow.md", "machine_a_task", tmp_path)
    given = quick_batch(tmp_path, "1-9")
    mapped = dag.get_task("render")
    mapped.partial_kwargs.update({name: given[name] for name in ("main", "renderer", "seconds_per_frame")})
    mapped.partial_kwargs["poll_interval"] = 0.5
    params = {name: given[name] for name in ("scene", "frames", "output")}
    ended = run(dag, params)
    assert issubclass(mapped.operator_class, OctaRenderAnimationOperator)
    assert ended.state == "success"
    assert len(list((tmp_path / "out").glob("*/frame_*.png"))) == 9
    assert len({session["rental_key"] for session in renting.sessions}) == len(renting.sessions) == 3
    assert renting.running() == []


def test_every_class_is_in_the_table() -> None:
    info = get_provider_info()
    modules = [
        name for kind in ("operators", "sensors", "hooks") for one in info[kind] for name in one["python-modules"]
    ]
    public = [name for module in modules for name in importlib.import_module(module).__all__ if name.startswith("Octa")]
    assert len(public) > 10
    assert [name for name in public if f"| `{name}` |" not in DOCUMENT] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_in_the_table_and_says_what_it_needs(name: str) -> None:
    assert f"| [{name}](" in DOCUMENT
    text = (ROOT / "dags_examples" / "airflow" / name).read_text(encoding="utf-8")
    assert "Needs a connection `octa_default`" in text.split('"""')[1]


def asset_extras() -> list[dict[str, Any]]:
    from airflow.utils.session import create_session

    try:
        from airflow.models.asset import AssetEvent
    except ImportError:
        from airflow.models.dataset import DatasetEvent as AssetEvent
    with create_session() as session:
        return [dict(event.extra) for event in session.query(AssetEvent) if event.source_dag_id == "hello_octa"]
