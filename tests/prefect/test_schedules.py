"""A deployment with a schedule, as a studio's nightly reaper has one, on a real server with a real worker."""

from __future__ import annotations

import ast
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from pool import Pool
from prefect_server import PrefectServer
from renting import Renting
from waiting_for import wait_for

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
@pytest.mark.parametrize(
    "schedule",
    [{"cron": "* * * * *", "timezone": "UTC"}, {"interval": 20}],
    ids=["cron", "interval"],
)
def test_a_deployment_with_a_schedule_runs_by_itself(
    server: PrefectServer, renting: Renting, pool: Pool, schedule: dict[str, object]
) -> None:
    """With sqlalchemy 2.1 a Prefect before 3.9.1 takes the deployment, and never makes a run of it."""
    pool.worker()
    deployment = pool.deploy("greets", {"name": "by the clock"})
    server.ask("POST", f"/deployments/{deployment}/schedules", json=[{"schedule": schedule, "active": True}])
    question = {"deployments": {"id": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
    first = wait_for(lambda: server.post("/flow_runs/filter", **question), "a run is scheduled")[0]
    assert first["auto_scheduled"]
    wait_for(lambda: server.flow_run(first["id"])["state_type"] != "SCHEDULED", "it is begun by itself")
    server.post(f"/deployments/{deployment}/pause_deployment")
    server.wait_for_state(first["id"], "Completed")
    for run in server.post("/flow_runs/filter", **question):
        if run["state_type"] not in ("COMPLETED", "SCHEDULED"):
            server.wait_for_state(run["id"], "Completed")
    renting.wait_until_none_runs()


def test_what_breaks_prefects_server_is_bounded_in_the_extra() -> None:
    """And the tests run with what the extra allows."""
    extra = re.search(r"^prefect = (\[.*\])$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert extra is not None
    bounds = {one.name: one.specifier for one in map(Requirement, ast.literal_eval(extra[1]))}
    assert set(bounds) == {"prefect", "fastapi", "sqlalchemy"}
    for name, allowed in bounds.items():
        assert version(name) in allowed, f"{name} {version(name)} is not {allowed}"
    assert "0.151.0" not in bounds["fastapi"]
    assert "2.1.9" not in bounds["sqlalchemy"]
