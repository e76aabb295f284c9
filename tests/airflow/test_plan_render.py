"""The quote of a batch as a task: small, honest, and without a machine unless one is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Param
from airflow_runs import Renting, run
from quick_batch import quick_batch, whole_frames

from airflow_provider.operators.plan_render import OctaPlanRenderOperator
from octa_provider import BatchQuote


def planned(name: str, params: dict[str, Any] | None = None, **arguments: Any) -> Any:
    with DAG(name, schedule=None, params={k: Param(v) for k, v in (params or {}).items()}) as dag:
        OctaPlanRenderOperator(task_id="plan", **arguments)
    return run(dag)


def test_a_plan_says_what_it_costs_and_rents_nothing(renting: Renting, tmp_path: Path) -> None:
    ended = planned("plan_quotes", **quick_batch(tmp_path, "1-24"))
    assert ended.state == "success"
    told = ended.result("plan")
    quote = BatchQuote.from_dict(told)
    assert quote.frames == 24
    assert 0 < quote.chosen.cost_p50_usd <= quote.chosen.cost_p90_usd <= quote.chosen.cost_most_usd
    assert told["text"] == quote.text
    assert told["text"].startswith("24 frames on ")
    assert told["markdown"].count("|") > 10
    assert told["output"] == str(tmp_path / "out")
    assert (tmp_path / "out" / ".octa" / "mark").read_text() == told["mark"]
    assert renting.sessions == []


def test_the_plan_of_many_frames_is_small_and_names_none(renting: Renting, tmp_path: Path) -> None:
    ended = planned("plan_small", **quick_batch(tmp_path, "1-20000", max_machines=500))
    assert len(json.dumps(ended.result("plan"))) < 20_000


def test_a_plan_that_measures_rents_one_machine_and_keeps_its_frames(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = quick_batch(tmp_path, "1-9", frame_s=0.2, seconds_per_frame=None, measure=True)
    ended = planned("plan_measures", **arguments)
    assert ended.state == "success"
    assert ended.result("plan")["frames"] == 6
    assert whole_frames(tmp_path) == [1, 5, 9]
    (session,) = renting.sessions
    assert f"/airflow/plan_measures/{ended.run_id}/plan/-1/batch/" in session["rental_key"]
    assert int(ended.result("plan")["spent_wei"]) == int(session["charge_wei"]) > 0
    said = capfd.readouterr()
    assert "Rented node " in said.out + said.err
    # What is measured is not measured again.
    again = planned("plan_measures", **arguments)
    assert again.state == "success"
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"seconds_per_frame": None}, "nothing tells what a frame takes"),
        ({"max_cost_usd": 0.000001}, "no plan meets what is asked for"),
        ({"scene": "/not/there"}, "there is no scene"),
        ({"output": "{{ params.output }}"}, "a path that every worker sees"),
    ],
)
def test_a_plan_that_can_not_be_made_fails_for_good_and_rents_nothing(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str], changes: dict[str, Any], why: str
) -> None:
    params = {"output": "s3://bucket/out"}
    ended = planned("plan_fails", params, **quick_batch(tmp_path, "1-24") | changes, retries=3)
    assert ended.tasks == {"plan": "failed"}
    said = capfd.readouterr()
    assert why in said.out + said.err
    assert renting.sessions == []


def test_arguments_may_be_templates_and_render_to_what_they_are(renting: Renting, tmp_path: Path) -> None:
    given = quick_batch(tmp_path)
    command = given["renderer"]["command"]
    params = {"frames": "1,5", "machines": 2, "skip": True, "price": 5, "none": None, "command": command, "fast": False}
    templated = {
        "frames": "{{ params.frames }}",
        "max_machines": "{{ params.machines }}",
        "max_cost_usd": "{{ params.none }}",
        "requirements": {"max_price_usd": "{{ params.price }}", "country": "{{ params.none }}"},
        "check": {"decode": "{{ params.fast }}"},
        "renderer": {"image": "python:3.12", "command": "{{ params.command }}", "can_skip": "{{ params.skip }}"},
    }
    for native in (False, True):
        with DAG(
            f"plan_templates_{native}",
            schedule=None,
            render_template_as_native_obj=native,
            params={name: Param(value) for name, value in params.items()},
        ) as dag:
            OctaPlanRenderOperator(task_id="plan", **given | templated)
        ended = run(dag)
        assert ended.state == "success"
        quote = BatchQuote.from_dict(ended.result("plan"))
        assert quote.frames == 2
        assert quote.chosen.machines <= 2


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"frames": "9-1x"}, "9-1x"),
        ({"frames": ""}, "frames is empty"),
        ({"output": ""}, "output is empty"),
        ({"output": "s3://bucket/out"}, "a path that every worker sees"),
        ({"scene": "s3://bucket/shot.blend"}, "a path that every worker sees"),
        ({"max_machines": 0}, "max_machines"),
        ({"max_cost_usd": -1}, "max_cost_usd"),
        ({"order": "sideways"}, "order"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"measure": "perhaps"}, "measure"),
        ({"renderer": {"device": "ABACUS"}}, "device"),
        ({"renderer": {"image": "a", "command": "true {frame} {output} {scene}", "speed": 3}}, "has no speed"),
        ({"renderer": {"command": "{{ params.command }}", "speed": 3}}, "has no speed"),
        ({"renderer": "cycles"}, "renderer='cycles'"),
        ({"requirements": {"gpu_count": -1}}, "gpu_count"),
        ({"requirements": {"gpus": 1}}, "requirements has no gpus"),
        ({"check": {"one_colour": "perhaps"}}, "one_colour"),
        ({"check": {"colour": 1}}, "check has no colour"),
        ({"frames": "-3-4", "renderer": {"device": "CPU"}}, "frame -3"),
    ],
)
def test_what_can_never_work_is_refused_when_the_file_is_parsed(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        OctaPlanRenderOperator(task_id="plan", **quick_batch(tmp_path) | changes)


def test_files_that_blender_runs_are_read_where_the_task_runs(tmp_path: Path) -> None:
    renderer = {"device": "CPU", "python": ["/on/the/worker/alone.py"]}
    OctaPlanRenderOperator(task_id="plan", scene="shot.blend", frames="1-4", output="out", renderer=renderer)
