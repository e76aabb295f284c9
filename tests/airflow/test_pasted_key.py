"""A private key pasted into the connection form: Chromium makes one line of it, with spaces in between."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, redact
from airflow_runs import Renting, run

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.operators.job import OctaRunJobOperator


def test_a_pasted_key_opens_the_machine_and_is_masked(renting: Renting) -> None:
    lines = renting.emulator.ssh_private_key.read_text().strip().splitlines()
    pasted = " ".join(lines)
    renting.connection("octa_pasted", extra={"ssh_private_key": pasted})
    with DAG("pasted_key", schedule=None) as dag:
        OctaRunJobOperator(
            task_id="job", octa_conn_id="octa_pasted", image="alpine:3", command="true", via="ssh", poll_interval=0.2
        )
    assert run(dag).state == "success"
    assert renting.running() == []
    OctaHook("octa_pasted").get_conn()
    shown = str(redact("\n".join([pasted, *lines])))
    assert [line for line in lines[1:-1] if line in shown] == []
