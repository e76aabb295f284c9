"""What a job shows in Prefect's UI while it runs and when it has ended: its bar, its cost, its links, its log."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect_server import PrefectServer
from renting import Renting
from this_run import this_run
from waiting_for import wait_for

from prefect_blocks import OctaJob

pytestmark = pytest.mark.usefixtures("run_logs")
QUICK: dict[str, Any] = {"image": "alpine:3", "poll_s": 0.2}


def test_progress_cost_and_links_are_artifacts(
    server: PrefectServer, renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_blocks.job_report.UPDATE_S", 0.1)
    ids: list[str] = []

    @flow
    def steps() -> Any:
        ids.append(this_run())
        command = f"echo 10%; while [ ! -e {tmp_path}/end ]; do sleep 0.1; done; mkdir out; echo made > out/file"
        job = OctaJob(command=command, http_ports=[8000], outputs={"out": str(tmp_path / "home")}, via="ssh", **QUICK)
        job.log_path = str(tmp_path / "job.log")
        run = job.trigger()
        run.wait_for_completion()
        return run.fetch_result()

    def bar() -> float | None:
        bars = [one for one in server.artifacts_of(ids[0]) if one["key"] == "octa-steps-progress"] if ids else []
        return bars[0]["data"] if bars else None

    seen: list[float | None] = []

    def watch() -> None:
        try:
            wait_for(lambda: bar() is not None, "a bar while it runs")
            seen.append(bar())
        finally:
            (tmp_path / "end").touch()

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = steps()
    watcher.join()
    assert seen == [10.0]
    assert bar() == 100.0
    artifacts = {one["key"]: one for one in server.artifacts_of(ids[0])}
    assert set(artifacts) == {"octa-steps-progress", "octa-steps-cost", "octa-steps-links"}
    assert f"{result.cost_usd:.6f}" in artifacts["octa-steps-cost"]["data"]
    assert result.uuid in artifacts["octa-steps-cost"]["data"]
    links = artifacts["octa-steps-links"]["data"]
    assert "port 8000" in links
    assert str(tmp_path / "home") in links
    assert str(tmp_path / "job.log") in links
    assert (tmp_path / "home" / "file").read_text() == "made\n"


def test_a_bar_that_the_job_draws_moves_the_artifact_and_is_logged_once(
    server: PrefectServer, renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_blocks.job_report.UPDATE_S", 0.0)
    ids: list[str] = []

    @flow
    def steps() -> Any:
        ids.append(this_run())
        draws = r"printf '\r 10%%|#'; printf '\r 30%%|###'"
        ends = rf"while [ ! -e {tmp_path}/end ]; do sleep 0.1; done; printf '\r100%%|##########\n'; sleep 1"
        run = OctaJob(command=f"{draws}; {ends}", **QUICK).trigger()
        run.wait_for_completion()
        return run.fetch_result()

    def bar() -> float | None:
        bars = [one for one in server.artifacts_of(ids[0]) if one["key"] == "octa-steps-progress"] if ids else []
        return bars[0]["data"] if bars else None

    seen: list[float | None] = []

    def watch() -> None:
        try:
            wait_for(lambda: bar() == 30.0, "the bar as the job has drawn it")
            seen.append(bar())
        finally:
            (tmp_path / "end").touch()

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = steps()
    watcher.join()
    assert result.succeeded
    assert seen == [30.0]
    assert bar() == 100.0
    wait_for(lambda: any("100%|##########" in line for line in server.logs_of(ids[0])), "the line at its end")
    assert [line for line in server.logs_of(ids[0]) if "%|#" in line] == ["100%|##########"]


@pytest.mark.parametrize(
    ("progress", "total", "said"),
    [("blender", None, "need progress_total"), (None, 30, "progress_total had no effect"), (None, None, None)],
)
def test_a_progress_that_can_not_be_shown_is_told(
    server: PrefectServer, renting: Renting, progress: str | None, total: int | None, said: str | None
) -> None:
    ids: list[str] = []

    @flow
    def steps() -> None:
        ids.append(this_run())
        run = OctaJob(command="echo Saved: nothing", progress=progress, progress_total=total, **QUICK).trigger()
        run.wait_for_completion()

    steps()
    wait_for(lambda: any("was stopped; the job" in line for line in server.logs_of(ids[0])), "its end in the run's log")
    told = [line for line in server.logs_of(ids[0]) if "progress" in line]
    assert len(told) == (said is not None)
    assert (said or "") in "".join(told)


def test_a_prefect_api_that_is_away_costs_pictures_and_not_the_job(
    server: PrefectServer, renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    def away(**values: object) -> None:
        raise httpx.ConnectError("the API is away")

    monkeypatch.setattr("prefect_blocks.job_report.artifacts.create_table_artifact", away)

    @flow
    def steps() -> Any:
        run = OctaJob(command="true", **QUICK).trigger()
        run.wait_for_completion()
        return run.fetch_result()

    assert steps().succeeded
