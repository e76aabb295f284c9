"""`octa-provider doctor` says whether Prefect is in place, what to type where it is not, and no key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pool import Pool
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_server import BIN, PrefectServer, start_process, with_more_time
from pydantic import SecretStr
from renting import Renting
from waiting_for import wait_for

from prefect_blocks import OctaCredentials
from prefect_blocks.doctor import prefect_findings

pytestmark = pytest.mark.e2e

REAPS = "from prefect_blocks.flows import reap_orphans_flow as r; r.serve('reaper', cron='*/15 * * * *')"


def found(text: str) -> tuple[bool | None, str]:
    """The one thing that was found whose text has this."""
    told = [one for one in prefect_findings() if text in one[1]]
    assert len(told) == 1, list(prefect_findings())
    return told[0]


@pytest.fixture
def no_reaper(server: PrefectServer) -> Iterator[None]:
    def delete() -> None:
        for one in server.post("/deployments/filter", flows={"name": {"any_": ["octa-reap-orphans"]}}):
            server.delete(f"/deployments/{one['id']}")

    delete()
    yield
    delete()


@pytest.mark.usefixtures("no_reaper")
def test_what_is_in_place_and_what_is_not(server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path) -> None:
    emulator = renting.emulator
    for name, key in (("of-doctor", emulator.api_key), ("of-doctor-wrong", "sentinel-wrong-key")):
        OctaCredentials(api_key=SecretStr(key), base_url=emulator.base_url).save(name, overwrite=True)
    unserved = Pool(server, renting, tmp_path)
    assert found(f"'{pool.name}'") == (
        False,
        f"the work pool '{pool.name}' has no worker: prefect worker start --pool {pool.name}",
    )
    assert found("reap_orphans_flow")[0] is False
    # A worker that is not heard of for three heartbeats counts as gone, and a busy machine holds it up.
    worker = pool.worker(PREFECT_WORKER_HEARTBEAT_SECONDS="600")
    serving = start_process([sys.executable, "-c", REAPS], tmp_path / "reaper.log", {})
    try:
        wait_for(lambda: found(f"the work pool '{pool.name}' has")[0], worker.output)
        wait_for(lambda: [one for one in prefect_findings() if one[0] and "reaper" in one[1]], "it is served")
        command = [BIN / "octa-provider", "doctor", "--json"]
        environment = {**os.environ, "PYTHONPATH": with_more_time()}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    finally:
        serving.kill()
    told = {one["text"]: one["ok"] for one in json.loads(done.stdout) if one["name"] == "Prefect"}
    assert done.returncode == 1, "an account and a pool are not in place"
    assert f"the work pool '{pool.name}' has a worker" in told, told
    assert told["the reaper octa-reap-orphans/reaper is served and scheduled"]
    assert told[f"the work pool '{unserved.name}' has no worker: prefect worker start --pool {unserved.name}"] is False
    assert any(ok and text.startswith("the account 'of-doctor' answers, balance") for text, ok in told.items())
    assert any(
        ok is False and text.startswith("the account 'of-doctor-wrong' has to be corrected")
        for text, ok in told.items()
    )
    for secret in ("sentinel", emulator.api_key):
        assert secret not in done.stdout + done.stderr


@pytest.mark.usefixtures("no_reaper")
def test_a_reaper_that_never_comes_is_told(server: PrefectServer) -> None:
    flow = server.post("/flows/", name="octa-reap-orphans")["id"]
    deployment = server.post("/deployments/", name="mine", flow_id=flow)["id"]
    assert "prefect deployment schedule create octa-reap-orphans/mine --cron" in found("reaper octa-reap")[1]
    schedule = {"schedule": {"cron": "0 3 1 1 *", "timezone": "UTC"}, "active": True}
    server.ask("POST", f"/deployments/{deployment}/schedules", json=[schedule])
    ok, text = found("reaper octa-reap")
    assert ok is False
    assert "is served by nobody" in text


def test_a_pool_of_an_earlier_release_is_told_how_to_get_the_new_form(
    server: PrefectServer, renting: Renting, pool: Pool
) -> None:
    assert not [text for _, text in prefect_findings() if f"update {pool.name}" in text]
    template = server.ask("GET", f"/work_pools/{pool.name}").json()["base_job_template"]
    del template["variables"]["if"], template["variables"]["else"]
    server.ask("PATCH", f"/work_pools/{pool.name}", json={"base_job_template": template})
    assert found(f"prefect work-pool update {pool.name} --base-job-template octa.json")[0] is False


class Refuses(BaseHTTPRequestHandler):
    """An API that does not know who asks."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *args: object) -> None: ...


def test_an_api_that_does_not_answer_or_refuses_is_told_without_its_password() -> None:
    with temporary_settings({PREFECT_API_URL: "http://me:sentinel@127.0.0.1:9/api"}):
        ok, text = list(prefect_findings())[-1]
    assert (ok, text.startswith("the API at http://127.0.0.1:9/api can't be asked (ConnectError)")) == (False, True)
    with HTTPServer(("127.0.0.1", 0), Refuses) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        url = f"http://me:sentinel@127.0.0.1:{http.server_port}/api"
        with temporary_settings({PREFECT_API_URL: url}):
            refused = list(prefect_findings())[-1]
        http.shutdown()
    assert refused[0] is False
    assert "refuses the key: prefect cloud login" in refused[1]
    assert "sentinel" not in text + refused[1]


def test_no_api_at_all_is_no_fault() -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        *_, last = prefect_findings()
    assert last[0] is None
    assert "prefect config set PREFECT_API_URL=" in last[1]


def test_versions_that_break_prefect_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import octa_provider.cli.output.orchestrator_findings as module

    assert next(iter(prefect_findings()))[0] is True
    monkeypatch.setattr(module, "version", {"prefect": "3.8.8", "fastapi": "0.165.0", "sqlalchemy": "2.1.9"}.get)
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        told = [text for ok, text in prefect_findings() if ok is False]
    assert told == [
        "fastapi is 0.165.0, which does not work: pip install 'fastapi<0.151'",
        "sqlalchemy is 2.1.9, which does not work: pip install 'sqlalchemy<2.1'",
    ]
