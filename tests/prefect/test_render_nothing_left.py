"""Whatever ends a flow that renders: no machine is left, no frame is lost, none is rendered twice. Real processes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_process import FlowProcesses
from prefect.client.orchestration import get_client
from prefect_server import PrefectServer, start_prefect_server
from pydantic import SecretStr
from renting import Renting
from shots import go_on, named, pictures, shot
from test_left_sessions import kill_the_flow_under
from waiting_for import wait_for

from prefect_blocks import OctaCredentials
from prefect_blocks.flows import reap_orphans_flow
from prefect_blocks.owner import owner_lives

pytestmark = [pytest.mark.e2e]

ALL = named(range(1, 25))
#: The ways that a batch is rendered in a flow: the flow to deploy, a coroutine, a task in a thread, a flow in a flow.
WAYS = ["flow", "renders_async", "renders_submitted", "renders_in_a_flow_of_its_own"]


#: So many frames are rendered before a test lets the others go on; two of them at least are seen.
FIRST = 4


def new_run(flows: FlowProcesses, folder: Path, way: str = "flow", **options: Any) -> str:
    """A run, which nobody executes yet; it comes to its end after `go_on` alone."""
    given = shot(folder, first=FIRST, **options)
    if way == "flow":
        entrypoint = "prefect_blocks.render_flows.render_animation_flow"
        return flows.new_run_of("octa_render_animation", entrypoint, given)
    return flows.new_run_of(way, f"renting_flows.py:{way}", {"shot": given})


def wait_until_it_renders(renting: Renting, folder: Path, count: int = 2) -> dict[str, int]:
    """Some frames are there; each with what tells whether it is written again."""
    wait_for(lambda: len(pictures(folder)) >= count, f"{count} frames are there")
    return written(folder)


def written(folder: Path) -> dict[str, int]:
    return {name: (folder / "out" / name).stat().st_ino for name in pictures(folder)}


def accepted(folder: Path) -> list[int]:
    """The frames in the order they were accepted, by all runs: one that was rendered twice is there twice."""
    lines = (folder / "out" / ".octa" / "journal.jsonl").read_text().splitlines()
    return [value["frame"] for line in lines if "files" in (value := json.loads(line))]


def is_whole(folder: Path, before: dict[str, int]) -> None:
    assert pictures(folder) == ALL
    after = written(folder)
    assert {name: after[name] for name in before} == before, "what was there stayed"
    assert sorted(accepted(folder)) == list(range(1, 25)), "no frame was accepted twice"


@pytest.mark.parametrize("way", WAYS)
def test_killed_and_the_next_try_goes_on(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path, way: str
) -> None:
    run = new_run(flows, tmp_path, way)
    first = flows.engine(run)
    before = wait_until_it_renders(renting, tmp_path)
    first.kill()
    left = renting.running()
    assert left
    go_on(tmp_path)
    flows.again(run)
    second = flows.engine(run)
    assert second.wait() == 0, second.output
    assert server.state_of(run) == "Completed"
    assert renting.running() == []
    is_whole(tmp_path, before)
    machines = json.loads((tmp_path / "out" / "manifest.json").read_text())["machines"]
    assert {one["uuid"] for one in machines} == {session["uuid"] for session in renting.sessions}


def test_killed_while_it_rents(server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path) -> None:
    """Between the request and its answer."""
    renting.holds_the_answer()
    run = new_run(flows, tmp_path)
    first = flows.engine(run)
    renting.wait_until_running()
    first.kill()
    renting.emulator.clear_faults()
    go_on(tmp_path)
    flows.again(run)
    second = flows.engine(run)
    assert second.wait() == 0, second.output
    assert renting.running() == []
    is_whole(tmp_path, {})


def test_killed_and_another_run_with_the_same_output_goes_on(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path
) -> None:
    """What the first has left is seen to by the second, whose key the machines have from then on."""
    first = flows.engine(new_run(flows, tmp_path))
    before = wait_until_it_renders(renting, tmp_path)
    first.kill()
    assert renting.running()
    run = new_run(flows, tmp_path)
    go_on(tmp_path)
    second = flows.engine(run)
    assert second.wait() == 0, second.output
    assert renting.running() == []
    is_whole(tmp_path, before)


def test_the_process_alone_is_killed_and_the_hook_stops_its_machines(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path
) -> None:
    run = new_run(flows, tmp_path)
    runner = flows.runner(run)
    before = wait_until_it_renders(renting, tmp_path)
    kill_the_flow_under(runner)
    runner.wait()
    server.wait_for_state(run, "Crashed")
    assert renting.running() == []
    go_on(tmp_path)
    flows.again(run)
    assert flows.engine(run).wait() == 0
    assert renting.running() == []
    is_whole(tmp_path, before)


def test_the_hook_knows_the_account_that_the_flow_run_names(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path
) -> None:
    """Of the environment's account it would see nothing."""
    emulator = renting.emulator
    account = OctaCredentials(
        api_key=SecretStr(emulator.api_key),
        base_url=emulator.base_url,
        ssh_private_key=SecretStr(emulator.ssh_private_key.read_text()),
    )
    account.save("studio-of-the-hook", overwrite=True)
    flows.environment = {"OCTA_API_KEY": "of-nobody", "OCTA_BASE_URL": "http://127.0.0.1:9", "OCTA_SSH_KEY_FILE": ""}
    run = new_run(flows, tmp_path, credentials="studio-of-the-hook")
    runner = flows.runner(run)
    wait_until_it_renders(renting, tmp_path)
    kill_the_flow_under(runner)
    runner.wait()
    server.wait_for_state(run, "Crashed")
    assert renting.running() == []


@pytest.mark.parametrize("way", WAYS)
def test_cancelled_from_the_api(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path, way: str
) -> None:
    run = new_run(flows, tmp_path, way)
    process = flows.runner(run)
    before = wait_until_it_renders(renting, tmp_path)
    server.set_state(run, "CANCELLING")
    server.wait_for_state(run, "Cancelled")
    process.wait()
    assert renting.running() == []
    go_on(tmp_path)
    assert flows.engine(new_run(flows, tmp_path)).wait() == 0
    is_whole(tmp_path, before)


#: A task of a flow's own that is submitted is in a thread, and nobody there hears of a terminal that is closed.
ENDS = [(way, number) for way in WAYS for number in (signal.SIGTERM, signal.SIGHUP)]
ENDS.remove(("renders_submitted", signal.SIGHUP))


@pytest.mark.parametrize(("way", "number"), ENDS)
def test_ended_by_a_signal(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path, way: str, number: int
) -> None:
    run = new_run(flows, tmp_path, way)
    process = flows.engine(run)
    wait_until_it_renders(renting, tmp_path)
    process.popen.send_signal(number)
    process.wait()
    assert renting.running() == []
    server.wait_for_state(run, "Crashed")


def test_a_second_run_into_the_same_folder_is_refused_by_name(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path
) -> None:
    run, other = new_run(flows, tmp_path), new_run(flows, tmp_path)
    first = flows.engine(run)
    wait_until_it_renders(renting, tmp_path)
    second = flows.engine(other)
    second.wait()
    assert server.state_of(other) == "Failed"
    assert "is being rendered into by process" in server.flow_run(other)["state"]["message"]
    go_on(tmp_path)
    assert first.wait() == 0, first.output
    assert all(f"/{run}/" in f"/{key}" for key in renting.rental_keys)
    is_whole(tmp_path, {})


def test_the_reaper_knows_whose_the_machines_are(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path
) -> None:
    run = new_run(flows, tmp_path)
    first = flows.engine(run)
    renting.wait_until_running(2)
    first.kill()
    count = len(renting.sessions)
    with get_client(sync_client=True) as client:
        assert [owner_lives(client, key) for key in renting.rental_keys] == [True] * count
        # To Prefect it runs still.
        assert reap_orphans_flow(older_than_s=0)["stopped"] == []
        server.set_state(run, "CRASHED")
        assert [owner_lives(client, key) for key in renting.rental_keys] == [False] * count
    assert sorted(reap_orphans_flow(older_than_s=0)["stopped"]) == sorted(one["uuid"] for one in renting.sessions)
    assert renting.running() == []


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[PrefectServer]:
    with start_prefect_server(tmp_path / "server") as server:
        yield server


@pytest.mark.parametrize("way", ["killed", "frozen"])
def test_the_server_is_away_while_it_renders(
    own_server: PrefectServer, renting: Renting, tmp_path: Path, way: str
) -> None:
    """A minute made short: the batch goes on, is whole, and its machines are stopped before the server is back."""
    flows = FlowProcesses(own_server, renting, tmp_path)
    # With no more time than users have: nobody may wait for the server that long. But for its end, that Prefect tells.
    flows.environment = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "PREFECT_CLIENT_MAX_RETRIES": "9"}
    try:
        run = new_run(flows, tmp_path)
        process = flows.engine(run)
        before = wait_until_it_renders(renting, tmp_path)
        own_server.go_away(way)
        go_on(tmp_path)
        wait_for(lambda: pictures(tmp_path) == ALL, "all frames are there")
        renting.wait_until_none_runs()
        come_back(own_server, way)
        assert process.wait() == 0, process.output
        own_server.wait_for_state(run, "Completed")
        is_whole(tmp_path, before)
    finally:
        flows.close()


def come_back(server: PrefectServer, way: str) -> None:
    if way == "killed":
        server.start()
    else:
        server.process.signal(signal.SIGCONT)
