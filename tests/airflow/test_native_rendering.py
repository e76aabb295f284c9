"""`render_template_as_native_obj`: text arrives as it was written; what a template gives as a list is a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, Param, task
from airflow_runs import Renting, run

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.logs import OctaFetchLogsOperator
from airflow_provider.operators.machines import OctaMachinesOperator
from airflow_provider.operators.plan_render import OctaPlanRenderOperator
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.stop import OctaStopSessionOperator

#: Each is something else as Python.
TEXTS = ["0,1", "007", "1e3", "None", "[1]", "1.10", "'quoted'", "{1: 2}", "0x10", "True"]
TEMPLATES = ["{{ params.text }}", "{{- params.text -}}", "{% if true %}{{ params.text }}{% endif %}"]

#: What is text, and what may hold text.
ARGUMENTS: list[tuple[type[Any], dict[str, Any], list[str]]] = [
    (
        OctaRunJobOperator,
        {"image": "a", "command": "b"},
        ["image", "command", "via", "log_path", "gpu_model", "country", "order_by", "octa_conn_id"],
    ),
    (
        OctaStartMachineOperator,
        {"image": "a"},
        ["image", "start_command", "entrypoint", "app", "gpu_model", "country", "order_by"],
    ),
    (
        OctaPlanRenderOperator,
        {"scene": "a", "frames": "1", "output": "b"},
        ["scene", "frames", "main", "on_changed", "order", "octa_conn_id"],
    ),
    (OctaMachinesOperator, {}, ["service", "gpu_model", "country"]),
    (OctaFetchLogsOperator, {"session": "a"}, ["path", "octa_conn_id"]),
    (OctaStopSessionOperator, {"session": "a"}, ["start_task_id", "octa_conn_id"]),
]


def rendered(operator: type[Any], text: str, **arguments: Any) -> Any:
    """The task, as it was when it was about to run."""
    seen: list[Any] = []

    def look(context: Any) -> None:
        seen.append(context["task"])
        raise AirflowSkipException("seen enough")

    params = {"text": Param(text), "words": Param(["a", "b"]), "envs": Param({"A": "007"})}
    with DAG("native", schedule=None, render_template_as_native_obj=True, params=params) as dag:
        operator(task_id="looked_at", pre_execute=look, **arguments)
    assert run(dag).state == "success"
    return seen[0]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("text", TEXTS)
def test_text_stays_as_it_is_written(text: str, template: str) -> None:
    for operator, needed, names in ARGUMENTS:
        given = rendered(operator, text, **needed | dict.fromkeys(names, template))
        assert {name: getattr(given, name) for name in names} == dict.fromkeys(names, text)
    texts = rendered(
        OctaRunJobOperator,
        text,
        image="a",
        command=["echo", template],
        envs={"A": template},
        inputs={template: template},
        outputs={template: template},
        requirements={"gpu_model": template},
    )
    assert texts.command == ["echo", text]
    assert texts.envs == {"A": text}
    assert texts.inputs == texts.outputs == {text: text}
    assert texts.requirements == {"gpu_model": text}
    batch = {"scene": "a", "frames": "1", "output": template, "renderer": {"image": template, "scene": template}}
    planned = rendered(OctaPlanRenderOperator, text, **batch)
    assert planned.output_folder == text
    assert planned.renderer == {"image": text, "scene": text}


@pytest.mark.parametrize("text", TEXTS)
def test_text_arrives_on_the_machine_as_it_is_written(
    renting: Renting, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    with DAG("native_there", schedule=None, render_template_as_native_obj=True, params={"text": Param(text)}) as dag:
        OctaRunJobOperator(
            task_id="job",
            image="alpine:3",
            command=["sh", "-c", 'echo "<$A> <$0>"', "{{ params.text }}"],
            envs={"A": "{{ params.text }}"},
            poll_interval=0.2,
        )
    assert run(dag).state == "success"
    assert f"[job] <{text}> <{text}>" in "".join(capfd.readouterr())


def test_what_a_template_gives_as_an_object_is_one(renting: Renting, tmp_path: Path) -> None:
    given = rendered(
        OctaRunJobOperator,
        "x",
        image="a",
        command="{{ params.words }}",
        envs="{{ params.envs }}",
        inputs="{{ {'/data/007': '007'} }}",
        outputs='{{ {"007": "/data/007"} | tojson }}',
        requirements="{{ {'gpu_count': 2} }}",
        exclude_nodes="{{ [1, 2] }}",
    )
    assert given.command == ["a", "b"]
    assert given.envs == {"A": "007"}
    assert given.inputs == {"/data/007": "007"}
    assert given.outputs == {"007": "/data/007"}
    assert given.requirements == {"gpu_count": 2}
    assert given.exclude_nodes == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"image": "{{ params.words }}"}, "image"),
        ({"envs": {"A": "{{ params.words }}"}}, "envs['A']"),
        ({"order_by": "{{ params.words }}"}, "order_by"),
        ({"inputs": {"/data/in": "{{ params.words }}"}}, "inputs['/data/in']"),
    ],
)
def test_a_list_where_text_is_wanted_is_refused_by_name(
    renting: Renting, capfd: pytest.CaptureFixture[str], arguments: dict[str, Any], name: str
) -> None:
    params = {"words": Param(["a", "b"])}
    with DAG("native_list", schedule=None, render_template_as_native_obj=True, params=params) as dag:
        OctaRunJobOperator(task_id="job", **{"image": "alpine:3", "command": "true"} | arguments)
    assert run(dag).tasks == {"job": "failed"}
    assert f"{name}=['a', 'b'] is a list, and text was wanted" in "".join(capfd.readouterr())
    assert renting.sessions == []


def test_arguments_of_a_function_are_what_native_rendering_makes_of_them(renting: Renting) -> None:
    with DAG("native_function", schedule=None, render_template_as_native_obj=True, params={"n": 5}) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2, envs={"A": "{{ '007' }}"})
        def tells(number: Any, pair: Any) -> Any:
            import os

            return [number, pair, os.environ["A"]]

        tells("{{ params.n }}", "{{ '0,1' }}")
    assert run(dag).result("tells") == [5, [0, 1], "007"]
