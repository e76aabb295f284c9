"""What a rented machine writes reaches Prefect as harmless text; of the worker's settings it gets what it needs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_API_KEY,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    PREFECT_CLIENT_CUSTOM_HEADERS,
    PREFECT_LOGGING_LEVEL,
    get_current_settings,
    temporary_settings,
)
from prefect_server import PrefectServer
from renting import Renting

from octa_provider.errors import OctaConfigError
from octa_provider.models import Session
from octa_provider.rental.json_values import rental_json
from octa_provider.rental.rental import Rental
from octa_provider.text.carried import carried_dict
from prefect_blocks import tasks
from prefect_blocks.markdown import code, link
from prefect_blocks.worker_configuration import OctaJobConfiguration

EVIL = (
    "a`\n\n# Your key was revoked\n\n[log in](https:evil.example)\n\n![](https:evil.example?pixel)\n\n<img src=x>\n`b"
)


@pytest.mark.parametrize("text", [EVIL, "`", "``", "a`b``c```d", "", "plain", "x\x1b[31m\ud800"])
def test_a_name_is_one_code_span_that_nothing_in_it_ends(text: str) -> None:
    shown = code(text)
    fence = re.match("`+", shown)
    assert fence is not None
    assert "\n" not in shown
    assert shown.endswith(fence[0])
    inside = shown[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall("`+", inside)
    shown.encode()


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "https://a@b.example/", "https:evil", "x](y)"]
)
def test_what_is_no_web_page_is_no_link(url: str) -> None:
    assert link(url) == code(url)


def test_a_web_page_is_a_link_that_shows_where_it_leads() -> None:
    assert link("https://node.example:8080/a(b)?c=<d>") == "<https://node.example:8080/a%28b%29?c=%3Cd%3E>"


def test_a_job_whose_files_have_markdown_for_names_shows_their_names(
    server: PrefectServer, renting: Renting, tmp_path: Path
) -> None:
    name = EVIL.replace("/", "")
    command = "mkdir o; echo x > o/" + shlex.quote(name)

    @flow
    def job() -> str:
        tasks.run_job("alpine:3", command, outputs={"o": str(tmp_path / "o")}, poll_s=0.2)
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        return str(context.flow_run.id)

    flow_run_id = job()
    shown = [str(one["data"]) for one in server.artifacts_of(flow_run_id) if one["type"] == "markdown"]
    assert len(shown) == 1
    assert all(line.startswith("- ") for line in shown[0].splitlines())


def test_an_error_of_the_api_with_half_a_character_ends_the_flow_run(server: PrefectServer, renting: Renting) -> None:
    """It could not be told, so that the run stayed RUNNING for ever, and the reaper took it for alive."""

    @flow
    def job() -> None:
        body = r'{"message": "this key may not read logs \ud83d"}'
        renting.emulator.faults(
            {"kind": "status", "status": 403, "path": "/services/*/logs", "body": body, "times": None}
        )
        tasks.run_job("alpine:3", "echo hi; sleep 3600", poll_s=0.2)

    state = job(return_state=True)
    renting.emulator.clear_faults()
    assert state.is_failed()
    assert state.state_details.flow_run_id is not None
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(state.state_details.flow_run_id).state_type.value == "FAILED"  # type: ignore[union-attr]
    assert renting.running() == []


def test_what_a_task_returns_can_be_stored() -> None:
    session = Session.from_payload(
        {
            "uuid": "u",
            "ssh_web": "javascript:x",
            "urls": {"80": "data:x", "81": "https://p.example/"},
            "duration": 2**70,
        }
    )
    told: dict[str, Any] = rental_json(Rental("u\ud800", price_wei=2**70, key="k"), session)
    assert told["urls"] == {"81": "https://p.example/"}
    assert "ssh_web" not in told
    for value in (told, carried_dict({"charge_wei": 2**70, "termination_reason": "half \ud83d"})):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(value)) == value
        json.dumps(value).encode()


def test_of_the_workers_settings_only_what_a_flow_run_needs_goes_to_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings: dict[Any, Any] = {
        PREFECT_API_KEY: "pnu_secret",
        PREFECT_API_AUTH_STRING: "admin:secret",
        PREFECT_CLIENT_CUSTOM_HEADERS: {"X": "secret"},
        PREFECT_API_SSL_CERT_FILE: "/etc/worker/secret.pem",
        PREFECT_API_DATABASE_CONNECTION_URL: "postgresql+asyncpg://prefect:secret@db/prefect",
        PREFECT_API_URL: "https://prefect.example.com/api",
        PREFECT_LOGGING_LEVEL: "DEBUG",
    }
    for name in ("PREFECT_REDIS_MESSAGING_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    asked = {"HUGGING_FACE_TOKEN": "asked for"}
    configuration = OctaJobConfiguration(command="prefect flow-run execute", image="x", name="n", env=dict(asked))
    with temporary_settings(settings):
        assert "secret" in json.dumps(get_current_settings().to_environment_variables())
        configuration.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="f"))
    # Without its key the flow run would only bill: it is not begun.
    with pytest.raises(OctaConfigError, match="set the job variable via to ssh") as refused:
        configuration.spec()
    assert "admin" not in str(refused.value)
    envs = configuration.env
    assert "secret" not in json.dumps(dict(envs))
    assert envs["PREFECT_API_URL"] == "https://prefect.example.com/api"
    assert envs["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert envs["HUGGING_FACE_TOKEN"] == "asked for"
    assert "PREFECT__FLOW_RUN_ID" in envs
    assert configuration.secret_envs == {}
