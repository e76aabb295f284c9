"""`labels`: templated words of the user's own on the session, told wherever a task tells its session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from airflow_runs import Renting, run

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.plan_render import OctaPlanRenderOperator
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator
from airflow_provider.operators.start import OctaStartMachineOperator, OctaStartRenderOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.operators.vpn import OctaStartVpnOperator
from airflow_provider.task_group import octa_session

TEMPLATED = {"project": "{{ params.project }}", "run": "{{ 7 }}"}
RENDERED = {"project": "atlas", "run": "7"}


def made_by_task(labels: Any) -> Any:
    @task.octa(image="python:3.12", labels=labels)
    def nothing() -> None:
        pass

    with DAG("labelled_function", schedule=None):
        return nothing().operator


def made_by_group(labels: Any) -> Any:
    with DAG("labelled_group", schedule=None) as dag, octa_session("gpu", image="alpine:3", labels=labels):
        pass
    return dag.get_task("gpu.start")


MAKERS: list[Callable[[Any], Any]] = [
    lambda labels: OctaRunJobOperator(task_id="job", image="alpine:3", command="true", labels=labels),
    lambda labels: OctaStartMachineOperator(task_id="start", image="alpine:3", labels=labels),
    lambda labels: OctaStartRenderOperator(task_id="start", labels=labels),
    made_by_task,
    made_by_group,
    lambda labels: OctaPlanRenderOperator(task_id="plan", scene="s", frames="1", output="o", labels=labels),
    lambda labels: OctaRenderAnimationOperator(task_id="render", scene="s", frames="1", output="o", labels=labels),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ("project=atlas", "labels is a str; give a mapping"),
        ({"project": ["a", "b"]}, r"labels\['project'\]=.* is a list"),
        ({"project": "x" * 129}, "labels: the value of project must be text of at most 128"),
        # What is known of them is checked, though one of the values is not.
        ({"a=b": "{{ ds }}"}, "labels: 'a=b' is no name of a label"),
        ({"run": "{{ ds }}", "project": "a\nb"}, "labels: the value of project"),
        ({f"n{n}": "{{ ds }}" for n in range(33)}, "labels: a session takes at most 32, not 33"),
    ],
)
def test_what_can_be_no_label_is_refused_when_parsed(make: Callable[[Any], Any], labels: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        make(labels)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "labels", [None, {}, TEMPLATED, "{{ params.labels }}", {"a": "{{ " + "x" * 200 + " }}", "b": 7}]
)
def test_what_may_be_labels_is_left_to_the_task(make: Callable[[Any], Any], labels: Any) -> None:
    assert make(labels).labels == labels


def test_a_vpn_takes_none() -> None:
    with pytest.raises(ValueError, match="labels is not for a VPN"):
        OctaStartVpnOperator(task_id="start", labels={"a": "b"})


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("labels", [TEMPLATED, "{{ params.labels }}"])
def test_a_job_tells_the_labels_that_were_rendered(renting: Renting, deferrable: bool, labels: Any) -> None:
    params = {"project": "atlas", "labels": RENDERED}
    with DAG("labelled", schedule=None, params=params, render_template_as_native_obj=True) as dag:
        OctaRunJobOperator(
            task_id="job",
            image="alpine:3",
            command="env | grep -c OCTA_LABELS; true",
            poll_interval=0.2,
            deferrable=deferrable,
            labels=labels,
        )
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("job", "session")["labels"] == RENDERED
    with renting.client() as octa:
        told = octa.rentals.look_up(ended.result("job")["uuid"])
    assert told is not None
    assert told.labels == RENDERED


def test_a_label_that_turns_out_to_be_none_fails_the_task_before_anything_is_rented(renting: Renting) -> None:
    with DAG("too_long", schedule=None, params={"project": "x" * 129}) as dag:
        OctaRunJobOperator(task_id="job", image="alpine:3", command="true", labels=TEMPLATED)
    assert run(dag).state == "failed"
    assert renting.sessions == []


def test_a_start_tells_its_labels_to_the_tasks_after_it(renting: Renting) -> None:
    with DAG("labelled_start", schedule=None, params={"project": "atlas"}) as dag:
        started = OctaStartMachineOperator(
            task_id="start", image="alpine:3", start_command="sleep 600", labels=TEMPLATED
        )
        OctaStopSessionOperator(task_id="stop", session=started.output).as_teardown(setups=started)
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("start")["labels"] == RENDERED
