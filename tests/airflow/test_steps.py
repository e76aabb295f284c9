"""Start, ready, logs, stop: each alone and together, on the emulator."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Param
from airflow_runs import Renting, run

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.namespace import default_namespace
from airflow_provider.operators.logs import OctaFetchLogsOperator
from airflow_provider.operators.start import OctaStartMachineOperator, OctaStartRenderOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.sensors.machine import OctaMachineAvailableSensor
from airflow_provider.sensors.session import OctaSessionReadySensor
from octa_provider import MachineRequest, Requirements


def start(**arguments: Any) -> OctaStartMachineOperator:
    defaults = {"task_id": "start", "image": "alpine:3", "start_command": "echo hello; sleep 600"}
    return OctaStartMachineOperator(**(defaults | arguments))


def stop(started: Any, **arguments: Any) -> OctaStopSessionOperator:
    return OctaStopSessionOperator(task_id="stop", session=started.output, **arguments).as_teardown(setups=started)


def ready(started: Any, **arguments: Any) -> OctaSessionReadySensor:
    return OctaSessionReadySensor(
        **({"task_id": "ready", "session": started.output, "poke_interval": 0.2, "timeout": 800} | arguments)
    )


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_the_four_steps(renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str], mode: str) -> None:
    with DAG("four_steps", schedule=None) as dag:
        started = start(http_ports=[8080])
        logs = OctaFetchLogsOperator(task_id="logs", session=started.output, path=str(tmp_path / "a" / "log.txt"))
        started >> ready(started, mode=mode) >> logs >> stop(started)
    ended = run(dag)
    assert ended.state == "success"
    (session,) = renting.sessions

    rental = ended.result("start")
    assert rental["uuid"] == session["uuid"] == ended.result("start", "uuid")
    assert rental["key"] == session["rental_key"] == f"{default_namespace()}/airflow/four_steps/{ended.run_id}/start/-1"
    assert rental["node_id"] == session["node_id"]
    assert rental["price_usd"] > 0
    assert int(rental["price_wei"]) > 0

    is_ready = ended.result("ready")
    assert is_ready["uuid"] == session["uuid"]
    assert is_ready["ssh"]["host"] == "127.0.0.1"
    assert is_ready["urls"]["8080"].startswith("http://127.0.0.1")
    # The step that a person opens: the start had no address yet.
    assert ended.result("ready", "octa_link_OctaSessionLink") == is_ready["urls"]["8080"]

    fetched = ended.result("logs")
    assert fetched["container_lines"] == 1
    assert fetched["system_lines"] >= 1
    assert Path(fetched["path"]).read_text() == "hello\n"
    assert "[container] hello" in capfd.readouterr().out

    bill = ended.result("stop")
    assert bill["uuid"] == session["uuid"]
    assert int(bill["charge_wei"]) > 0
    assert bill["charge_usd"] > 0


def test_a_render_worker(renting: Renting) -> None:
    with DAG("render_worker", schedule=None) as dag:
        started = OctaStartRenderOperator(task_id="start", multi_gpu_worker="true", disk_gb="20")
        started >> ready(started) >> stop(started)
    assert run(dag).state == "success"
    assert [session["service"] for session in renting.sessions] == ["render"]


def test_a_node_can_be_named(renting: Renting) -> None:
    with renting.client() as client:
        second = sorted(client.services.mr.available(), key=lambda machine: machine.price_usd or 99)[1]
    with DAG("named_node", schedule=None, params={"node": second.node_id}) as dag:
        started = start(node_id="{{ params.node }}")
        started >> stop(started)
    assert run(dag).state == "success"
    assert [session["node_id"] for session in renting.sessions] == [second.node_id]


@pytest.mark.parametrize(
    "choice",
    [
        {"gpu_count": 2, "order_by": "blender_score"},
        {"requirements": {"gpu_count": 2}, "order_by": "blender_score"},
        {"requirements": {"gpu_count": "{{ params.gpus }}", "order_by": "blender_score"}},
        {"requirements": "{{ params.wanted | tojson }}", "order_by": "blender_score"},
    ],
)
def test_requirements_choose_the_machine(renting: Renting, choice: dict[str, Any]) -> None:
    with renting.client() as client:
        fitting = [machine for machine in client.services.mr.available() if machine.gpu_count >= 2]
    best = max(fitting, key=lambda machine: machine.blender_score or 0)
    params = {"gpus": 2, "wanted": {"gpu_count": 2}}
    with DAG("chosen", schedule=None, params=params, render_template_as_native_obj="tojson" in str(choice)) as dag:
        started = start(**choice)
        started >> stop(started)
    assert run(dag).state == "success"
    assert [session["node_id"] for session in renting.sessions] == [best.node_id]


def test_everything_is_templated(renting: Renting) -> None:
    params = {"image": "alpine:3.20", "word": "templated", "price": 50, "country": Param(None, type=["null", "string"])}
    with DAG("templated", schedule=None, params=params) as dag:
        started = start(
            image="{{ params.image }}",
            start_command="echo {{ params.word }}; sleep 600",
            envs={"RUN": "{{ run_id }}"},
            max_price_usd="{{ params.price }}",
            country="{{ params.country }}",
            disk_gb="{{ params.price }}",
            octa_conn_id="octa_{{ 'default' }}",
        )
        started >> stop(started, deadline_s="{{ 30 + 30 }}", score="{{ 5 }}")
    ended = run(dag)
    assert ended.state == "success"
    (session,) = renting.sessions
    assert session["image"] == "alpine:3.20"
    assert session["user_envs"]["RUN"] == ended.run_id
    assert session["score"] == 5


def test_a_template_that_renders_to_nonsense_fails_before_money_is_spent(
    renting: Renting, capfd: pytest.CaptureFixture[str]
) -> None:
    with DAG("nonsense", schedule=None, params={"gpus": "plenty"}) as dag:
        start(gpu_count="{{ params.gpus }}", retries=3)
    ended = run(dag)
    assert ended.tasks == {"start": "failed"}
    assert "gpu_count='plenty' is not a whole number" in capfd.readouterr().out
    assert renting.sessions == []


def test_nothing_that_fits_says_why(renting: Renting, capfd: pytest.CaptureFixture[str]) -> None:
    with DAG("no_machine", schedule=None) as dag:
        start(max_price_usd=0.0001)
    assert run(dag).tasks == {"start": "failed"}
    assert "too expensive (cheapest" in capfd.readouterr().out


def test_a_uuid_is_enough_to_stop_and_to_fetch(renting: Renting) -> None:
    with renting.client() as client:
        rental = client.rentals.start(MachineRequest(image="alpine:3", start_command="echo x"), key="tests/by-hand")
        rental.wait_until_ready(poll_s=0.1)
    with DAG("by_uuid", schedule=None) as dag:
        logs = OctaFetchLogsOperator(task_id="logs", session=rental.uuid, max_lines=0)
        logs >> OctaStopSessionOperator(task_id="stop", session=rental.uuid)
        OctaFetchLogsOperator(task_id="later", session=rental.uuid) << dag.get_task("stop")
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("stop")["uuid"] == rental.uuid
    assert ended.result("later")["container_lines"] == 1


def test_stopping_twice_is_harmless(renting: Renting) -> None:
    with DAG("stop_twice", schedule=None) as dag:
        started = start()
        again = OctaStopSessionOperator(task_id="again", session=started.output)
        started >> OctaStopSessionOperator(task_id="stop", session=started.output) >> again
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("again")["charge_wei"] == ended.result("stop")["charge_wei"]


def test_a_session_that_never_gets_ready_is_stopped(renting: Renting) -> None:
    renting.emulator.faults({"kind": "never_ready"})
    with DAG("never_ready", schedule=None) as dag:
        started = start()
        started >> ready(started, timeout=0.5)
    assert run(dag).tasks == {"start": "success", "ready": "failed"}
    assert len(renting.sessions) == 1
    assert renting.running() == []


def test_a_soft_failing_sensor_stops_too(renting: Renting) -> None:
    renting.emulator.faults({"kind": "never_ready"})
    with DAG("soft_fail", schedule=None) as dag:
        started = start()
        started >> ready(started, timeout=0.5, soft_fail=True)
    assert run(dag).tasks == {"start": "success", "ready": "skipped"}
    assert renting.running() == []


@pytest.mark.parametrize("how", [{"deferrable": False}, {"deferrable": True}], ids=["poke", "deferred"])
def test_a_sensor_that_can_not_look_is_skipped_where_it_fails_softly(renting: Renting, how: dict[str, Any]) -> None:
    renting.connection("octa_refused", password="no such key")
    with DAG("soft_look", schedule=None) as dag:
        for name, options in {"softly": {"soft_fail": True}, "never": {"never_fail": True}, "plainly": {}}.items():
            given: dict[str, Any] = {"octa_conn_id": "octa_refused", **options, **how}
            OctaSessionReadySensor(task_id=f"ready_{name}", session="a-uuid", **given)
            OctaMachineAvailableSensor(task_id=f"free_{name}", **given)
    assert run(dag).tasks == {
        **{f"{what}_{how}": "skipped" for what in ("ready", "free") for how in ("softly", "never")},
        **{"ready_plainly": "failed", "free_plainly": "failed"},
    }


def test_a_session_that_ended_fails_the_sensor_at_once_with_its_log(
    renting: Renting, capfd: pytest.CaptureFixture[str]
) -> None:
    renting.emulator.faults({"kind": "never_ready"}, {"kind": "node_dies", "seconds": 0.5})
    with DAG("node_dies", schedule=None) as dag:
        started = start()
        started >> ready(started, retries=5) >> stop(started)
    ended = run(dag)
    assert ended.tasks["ready"] == "failed"
    assert ended.ti("ready").try_number == 1
    told = capfd.readouterr().out
    assert "has ended" in told
    assert "Its system log ends:" in told


def test_an_outage_only_slows_the_sensor_down(renting: Renting) -> None:
    with DAG("outage", schedule=None) as dag:
        started = start()
        started >> ready(started) >> stop(started)
    renting.emulator.faults({"kind": "status", "status": 503, "path": "/services/*/info", "after": 1, "times": 6})
    assert run(dag).state == "success"


def test_a_refused_key_fails_without_a_retry(renting: Renting) -> None:
    renting.connection("octa_refused", password="wrong-key-wrong-key")
    with DAG("refused", schedule=None) as dag:
        start(octa_conn_id="octa_refused", retries=5)
    ended = run(dag)
    assert ended.tasks == {"start": "failed"}
    assert ended.ti("start").try_number == 1


def test_requirements_may_be_the_cores_own(renting: Renting) -> None:
    with DAG("own_requirements", schedule=None) as dag:
        started = start(requirements=Requirements(gpu_count=1))
        started >> stop(started)
    assert run(dag).state == "success"


def test_steps_can_be_mapped(renting: Renting) -> None:
    with DAG("mapped", schedule=None) as dag:
        started = OctaStartMachineOperator.partial(task_id="start", image="alpine:3").expand(
            envs=[{"PART": "one"}, {"PART": "two"}]
        )
        OctaStopSessionOperator.partial(task_id="stop").expand(session=started.output)
    ended = run(dag)
    assert ended.state == "success"
    assert sorted(session["user_envs"]["PART"] for session in renting.sessions) == ["one", "two"]
    assert len({session["rental_key"] for session in renting.sessions}) == 2
    assert ended.result("start[1]")["key"].endswith("/start/1")


def test_fetched_lines_show_text_alone(renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Escapes, a bar that overwrites itself, and what would look like a line of Airflow's own; in the file too."""
    printed = r"printf '\033[31mred\033[0m 10%%\r100%%\n\033]0;title\007text\nfake\rERROR forged\n'; sleep 600"
    with DAG("plain_lines", schedule=None) as dag:
        started = start(start_command=printed)
        up = ready(started)
        logs = OctaFetchLogsOperator(task_id="logs", session=up.output, path=str(tmp_path / "log"))
        logs.pre_execute = lambda context: until_printed(context, "forged")
        started >> up >> logs >> OctaStopSessionOperator(task_id="stop", session=started.output)
    assert run(dag).state == "success"
    shown = [line.split("[container] ")[1] for line in capfd.readouterr().out.splitlines() if "[container] " in line]
    assert [line.split("  ")[0].strip() for line in shown] == ["100%", "text", "ERROR forged"]
    assert (tmp_path / "log").read_text() == "100%\ntext\nERROR forged\n"


def until_printed(context: Any, text: str) -> None:
    client, uuid = OctaHook().get_conn(), context["ti"].xcom_pull(task_ids="start", key="uuid")
    deadline = time.monotonic() + 800
    while text not in client.services.session(uuid).logs().container:
        assert time.monotonic() < deadline, "nothing was printed"
        time.sleep(0.2)
