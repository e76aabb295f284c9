"""`@octa`: a flow that is called or submitted runs on a rented machine, and its value comes back."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from flow_process import FlowProcesses
from pool import FLOWS, Pool
from prefect import flow
from prefect_server import BIN, PrefectServer
from renting import Renting

from octa_provider import OctaConfigError
from prefect_blocks import octa

pytestmark = [pytest.mark.e2e]

SCRIPT = """
import sys, time, warnings
from pathlib import Path
from prefect import flow
from prefect.client.orchestration import get_client
from prefect_blocks import octa
from octa_provider import OctaConfigError

warnings.simplefilter("ignore")
pool, folder, env = {pool!r}, {folder!r}, {env!r}
def on_machines(**more):
    # Without a launcher Prefect runs the steps with uv, which asks a registry.
    return octa(work_pool=pool, launcher=[sys.executable], image="prefect:3", poll_s=0.5, env=env, **more)

@flow(persist_result=True)
def doubles(number: int) -> int:
    (Path(folder) / f"began-{{number}}").touch()
    while not (Path(folder) / f"end-{{number}}").exists():
        time.sleep(0.1)
    return 2 * number
"""


def script(server: PrefectServer, pool: Pool, folder: Path, then: str) -> str:
    """A script of a user's, whose work pool keeps bundles in a folder, and whose flow keeps its value in another."""
    step = {"folder": str(folder)}
    configuration = {
        "bundle_upload_step": {"bundle_folder": step | {"do": "upload"}},
        "bundle_execution_step": {"bundle_folder": step | {"do": "execute"}},
    }
    server.ask("PATCH", f"/work_pools/{pool.name}", json={"storage_configuration": configuration})
    env = {"PATH": str(BIN), "PYTHONPATH": f"{FLOWS}:{':'.join(sys.path)}", "PREFECT_API_URL": server.api_url}
    env |= {"PREFECT_LOCAL_STORAGE_PATH": str(folder / "values")}
    before = SCRIPT.format(pool=pool.name, folder=str(folder), env=env)
    return before + textwrap.dedent(then)


SUBMITS = """
    futures = [on_machines()(doubles).submit(number) for number in (1, 2)]
    with get_client(sync_client=True) as prefect:
        states = [prefect.read_flow_run(future.flow_run_id).state for future in futures]
    assert not any(state.is_final() for state in states), "submit returned before the flow runs ended"
    for number in (1, 2):
        (Path(folder) / f"end-{number}").touch()
    print("values", [future.result(timeout=600) for future in futures])
"""
LEAVES = """
    on_machines()(doubles).submit(3)
    (Path(folder) / "end-3").touch()
"""
CALLS = """
    (Path(folder) / "end-4").touch()
    print("values", on_machines()(doubles)(4))
"""
MISSPELLS = """
    try:
        on_machines(max_cost=1.0)(doubles).submit(5)
    except OctaConfigError as error:
        print("refused", error)
"""


@pytest.mark.parametrize(
    ("then", "told", "sessions"),
    [
        (SUBMITS, "values [2, 4]", 2),
        (CALLS, "values 8", 1),
        (LEAVES, "", 1),
        (MISSPELLS, "refused the work pool has no 'max_cost' (did you mean max_cost_usd", 0),
    ],
    ids=["submitted", "called", "left", "misspelt"],
)
def test_a_flow_runs_on_a_machine_of_its_own(
    server: PrefectServer,
    pool: Pool,
    renting: Renting,
    flows: FlowProcesses,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    then: str,
    told: str,
    sessions: int,
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{FLOWS}:{':'.join(sys.path)}")
    monkeypatch.setenv("PREFECT_LOCAL_STORAGE_PATH", str(tmp_path / "values"))
    process = flows.script(script(server, pool, tmp_path, then))
    assert process.wait() == 0, process.output
    assert told in process.output
    assert len(renting.sessions) == sessions
    assert renting.running() == [], "the process ended, and its machines were stopped before"
    assert [run["state_name"] for run in server.runs_of("doubles") if run["work_pool_name"] == pool.name] == [
        "Completed"
    ] * sessions


def test_what_is_bound_the_other_way_round_is_told_at_once() -> None:
    def no_flow() -> None: ...

    with pytest.raises(OctaConfigError, match=r"'no_flow' is no flow: write @octa\(...\) above @flow"):
        octa(work_pool="machines")(no_flow)  # type: ignore[arg-type]
    with pytest.raises(OctaConfigError, match="takes the name of a work pool"):
        octa(flow(no_flow))  # type: ignore[arg-type]
