"""Run a DAG for real, in this process, and look at what became of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from octa_provider import OctaClient
from octa_provider.emulator.testing import EmulatorHandle

if find_spec("airflow.sdk") is not None:
    from airflow.sdk.execution_time import task_runner

    # Airflow 3 makes the same one anew for every template field of every task: a third of what a run takes.
    task_runner.TypeAdapter = cache(task_runner.TypeAdapter)  # type: ignore[attr-defined,misc]

BLENDER_PYTHON = Path(__file__).parents[2] / ".venvs" / "blender" / "bin" / "python"


@dataclass(frozen=True)
class Run:
    """A DAG run that has ended."""

    dag_run: Any

    @property
    def state(self) -> str:
        return str(getattr(self.dag_run.state, "value", self.dag_run.state))

    @property
    def run_id(self) -> str:
        return str(self.dag_run.run_id)

    @property
    def tasks(self) -> dict[str, str]:
        """By task id (with `[index]` for mapped ones) the state."""
        return {_name(ti): str(getattr(ti.state, "value", ti.state)) for ti in self.dag_run.get_task_instances()}

    def ti(self, name: str) -> Any:
        return next(ti for ti in self.dag_run.get_task_instances() if _name(ti) == name)

    def result(self, name: str, key: str = "return_value") -> Any:
        """What a task pushed."""
        ti = self.ti(name)
        return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index)


def _name(ti: Any) -> str:
    return ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"


def run(dag: Any, conf: dict[str, Any] | None = None, at: datetime | None = None) -> Run:
    """Run a DAG to its end; the run of the same moment `at` is the same run again, as after a clear."""
    options: dict[str, Any] = {"run_conf": conf}
    if at is not None:
        options |= _once_more(dag, at)
    _store(dag)
    try:
        return Run(dag.test(**options))
    except AirflowTaskTimeout:
        # On Airflow 2 this is no Exception, and passes through `dag.test()` once the task has been marked.
        return Run(_last_run_on_two(dag))


def _store(dag: Any) -> None:
    try:
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        try:
            from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
        except ImportError:  # Airflow 3.1
            from airflow.models.dagbag import DagBag, sync_bag_to_db
    except ImportError:
        return  # Before Airflow 3.1 what was never stored runs too.
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder=os.devnull)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)


def _once_more(dag: Any, at: datetime) -> dict[str, Any]:
    if "execution_date" not in signature(dag.test).parameters:
        return {"logical_date": at, "run_after": at}
    # Airflow 2 deletes the earlier run first, and its note refers to a table of this provider.
    import airflow.providers.fab.auth_manager.models  # noqa: F401

    return {"execution_date": at}


def _last_run_on_two(dag: Any) -> Any:
    from airflow.models.dagrun import DagRun

    return max(DagRun.find(dag_id=dag.dag_id), key=lambda one: one.id)


class Renting:
    """The emulator, as one test sees it: only what was rented since the test began."""

    def __init__(self, emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch) -> None:
        self.emulator = emulator
        self._monkeypatch = monkeypatch
        self._before = {session["uuid"] for session in emulator.ledger(requests=False)["sessions"]}

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """Every session that was started."""
        ledger = self.emulator.ledger(requests=False)
        return [session for session in ledger["sessions"] if session["uuid"] not in self._before]

    def running(self) -> list[str]:
        """Those that still run."""
        running = set(self.emulator.ledger(requests=False)["running_uuids"])
        return [session["uuid"] for session in self.sessions if session["uuid"] in running]

    @property
    def most_at_once(self) -> int:
        """How many sessions of one rental key ever ran at the same time."""
        overlaps = self.emulator.ledger(requests=False)["max_running_by_key"]
        ours = {session["rental_key"] for session in self.sessions}
        return max((int(overlaps[key]["max_running"]) for key in ours if key in overlaps), default=0)

    def client(self) -> OctaClient:
        return OctaClient(self.emulator.api_key, base_url=self.emulator.base_url, timeout=120)

    def connection(self, name: str, **fields: Any) -> None:
        """Another connection."""
        import json

        value = {"conn_type": "octa", "host": self.emulator.base_url, "password": self.emulator.api_key} | fields
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(value))


def example(name: str) -> Any:
    """A DAG of `dags_examples/airflow`, as Airflow reads it."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    bag = DagBag(dag_folder=str(Path(__file__).parents[2] / "dags_examples" / "airflow" / f"{name}.py"))
    assert not bag.import_errors, bag.import_errors
    return bag.dags[name]
