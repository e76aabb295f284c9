"""`octa-provider doctor` says whether Airflow knows the provider and its connection, and shows no key."""

from __future__ import annotations

import pytest
from airflow_runs import Renting

from airflow_provider.doctor import airflow_findings


def test_the_connection_answers_or_says_what_to_type(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    versions, known, connection = airflow_findings()
    assert (versions[0], known) == (True, (True, "knows the provider, and connections of type octa"))
    assert connection[0] is True
    assert connection[1].startswith(f"connection octa_default: Connected to {renting.emulator.base_url}")
    monkeypatch.delenv("AIRFLOW_CONN_OCTA_DEFAULT")
    ok, text = list(airflow_findings())[-1]
    assert ok is None
    assert "airflow connections add octa_default --conn-type octa" in text
    assert renting.emulator.api_key not in str([versions, known, connection, text])
