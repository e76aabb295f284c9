"""The account's key, looked for in everything that Prefect's server has written down, and in every log."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import send_what_waits
from prefect import flow, get_run_logger
from prefect_server import PrefectServer, start_prefect_server, start_process
from pydantic import SecretStr
from shots import ONE_MACHINE, shot
from waiting_for import wait_for

from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from prefect_blocks import FramesMissingError, OctaCredentials, OctaJob, OctaRenderBatch, OctaWorker
from prefect_blocks.flows import plan_render_flow, render_animation_flow
from prefect_blocks.worker_configuration import OctaJobConfiguration

pytestmark = [pytest.mark.e2e]

KEY = "sentinel-key-that-never-shows-0123456789"
SSH_KEY = "-----BEGIN sentinel PRIVATE KEY-----"
FLOWS = Path(__file__).parent / "flows"


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    with start_emulator(machines=6, api_key=KEY) as emulator:
        yield emulator


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[PrefectServer]:
    """A server of its own, whose whole home is looked through."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    before = os.environ.get("PREFECT_API_URL")
    with start_prefect_server(tmp_path / "server") as server, temporary_settings({PREFECT_API_URL: server.api_url}):
        os.environ["PREFECT_API_URL"] = server.api_url
        yield server
        send_what_waits()
    if before is None:
        del os.environ["PREFECT_API_URL"]
    else:
        os.environ["PREFECT_API_URL"] = before


def account(emulator: EmulatorHandle) -> OctaCredentials:
    return OctaCredentials(api_key=SecretStr(KEY), base_url=emulator.base_url)


def assert_nowhere_below(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert KEY.encode() not in path.read_bytes(), f"the key is in {path}"
        assert SSH_KEY.encode() not in path.read_bytes(), f"the SSH key is in {path}"


@pytest.mark.parametrize("show", [repr, str, lambda one: json.dumps(one.model_dump(mode="json"), default=str)])
def test_not_in_a_block_nor_in_a_configuration(emulator: EmulatorHandle, show: Any) -> None:
    credentials = account(emulator).model_copy(update={"ssh_private_key": SecretStr(SSH_KEY)})
    values = [
        credentials,
        OctaJob(image="alpine:3", command="true", credentials=credentials),
        OctaJobConfiguration(credentials=credentials, command="true", env={}),
        OctaRenderBatch(credentials=credentials),
    ]
    for value in values:
        assert KEY not in show(value)
        assert SSH_KEY not in show(value)


def test_not_in_a_work_pool_s_template() -> None:
    os.environ["OCTA_API_KEY"] = KEY
    try:
        assert KEY not in json.dumps(OctaWorker.get_default_base_job_template())
    finally:
        del os.environ["OCTA_API_KEY"]


def test_not_in_what_the_machine_is_told(emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's own key stays with the worker, also when it is in the worker's environment."""
    monkeypatch.setenv("OCTA_API_KEY", KEY)
    configuration = OctaJobConfiguration(credentials=account(emulator), command="true", env={"OCTA_BASE_URL": "x"})
    spec = configuration.spec()
    assert KEY not in repr(spec)
    assert KEY not in json.dumps(dict(spec.envs))


def test_nowhere_in_what_flows_worker_and_server_write(
    emulator: EmulatorHandle, own_server: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A saved block, a job that works, one that fails, a refused key, a pool with the block, a run on a machine."""
    server = own_server
    for name in ("OCTA_API_KEY", "OCTA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    account(emulator).save("sentinel")
    wrong = OctaCredentials(api_key=SecretStr(f"{KEY}-but-wrong"), base_url=emulator.base_url, retries=0)

    @flow(persist_result=True)
    def steps(credentials: OctaCredentials, command: str) -> Any:
        from prefect_blocks import tasks

        get_run_logger().warning("with %r and %s", credentials, credentials)
        return tasks.run_job("alpine:3", command, poll_s=0.2, credentials=credentials)

    # A block as a parameter: what Prefect stores of it is up to Prefect, and must hold no key either.
    steps(account(emulator), "env; echo works")
    for credentials, command in ((account(emulator), "exit 3"), (wrong, "true")):
        state = steps(credentials, command, return_state=True)
        assert state.is_failed()
        assert KEY not in str(state.message)

    template = OctaWorker.get_default_base_job_template()
    server.post("/work_pools/", name="sentinel", type="octa", base_job_template=template)
    flow_id = server.post("/flows/", name="greets")["id"]
    env = {"PATH": str(Path(sys.executable).parent), "PREFECT_API_URL": server.api_url}
    deployment = server.post(
        "/deployments/",
        name="sentinel",
        flow_id=flow_id,
        work_pool_name="sentinel",
        entrypoint="machine_flows.py:greets",
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(FLOWS)}}],
        job_variables={
            "credentials": {"$ref": {"block_document_id": server.block_id("octaspace-credentials", "sentinel")}},
            "env": env,
            "image": "prefect:3",
            "poll_s": 0.5,
        },
        enforce_parameter_schema=False,
    )
    run = server.post(f"/deployments/{deployment['id']}/create_flow_run", state={"type": "SCHEDULED"})["id"]
    worker = start_process(
        [Path(sys.executable).parent / "prefect", "worker", "start", "--pool", "sentinel", "--type", "octa"],
        tmp_path / "worker.log",
        {
            "PREFECT_HOME": str(tmp_path / "worker-home"),
            "PREFECT_API_URL": server.api_url,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_LOGGING_LEVEL": "DEBUG",
            "OCTA_API_KEY": f"{KEY}-of-the-environment",
        },
    )
    try:
        server.wait_for_state(run, "Completed")
        wait_for(lambda: not emulator.ledger(requests=False)["running_uuids"], "its machine is gone")
    finally:
        worker.kill()

    assert KEY not in json.dumps(server.flow_run(run))
    assert KEY not in json.dumps(server.logs_of(run))
    assert "printed in the machine" in worker.output
    assert KEY not in worker.output
    with account(emulator).get_client() as client:
        finished = client.sessions.list(recent=True)
        assert finished
        assert not any(KEY in json.dumps(session.user_envs) for session in finished)
    # The database last: events and logs are written a moment later.
    wait_for(lambda: server.post("/events/filter", filter={})["events"], "events")
    wait_for(lambda: server.logs_of(run), "logs")
    written = b"".join(path.read_bytes() for path in (tmp_path / "server").glob("prefect.db*"))
    assert b"logged in the machine" in written, "what the server knows can be read there"
    assert_nowhere_below(tmp_path / "server")
    assert_nowhere_below(emulator.state / "sessions")


def test_nowhere_in_what_renders_write(
    emulator: EmulatorHandle, own_server: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quote, a render that works and one that fails, on a saved account: in the server, the folder, the error."""
    for name in ("OCTA_API_KEY", "OCTA_BASE_URL", "OCTA_SSH_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    pem = emulator.ssh_private_key.read_text()
    account(emulator).model_copy(update={"ssh_private_key": SecretStr(pem)}).save("renders")
    given = shot(tmp_path / "shot", "1-3", **ONE_MACHINE) | {"credentials": "renders"}
    quote = plan_render_flow.with_options(persist_result=True)(**given)
    render_animation_flow.with_options(persist_result=True)(**given, quote=quote)
    broken = {"renderer": {"image": "x", "command": "sh -c 'env; exit 3' {frame}"}, "output": str(tmp_path / "broken")}
    with pytest.raises(FramesMissingError) as raised:
        render_animation_flow(**given | broken)
    assert KEY not in f"{raised.value!r} {raised.value.totals}"
    wait_for(lambda: b"octa-render-cost" in written_by(own_server), "the artifacts are in the database")
    body = pem.splitlines()[1].encode()
    for folder in (tmp_path / "server", tmp_path / "shot", tmp_path / "broken"):
        assert_nowhere_below(folder)
        assert not any(body in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def written_by(server: PrefectServer) -> bytes:
    return b"".join(path.read_bytes() for path in server.home.glob("prefect.db*"))
