"""What the author of a DAG wrote is a template; what another task returned is data, also where it looks like one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, task
from airflow_runs import run

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.logs import OctaFetchLogsOperator
from airflow_provider.operators.plan_render import OctaPlanRenderOperator
from airflow_provider.operators.reap import OctaReapOperator
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator
from airflow_provider.operators.start import OctaStartMachineOperator, OctaStartRenderOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.operators.vpn import OctaStartVpnOperator
from airflow_provider.sensors.job import OctaJobSensor
from airflow_provider.sensors.session import OctaSessionReadySensor

PASSWORD = "hunter2-hunter2"
#: As a file may be called: a password, and what only a macro gives.
HOSTILE = "{{ conn.private.password }}{{ macros.__name__ }}"

JOB = {"image": "alpine:3", "command": "true"}
BATCH = {"scene": "scene", "frames": "1-4", "output": "out"}
#: For each operator what it needs, and what another task may give it.
OPERATORS: list[tuple[type[Any], dict[str, Any], dict[str, Any]]] = [
    (OctaRunJobOperator, JOB, {"inputs": {HOSTILE: HOSTILE}}),
    (OctaRunJobOperator, JOB, {"outputs": {HOSTILE: HOSTILE}}),
    (OctaRunJobOperator, JOB, {"envs": {"NAME": HOSTILE}, "requirements": {"gpu_model": HOSTILE}}),
    (OctaRunJobOperator, {"image": "alpine:3"}, {"command": ["cat", HOSTILE], "log_path": HOSTILE}),
    (OctaStartMachineOperator, {"image": "alpine:3"}, {"envs": {"NAME": HOSTILE}, "start_command": HOSTILE}),
    (OctaStartRenderOperator, {}, {"envs": {"NAME": HOSTILE}, "requirements": {"country": HOSTILE}}),
    (OctaStartVpnOperator, {}, {"country": HOSTILE}),
    (OctaPlanRenderOperator, BATCH, {"renderer": {"image": HOSTILE}, "requirements": {"country": HOSTILE}}),
    (OctaPlanRenderOperator, {"frames": "1-4", "output": "out"}, {"scene": HOSTILE, "main": HOSTILE}),
    (OctaRenderAnimationOperator, BATCH, {"renderer": {"image": HOSTILE}, "quote": {"scene": HOSTILE}}),
    (OctaFetchLogsOperator, {}, {"session": {"uuid": HOSTILE}, "path": HOSTILE}),
    (OctaStopSessionOperator, {}, {"session": {"uuid": HOSTILE}}),
    (OctaReapOperator, {}, {"dag_ids": [HOSTILE]}),
    (OctaSessionReadySensor, {}, {"session": {"uuid": HOSTILE}}),
    (OctaJobSensor, {}, {"job": {"job": {"image": HOSTILE}}}),
]
_NAMES = {"output": "output_folder", "node_id": "machine_node_id", "dry_run": "only_tell"}


class Rendered:
    """What the arguments of a task were when it was about to run; it does not run."""

    def __init__(self) -> None:
        self.tasks: list[Any] = []

    def __call__(self, context: Any) -> None:
        self.tasks.append(context["task"])
        raise AirflowSkipException("seen enough")

    def argument(self, name: str) -> Any:
        return getattr(self.tasks[-1], _NAMES.get(name, name))


@pytest.fixture(autouse=True)
def _private_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PRIVATE", json.dumps({"conn_type": "http", "password": PASSWORD}))


def returned(task_id: str, value: Any) -> Any:
    """The output of a task."""
    return task(task_id=task_id)(lambda: value)()


def as_given(operator: type[Any], needed: dict[str, Any], data: dict[str, Any], seen: Rendered) -> None:
    """Each argument is the output of a task of its own."""
    made = {name: returned(f"of_{name}", value) for name, value in data.items()}
    operator(task_id="hostile", pre_execute=seen, **needed, **made)


def as_expanded(operator: type[Any], needed: dict[str, Any], data: dict[str, Any], seen: Rendered) -> None:
    made = {name: returned(f"of_{name}", [value]) for name, value in data.items()}
    operator.partial(task_id="hostile", pre_execute=seen, **needed).expand(**made)


def as_expanded_kwargs(operator: type[Any], needed: dict[str, Any], data: dict[str, Any], seen: Rendered) -> None:
    operator.partial(task_id="hostile", pre_execute=seen, **needed).expand_kwargs(returned("of_all", [data]))


def as_one_of_several(operator: type[Any], needed: dict[str, Any], data: dict[str, Any], seen: Rendered) -> None:
    operator.partial(task_id="hostile", pre_execute=seen, **needed).expand_kwargs([returned("of_all", data)])


@pytest.mark.parametrize("way", [as_given, as_expanded, as_expanded_kwargs, as_one_of_several])
@pytest.mark.parametrize(("operator", "needed", "data"), OPERATORS, ids=lambda value: getattr(value, "__name__", ""))
def test_what_another_task_returned_is_no_template(
    capfd: pytest.CaptureFixture[str],
    operator: type[Any],
    needed: dict[str, Any],
    data: dict[str, Any],
    way: Callable[..., None],
) -> None:
    seen = Rendered()
    with DAG("hostile_data", schedule=None) as dag:
        way(operator, needed, data, seen)
    assert run(dag).state == "success"
    for name, value in data.items():
        assert seen.argument(name) == value
    assert PASSWORD not in "".join(capfd.readouterr())


@pytest.mark.parametrize("native", [False, True])
def test_what_the_author_wrote_is_a_template_beside_it(native: bool) -> None:
    seen = Rendered()
    with DAG("written_beside", schedule=None, render_template_as_native_obj=native) as dag:
        OctaRunJobOperator.partial(
            task_id="job",
            image="alpine:{{ 1 + 2 }}",
            command=["cat", "{{ 'in' }}.txt"],
            inputs={"/data/{{ 'in' }}.txt": "{{ 'in' }}.txt"},
            pre_execute=seen,
        ).expand_kwargs(returned("envs", [{"envs": {"NAME": HOSTILE}, "outputs": {HOSTILE: "/data"}}]))
        OctaRunJobOperator.partial(task_id="known", image="alpine:3", pre_execute=seen).expand_kwargs(
            [{"command": "echo {{ 1 + 2 }}", "inputs": {"{{ 1 + 2 }}": "{{ 3 + 4 }}"}}]
        )
    assert run(dag).state == "success"
    by_id = {one.task_id: one for one in seen.tasks}
    job, known = by_id["job"], by_id["known"]
    assert (job.image, job.command, job.inputs) == ("alpine:3", ["cat", "in.txt"], {"/data/in.txt": "in.txt"})
    assert (job.envs, job.outputs) == ({"NAME": HOSTILE}, {HOSTILE: "/data"})
    assert (known.command, known.inputs) == ("echo 3", {"3": "7"})


def test_arguments_of_a_mapped_function_are_no_templates(capfd: pytest.CaptureFixture[str]) -> None:
    seen = Rendered()
    with DAG("hostile_arguments", schedule=None) as dag:

        @task.octa(image="python:3.12", pre_execute=seen, inputs={"/data/{{ 1 + 2 }}": "in"})
        def look(folder: str, names: Any, name: str) -> None: ...

        made = returned("of_all", [{"names": [HOSTILE], "name": HOSTILE}])
        look.partial(folder="{{ 1 + 2 }}").expand_kwargs(made)
    assert run(dag).state == "success"
    (looked,) = seen.tasks
    assert looked.op_kwargs == {"folder": "3", "names": [HOSTILE], "name": HOSTILE}
    assert looked.inputs == {"/data/3": "in"}
    assert PASSWORD not in "".join(capfd.readouterr())
