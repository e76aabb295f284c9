"""The next try of a flow run, on another worker, renders into the same folder or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from flow_process import FlowProcesses
from prefect_server import PrefectServer
from renting import Renting
from shots import go_on, pictures
from test_render_nothing_left import new_run, wait_until_it_renders

pytestmark = [pytest.mark.e2e]


def test_a_retry_on_a_worker_that_sees_another_folder_is_refused_by_name(
    server: PrefectServer, renting: Renting, flows: FlowProcesses, tmp_path: Path
) -> None:
    run = new_run(flows, tmp_path)
    first = flows.engine(run)
    wait_until_it_renders(renting, tmp_path)
    first.kill()
    count = len(renting.sessions)
    # As on another computer, where the same path is on its own disk.
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    flows.again(run)
    flows.engine(run).wait()
    assert server.state_of(run) == "Failed"
    said = server.flow_run(run)["state"]["message"]
    assert "is not the folder that" in said
    assert "output must be on storage that every worker sees" in said
    assert len(renting.sessions) == count, "nothing was rented"
    # Where the folder is there, it goes on.
    (tmp_path / "elsewhere").rename(tmp_path / "there")
    if (tmp_path / "out").exists():
        (tmp_path / "out").rename(tmp_path / "empty")
    (tmp_path / "there").rename(tmp_path / "out")
    go_on(tmp_path)
    flows.again(run)
    last = flows.engine(run)
    assert last.wait() == 0, last.output
    assert len(pictures(tmp_path)) == 24
    assert renting.running() == []
