"""One real Airflow for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow_at_work import Airflow, airflow_at_work

from octa_provider.emulator.testing import start_emulator


@pytest.fixture(scope="session")
def shared_airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    with (
        start_emulator(machines=12, room=50) as emulator,
        airflow_at_work(emulator, tmp_path_factory.mktemp("airflow")) as airflow,
    ):
        yield airflow


@pytest.fixture
def airflow(shared_airflow: Airflow) -> Iterator[Airflow]:
    """Airflow at work; nothing may be left running on the emulator."""
    shared_airflow.services.put_right()
    yield shared_airflow
    shared_airflow.emulator.clear_faults()
    left = shared_airflow.emulator.ledger(requests=False)["running_uuids"]
    for uuid in left:
        shared_airflow.emulator.end_session(uuid)
    assert not left, "sessions were left running"
