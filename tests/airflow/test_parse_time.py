"""What is refused, and what is not done, when a DAG file is parsed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.logs import OctaFetchLogsOperator
from airflow_provider.operators.machines import OctaMachinesOperator
from airflow_provider.operators.reap import OctaReapOperator
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator
from airflow_provider.operators.start import OctaStartMachineOperator, OctaStartRenderOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.operators.vpn import OctaStartVpnOperator
from airflow_provider.sensors.job import OctaJobSensor
from airflow_provider.sensors.machine import OctaMachineAvailableSensor
from airflow_provider.sensors.session import OctaSessionReadySensor
from octa_provider import Requirements

ROOT = Path(__file__).parents[2]

RECORDER = """
import sys
from importlib.abc import MetaPathFinder

class Recorder(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"requests", "urllib3", "asyncssh"}:
            frame = sys._getframe(1)
            files = []
            while frame is not None:
                files.append(frame.f_code.co_filename.replace("\\\\", "/"))
                frame = frame.f_back
            mine = [f for f in files if "/octa_provider/" in f or "/airflow_provider/" in f]
            if mine:
                print(f"{name} <- {mine[0]}")
        return None

sys.meta_path.insert(0, Recorder())
"""


def machine(**arguments: Any) -> OctaStartMachineOperator:
    return OctaStartMachineOperator(task_id="start", **({"image": "blender:4.5"} | arguments))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"image": ""}, "image must name a container image"),
        ({"image": "two words"}, "image must name a container image"),
        ({"disk_gb": 0}, "disk_gb must be a whole number"),
        ({"disk_gb": "many"}, "disk_gb='many' is not a whole number"),
        ({"node_id": 5, "gpu_model": "4090"}, "node_id already chooses the machine: remove gpu_model"),
        ({"node_id": 5, "requirements": {"country": "DE"}}, "node_id already chooses the machine: remove country"),
        ({"node_id": "five"}, "node_id='five' is not a whole number"),
        ({"node_id": True}, "node_id=True is not a whole number"),
        ({"max_price_usd": -1}, "max_price_usd must be"),
        ({"max_price_usd": 0}, "max_price_usd must be above 0"),
        ({"max_price_usd": "cheap"}, "max_price_usd='cheap' is not a number"),
        ({"gpu_count": -1}, "gpu_count must be"),
        ({"order_by": "speed"}, "order_by must be one of price, blender_score, score_per_usd"),
        ({"requirements": {"gpus": 2}}, "requirements has no gpus; choose among node_id"),
        ({"requirements": ["4090"]}, "is neither a mapping nor a Requirements"),
        ({"envs": {"1A": "x"}}, "'1A' is not a name of an environment variable"),
        ({"envs": "A=1"}, "envs is a str; give a mapping"),
        ({"ports": [0]}, "ports must be port numbers"),
        ({"http_ports": ["web"]}, "http_ports='web' is not a whole number"),
        ({"deadline_s": 0}, "deadline_s=0 leaves no time"),
        ({"gpu_model": [["4090"], "3090"]}, "gpu_model=['4090'] is a list, and text was wanted"),
        ({"country": []}, "country must be text"),
    ],
)
def test_an_impossible_start_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as raised:
        machine(**arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"image": "{{ params.image }}"},
        {"image": "", "app": "2b4b7b6c"},
        {"image": "", "app": "{{ params.app }}"},
        {"node_id": "{{ params.node }}"},
        {"node_id": 5, "max_price_usd": 0.5},
        {"gpu_count": "{{ params.gpus }}", "max_price_usd": "{{ params.price }}", "country": "{{ params.country }}"},
        {"requirements": "{{ params.requirements }}"},
        {"requirements": {"gpu_model": "{{ params.gpu }}", "gpu_count": 2}},
        {"requirements": Requirements(gpu_model="4090"), "order_by": "score_per_usd"},
        {"disk_gb": "{{ params.disk }}", "deadline_s": "{{ params.patience }}"},
        {"envs": {"A": "{{ run_id }}", "{{ params.name }}": "x"}},
        {"exclude_nodes": [1, 2], "ports": [22, "8080"]},
        {"gpu_model": ["4090", "3090"], "country": ["DE", "{{ params.country }}"]},
    ],
)
def test_what_may_work_is_let_through(arguments: dict[str, Any]) -> None:
    machine(**arguments)


def test_a_known_part_beside_a_template_is_still_checked() -> None:
    with pytest.raises(ValueError, match="gpu_count must be"):
        machine(requirements={"gpu_model": "{{ params.gpu }}", "gpu_count": -2})


def test_another_tasks_output_is_let_through() -> None:
    with DAG("d", schedule=None):
        chosen = machine().output
        second = OctaStartMachineOperator(task_id="second", image="x:1", node_id=chosen, envs=chosen)
    assert second.upstream_task_ids == {"start"}


@pytest.mark.parametrize("value", ["yes", 3])
def test_the_render_workers_flag_is_checked(value: object) -> None:
    with pytest.raises(ValueError, match="multi_gpu_worker="):
        OctaStartRenderOperator(task_id="start", multi_gpu_worker=value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"session": None}, "session is missing"),
        ({"session": "u", "score": 9}, "score=9 is not a score"),
        ({"session": "u", "deadline_s": -1}, "deadline_s=-1 leaves no time"),
    ],
)
def test_an_impossible_stop_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        OctaStopSessionOperator(task_id="stop", **arguments)


def test_an_impossible_line_count_is_refused() -> None:
    with pytest.raises(ValueError, match="max_lines=-1"):
        OctaFetchLogsOperator(task_id="logs", session="u", max_lines=-1)


def test_parsing_makes_no_request_and_imports_no_http_library() -> None:
    example = ROOT / "dags_examples" / "airflow" / "render_animation.py"
    guard = "import socket\ndef refuse(*a, **k): raise AssertionError('network')\nsocket.socket.connect = refuse\n"
    script = f"{RECORDER}\n{guard}\nimport runpy\nrunpy.run_path({str(example)!r})\nprint('parsed')"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert [line for line in ended.stdout.splitlines() if " <- " in line] == []
    assert "parsed" in ended.stdout


@pytest.mark.parametrize(("given", "nodes"), [(5, (5,)), ("[1, 2]", (1, 2)), ("1, 2", (1, 2)), ([3], (3,))])
def test_machines_to_leave_out_come_in_every_form_that_a_template_gives(given: object, nodes: tuple[int, ...]) -> None:
    from airflow_provider.machine_requirements import to_requirements

    assert to_requirements(None, {"exclude_nodes": given}).exclude_nodes == nodes


def test_a_stop_is_not_given_what_a_sensor_returns() -> None:
    with DAG("of_a_sensor", schedule=None):
        started = OctaStartMachineOperator(task_id="start", image="alpine:3")
        ready = OctaSessionReadySensor(task_id="ready", session=started.output)
        with pytest.raises(ValueError, match="output of the sensor ready"):
            OctaStopSessionOperator(task_id="stop", session=ready.output)


@pytest.mark.parametrize("given", [("4090", "3090"), ["4090", "3090"], "['4090', '3090']", '["4090", "3090"]'])
def test_models_and_countries_come_in_every_form_that_a_template_gives(given: object) -> None:
    from airflow_provider.machine_requirements import to_requirements

    assert to_requirements(None, {"gpu_model": given}).gpu_models == ("4090", "3090")
    assert to_requirements({"country": given}, {}).countries == ("4090", "3090")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"outputs": {"/data/frames": "frames"}}, "outputs: '/data/frames' is absolute"),
        ({"outputs": {"/data/{{ run_id }}": "frames"}}, "outputs: '/data/{{ run_id }}' is absolute"),
        ({"wait_for_completion": False, "inputs": {"a": "b"}}, "wait_for_completion=False only starts a command"),
        ({"wait_for_completion": False, "outputs": {"a": "{{ run_id }}"}}, "wait_for_completion=False only starts"),
        ({"wait_for_completion": False, "via": "ssh"}, "wait_for_completion=False only starts a command"),
        ({"requirements": {"gpu_modell": "4090"}}, "requirements has no gpu_modell"),
        ({"wait_for_completion": False, "log_path": "/data/log"}, "log_path and skip_on_exit_code are for a task that"),
        ({"wait_for_completion": False, "skip_on_exit_code": 3}, "log_path and skip_on_exit_code are for a task that"),
    ],
)
def test_a_job_that_can_never_work_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as raised:
        OctaRunJobOperator(task_id="job", **{"image": "alpine:3", "command": "true"} | arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("given", [None, "a-uuid", 3, OctaRunJobOperator, OctaStartMachineOperator])
def test_a_sensor_of_no_job_is_refused_before_one_is_paid_for(given: Any) -> None:
    with DAG("of_no_job", schedule=None):
        if given is OctaRunJobOperator:
            given = OctaRunJobOperator(task_id="job", image="alpine:3", command="true").output
        elif given is OctaStartMachineOperator:
            given = machine().output
        with pytest.raises(ValueError, match=r"OctaRunJobOperator\(wait_for_completion=False\)"):
            OctaJobSensor(task_id="ended", job=given)


def test_a_sensor_of_what_may_be_a_job_is_let_through() -> None:
    with DAG("of_a_job", schedule=None):
        job = OctaRunJobOperator(task_id="job", image="alpine:3", command="true", wait_for_completion=False)
        OctaJobSensor(task_id="ended", job=job.output)
        OctaJobSensor(task_id="of_text", job="{{ ti.xcom_pull('job') | tojson }}")
        OctaJobSensor.partial(task_id="each").expand(job=[job.output])


@pytest.mark.parametrize("make", [OctaSessionReadySensor, OctaFetchLogsOperator])
@pytest.mark.parametrize("given", ["no uuid", ["a-uuid", "another"], 3])
def test_what_is_no_session_is_refused_before_one_is_paid_for(make: Any, given: Any) -> None:
    with pytest.raises(ValueError, match=r"^session is |^session was"):
        make(task_id="of_it", session=given)


@pytest.mark.parametrize(
    ("make", "name", "arguments"),
    [
        (OctaRunJobOperator, "durable", {"image": "alpine:3", "command": "true"}),
        (OctaRunJobOperator, "wait_for_completion", {"image": "alpine:3", "command": "true"}),
        (OctaRunJobOperator, "deferrable", {"image": "alpine:3", "command": "true"}),
        (OctaRunJobOperator, "files_in_trigger", {"image": "alpine:3", "command": "true"}),
        (OctaRenderAnimationOperator, "deferrable", {"scene": "/a.blend", "frames": "1", "output": "/a"}),
        (OctaStartMachineOperator, "deferrable", {"image": "alpine:3"}),
        (OctaStartVpnOperator, "deferrable", {}),
        (OctaSessionReadySensor, "deferrable", {"session": "a-uuid"}),
        (OctaMachineAvailableSensor, "deferrable", {}),
        (OctaJobSensor, "deferrable", {"job": {"job": {}}}),
        (OctaMachinesOperator, "skip_if_none", {}),
        (OctaReapOperator, "dry_run", {}),
        (OctaReapOperator, "any_namespace", {}),
    ],
)
def test_a_flag_that_is_text_is_refused_since_false_would_be_true(make: Any, name: str, arguments: Any) -> None:
    for given in ("False", "{{ params.flag }}"):
        with pytest.raises(ValueError, match=f"^{name}='.*' is neither True nor False"):
            make(task_id="flagged", **{name: given}, **arguments)
    for known in (True, False):
        make(task_id="flagged", **{name: known}, **arguments)
