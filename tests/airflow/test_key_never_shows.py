"""The API key and the SSH key are in no log, no rendered template, no XCom and no error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import DAG, redact
from airflow_runs import Renting, run

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.operators.logs import OctaFetchLogsOperator
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.stop import OctaStopSessionOperator
from airflow_provider.sensors.session import OctaSessionReadySensor


def test_no_secret_shows_in_a_run(renting: Renting, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    key = renting.emulator.api_key
    pem = renting.emulator.ssh_private_key.read_text()
    renting.connection("octa_pem", extra={"ssh_private_key": pem})

    with DAG("secrets", schedule=None) as dag:
        started = OctaStartMachineOperator(task_id="start", image="alpine:3", octa_conn_id="octa_pem")
        ready = OctaSessionReadySensor(
            task_id="ready", session=started.output, poke_interval=0.2, timeout=800, octa_conn_id="octa_pem"
        )
        logs = OctaFetchLogsOperator(task_id="logs", session=started.output, octa_conn_id="octa_pem")
        stop = OctaStopSessionOperator(task_id="stop", session=started.output, octa_conn_id="octa_pem")
        started >> ready >> logs >> stop
    ended = run(dag)
    assert ended.state == "success"
    shown = "".join(capfd.readouterr())
    shown += json.dumps([ended.result(name) for name in ("start", "ready", "logs", "stop")])
    for name in ("start", "ready", "logs", "stop"):
        shown += json.dumps(rendered(ended.ti(name)), default=str)
    assert "Started session" in shown
    assert key not in shown
    for line in pem.splitlines():
        if line and not line.startswith("-----"):
            assert line not in shown


def test_airflow_masks_the_secrets_from_then_on(renting: Renting) -> None:
    pem = renting.emulator.ssh_private_key.read_text()
    renting.connection("octa_pem", extra={"ssh_private_key": pem})
    settings = OctaHook("octa_pem").settings
    assert redact(f"a careless {settings.api_key} in a log") == "a careless *** in a log"
    for line in pem.splitlines()[1:-1]:
        assert redact(line) == "***"


def test_the_short_end_of_a_key_is_no_word_to_mask(renting: Renting) -> None:
    """Airflow 2 masks whatever it is told, wherever it stands."""
    end = "Qz=="
    pem = f"-----BEGIN RSA PRIVATE KEY-----\n{'MIIEpAIBAAKCAQEA7' * 3}\n{end}\n-----END RSA PRIVATE KEY-----\n"
    renting.connection("octa_short_end", extra={"ssh_private_key": pem})
    assert OctaHook("octa_short_end").settings.ssh_private_key == pem
    assert redact([f"{end} of it", "MIIEpAIBAAKCAQEA7" * 3]) == [f"{end} of it", "***"]


@pytest.mark.parametrize("status", [401, 403, 422, 500])
def test_no_secret_shows_in_an_error(renting: Renting, capfd: pytest.CaptureFixture[str], status: int) -> None:
    key = renting.emulator.api_key
    fault = {"kind": "status", "status": status, "body": {"message": f"bad key {key}"}}
    renting.emulator.faults(fault | {"path": "/services/mr", "times": None})
    with DAG(f"secret_error_{status}", schedule=None) as dag:
        OctaStartMachineOperator(task_id="start", image="alpine:3", deadline_s=1)
    assert run(dag).state == "failed"
    shown = "".join(capfd.readouterr())
    (told,) = renting.emulator.request("GET", "/_emulator/faults").json()
    assert told["met"] >= 1
    # What is asked for again until the deadline may end with another error, on a machine that is busy.
    assert str(status) in shown or status == 500
    assert key not in shown


def rendered(ti: object) -> object:
    from airflow.models.renderedtifields import RenderedTaskInstanceFields

    return RenderedTaskInstanceFields.get_templated_fields(ti)
