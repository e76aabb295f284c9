"""The worker's key to Prefect's API, and other secrets, reach flow runs on machines over SSH, and OctaSpace never."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import prefect.settings
import pytest
from pool import ENGINE, Pool
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.client.schemas.objects import FlowRun
from prefect.settings import temporary_settings
from prefect_server import PrefectServer
from pydantic import SecretStr
from renting import Renting
from waiting_for import wait_for

from octa_provider.errors import OctaConfigError
from prefect_blocks import OctaWorker
from prefect_blocks.secret_values import shown_values
from prefect_blocks.worker_configuration import OctaJobConfiguration

#: As a file for `prefect deploy` names a block, which would put the value where braces stand.
NAMED = "prefect.blocks.secret.hf-token"
KEY, TOKEN = "pnu_sentinel-of-the-worker", "hf_sentinel-of-a-block"
#: Every login is refused.
CLOSED = {"refusals": 1_000_000}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def told(folder: Path) -> dict[str, str]:
    return dict(json.loads((folder / "told").read_text()))


def assert_octaspace_knows_none(renting: Renting) -> None:
    ledger = json.dumps(renting.emulator.ledger())
    with renting.client() as client:
        ledger += json.dumps([one.raw for one in (*client.sessions.list(), *client.sessions.list(recent=True))])
    assert "sentinel" not in ledger


@pytest.mark.e2e
def test_secrets_reach_the_flow_run_and_not_octaspace(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    """By a saved block, whose text is in no job variable; the worker's key goes along, since the run goes over SSH."""
    Secret(value=TOKEN).save("hf-token", overwrite=True)
    worker = pool.worker(PREFECT_API_KEY=KEY)
    by_name = {"HF_TOKEN": "{{ prefect.blocks.secret.hf-token }}"}
    runs = [pool.submit("tells", {"folder": str(tmp_path)}, secret_envs=by_name)]
    server.wait_for_state(runs[0], "Completed")
    assert told(tmp_path) == {"PREFECT_API_KEY": sha(KEY), "HF_TOKEN": sha(TOKEN)}
    (tmp_path / "told").unlink()
    runs.append(pool.submit("tells", {"folder": str(tmp_path)}, via="ssh"))
    server.wait_for_state(runs[1], "Completed")
    assert told(tmp_path) == {"PREFECT_API_KEY": sha(KEY)}
    (tmp_path / "told").unlink()
    in_the_plain = {f"env.{name}": text for name, text in by_name.items()}
    runs.append(pool.submit("tells", {"folder": str(tmp_path)}, **in_the_plain))
    server.wait_for_state(runs[2], "Completed")
    assert told(tmp_path) == {"PREFECT_API_KEY": sha(KEY), "HF_TOKEN": sha(TOKEN)}
    renting.wait_until_none_runs()
    wait_for(lambda: "was stopped after" in worker.output, "it says what it did")
    for run in runs:
        wait_for(lambda run=run: any("was stopped after" in line for line in server.logs_of(run)), "the log")
        assert "sentinel" not in json.dumps([server.flow_run(run), server.logs_of(run)])
    assert "sentinel" not in worker.output
    assert_octaspace_knows_none(renting)
    for path in (*server.home.rglob("*"), *(renting.emulator.state / "sessions").rglob("*")):
        if path.is_file():
            assert b"sentinel-of" not in path.read_bytes(), f"it is in {path}"


@pytest.mark.e2e
def test_without_ssh_the_workers_key_stays_and_secrets_are_refused(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    Secret(value=TOKEN).save("hf-token", overwrite=True)
    worker = pool.worker(PREFECT_API_KEY=KEY)
    run = pool.submit("tells", {"folder": str(tmp_path)})
    server.wait_for_state(run, "Completed")
    assert told(tmp_path) == {}
    assert "set the job variable via to ssh" in worker.output
    # As one does that Prefect's API refuses: the page of the flow run says what to do.
    refused = pool.submit("tells", {"folder": str(tmp_path)}, command="echo 401 Unauthorized; exit 1")
    server.wait_for_state(refused, "Crashed")
    assert "set the job variable via to ssh" in server.flow_run(refused)["state"]["message"]
    renting.wait_until_none_runs()
    sessions = len(renting.sessions)
    run = pool.submit("tells", {"folder": str(tmp_path)}, via="container", secret_envs={"HF_TOKEN": NAMED})
    server.wait_for_state(run, "Crashed")
    assert "only SSH keeps secrets (HF_TOKEN) from OctaSpace's API" in server.flow_run(run)["state"]["message"]
    assert len(renting.sessions) == sessions
    assert_octaspace_knows_none(renting)


@pytest.mark.e2e
def test_an_api_that_wants_a_key_is_not_asked_without_one_by_a_machine_that_is_paid(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    pool.worker(PREFECT_API_AUTH_STRING=KEY)
    run = pool.submit("tells", {"folder": str(tmp_path)})
    server.wait_for_state(run, "Crashed")
    told = server.flow_run(run)["state"]["message"]
    assert "Nothing was rented: without a key Prefect's API refuses the flow run" in told
    assert "secret_envs.PREFECT_API_AUTH_STRING to prefect.blocks.secret.NAME" in told
    assert renting.sessions == []
    assert "sentinel" not in told


@pytest.mark.e2e
def test_a_key_that_can_not_be_read_crashes_the_flow_run_before_anything_is_paid(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    (tmp_path / "id").write_text("no key")
    pool.worker(OCTA_SSH_KEY_FILE=str(tmp_path / "id"))
    run = pool.submit("tells", {"folder": str(tmp_path)}, via="ssh")
    server.wait_for_state(run, "Crashed")
    assert "can't be read as a private key" in server.flow_run(run)["state"]["message"]
    assert renting.sessions == []


@pytest.mark.e2e
@pytest.mark.parametrize("moment", ["before it is begun", "while it runs"])
def test_the_next_worker_sees_a_flow_run_over_ssh_to_its_end(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path, moment: str
) -> None:
    first = pool.worker(PREFECT_API_KEY=KEY)
    if moment == "before it is begun":
        renting.emulator.ssh(**CLOSED)
    run = pool.submit("works", {"folder": str(tmp_path)}, via="ssh", command=ENGINE)
    wait_for(lambda: server.flow_run(run)["infrastructure_pid"], "the machine is known")
    if moment == "while it runs":
        wait_for((tmp_path / "runs").exists, "the flow runs")
    else:
        with renting.client() as client:
            wait_for(lambda: client.sessions.list()[0].is_ready, "the machine is up")
    first.kill()
    renting.emulator.ssh()
    pool.worker(PREFECT_API_KEY=KEY)
    wait_for((tmp_path / "runs").exists, "the flow runs")
    (tmp_path / "end").touch()
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 1
    assert_octaspace_knows_none(renting)


@pytest.mark.e2e
def test_cancelled_while_the_machine_lets_nobody_in(server: PrefectServer, renting: Renting, pool: Pool) -> None:
    """Nothing runs there yet that could use the grace."""
    renting.emulator.ssh(**CLOSED)
    try:
        pool.worker()
        run = pool.submit("greets", via="ssh", cancel_grace_s=600)
        wait_for(lambda: server.flow_run(run)["infrastructure_pid"], "the machine is known")
        time.sleep(2)
        server.set_state(run, "CANCELLING")
        server.wait_for_state(run, "Cancelled")
        renting.wait_until_none_runs()
    finally:
        renting.emulator.ssh()


@pytest.mark.e2e
def test_cancelled_over_ssh_while_the_flow_runs(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    pool.worker()
    run = pool.submit("works", {"folder": str(tmp_path)}, via="ssh")
    wait_for((tmp_path / "runs").exists, "the flow runs")
    server.set_state(run, "CANCELLING")
    server.wait_for_state(run, "Cancelled")
    renting.wait_until_none_runs()


@pytest.mark.e2e
def test_a_worker_that_ends_leaves_a_machine_that_it_can_not_reach_to_the_next_one(
    server: PrefectServer, renting: Renting, pool: Pool, tmp_path: Path
) -> None:
    renting.emulator.ssh(**CLOSED)
    first = pool.worker("first")
    run = pool.submit("works", {"folder": str(tmp_path)}, via="ssh", command=ENGINE)
    wait_for(lambda: server.flow_run(run)["infrastructure_pid"], "the machine is known")
    time.sleep(2)
    pool.end_of(first)
    assert len(renting.running()) == 1
    assert server.state_of(run) not in ("Crashed", "Cancelled")
    renting.emulator.ssh()
    pool.worker("first")
    (tmp_path / "end").touch()
    server.wait_for_state(run, "Completed")
    renting.wait_until_none_runs()
    assert len(renting.sessions) == 1


# -- what the configuration comes to -----------------------------------------------------------------------------


def prepared(own: dict[str, Any], **variables: Any) -> OctaJobConfiguration:
    """Job variables of a flow run, with what the worker itself has been told."""
    told_it = {"PREFECT_API_URL": "https://prefect.example/api", **own}
    configuration = OctaJobConfiguration(command="true", image="alpine:3", name="n", **{"env": {}} | variables)
    with temporary_settings({getattr(prefect.settings, name): value for name, value in told_it.items()}):
        configuration.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="f"))
    return configuration


Secrets = dict[str, str]
WORKERS = {"PREFECT_API_KEY": KEY, "PREFECT_API_AUTH_STRING": "admin:sentinel"}
MADE = "pnu_sentinel-made-for-it"


@pytest.mark.parametrize(
    ("own", "variables", "secrets"),
    [
        (WORKERS, {"via": "ssh"}, WORKERS),
        (WORKERS, {"secret_envs": {"HF_TOKEN": TOKEN}}, {"HF_TOKEN": TOKEN} | WORKERS),
        (WORKERS, {"secret_envs": {"PREFECT_API_KEY": MADE}}, {"PREFECT_API_KEY": MADE}),
        (WORKERS, {"env": {"PREFECT_API_KEY": MADE}}, {"PREFECT_API_KEY": MADE}),
        (WORKERS, {"env": {"PREFECT_API_AUTH_STRING": MADE}, "via": "ssh"}, {"PREFECT_API_AUTH_STRING": MADE}),
        ({"PREFECT_API_KEY": KEY}, {"env": {"PREFECT_API_KEY": None}, "via": "ssh"}, {}),
        ({"PREFECT_API_KEY": KEY}, {"env": {"PREFECT_API_KEY": ""}, "via": "ssh"}, {}),
        ({}, {"env": {"OCTA_API_KEY": MADE}}, {"OCTA_API_KEY": MADE}),
        ({}, {"env": {"PREFECT_SERVER_API_AUTH_STRING": MADE}}, {"PREFECT_SERVER_API_AUTH_STRING": MADE}),
        (
            {"PREFECT_API_URL": "https://me:sentinel@prefect.example/api"},
            {},
            {"PREFECT_API_URL": "https://me:sentinel@prefect.example/api"},
        ),
        ({}, {"secret_envs": {"PREFECT_API_URL": "https://a.example"}}, {"PREFECT_API_URL": "https://a.example"}),
        ({"PREFECT_CLIENT_CUSTOM_HEADERS": {"X": "sentinel"}}, {"via": "ssh"}, {}),
    ],
)
def test_keys_are_secrets_wherever_they_come_from(
    renting: Renting, own: dict[str, Any], variables: dict[str, Any], secrets: Secrets
) -> None:
    configuration = prepared(own, **variables)
    spec = configuration.spec()
    assert spec.secret_envs == secrets
    assert spec.over_ssh == bool(secrets or variables.get("via") == "ssh")
    assert "sentinel" not in json.dumps(spec.request("").payload(1))
    shows: list[Callable[[object], str]] = [repr, str, lambda one: json.dumps(one.model_dump(mode="json"))]  # type: ignore[attr-defined]
    assert not any("sentinel" in show(configuration) for show in shows)
    assert "PREFECT_API_URL" in (spec.envs | spec.secret_envs)


BY_NAME = "{{ prefect.blocks.secret.hf-token }}"


@pytest.mark.parametrize(
    ("of_pool", "values", "plain", "secrets"),
    [
        ({}, {"env": {"A": BY_NAME, "B": "typed"}}, {"B": "typed"}, {"A": TOKEN}),
        ({}, {"env.A": BY_NAME, "env": {"B": "typed"}}, {"B": "typed"}, {"A": TOKEN}),
        ({"A": BY_NAME}, {"env": {"B": "typed"}}, {"B": "typed"}, {"A": TOKEN}),
        ({"A": BY_NAME}, {"env": {"A": "typed"}}, {"A": "typed"}, {}),
        ({}, {"env": {"A": f"Bearer {BY_NAME}"}}, {}, {"A": f"Bearer {TOKEN}"}),
        ({}, {"secret_envs": {"A": NAMED}}, {}, {"A": TOKEN}),
        ({}, {"secret_envs": {"A": f"{NAMED}.value"}}, {}, {"A": TOKEN}),
        ({}, {"secret_envs.A": NAMED}, {}, {"A": TOKEN}),
        ({}, {"secret_envs": {"A": f"Bearer {BY_NAME}"}}, {}, {"A": f"Bearer {TOKEN}"}),
        ({"A": NAMED}, {"env": {"B": NAMED}}, {}, {"A": TOKEN, "B": TOKEN}),
        ({}, {"env": {"A": BY_NAME}, "secret_envs": {"A": MADE}}, {}, {"A": MADE}),
        ({}, {"env": {"A": None, "B": "{{ prefect.variables.nothing }}"}}, {"A": None, "B": ""}, {}),
    ],
)
def test_what_a_block_gives_to_a_plain_variable_is_a_secret(
    server: PrefectServer,
    of_pool: dict[str, str],
    values: dict[str, Any],
    plain: dict[str, Any],
    secrets: Secrets,
) -> None:
    Secret(value=TOKEN).save("hf-token", overwrite=True)
    template = OctaWorker.get_default_base_job_template()
    template["variables"]["properties"]["env"]["default"] = of_pool
    configuration = asyncio.run(OctaJobConfiguration.from_template_and_values(template, values))
    assert configuration.env == plain
    assert shown_values(configuration.secret_envs) == secrets
    assert "sentinel" not in repr(configuration)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"secret_envs": {"A": "typed-sentinel"}}, r"secret_envs has values \(A\), .*prefect.blocks.secret.NAME"),
        ({"secret_envs.A": "typed-sentinel"}, r"secret_envs has values \(A\)"),
        ({}, r"secret_envs has values \(A\)"),
        ({"secret_envs": {"A": NAMED, "sentinel b": "typed"}}, r"secret_envs has values \(one that is no name\)"),
    ],
)
def test_a_value_that_prefect_has_stored_is_refused_before_anything_is_paid(
    server: PrefectServer, renting: Renting, variables: dict[str, Any], said: str
) -> None:
    """A work pool of an earlier release takes it; a machine that there is already is looked for all the same."""
    Secret(value=TOKEN).save("hf-token", overwrite=True)
    template = OctaWorker.get_default_base_job_template()
    if not variables:
        # Prefect's server does not look at what a work pool itself is given.
        template["variables"]["properties"]["secret_envs"]["default"] = {"A": "typed-sentinel"}
    configuration = asyncio.run(OctaJobConfiguration.from_template_and_values(template, variables))
    with pytest.raises(OctaConfigError, match=said) as refused:
        configuration.spec()
    assert "sentinel" not in str(refused.value)


class Several(Block):
    """A block of somebody's own."""

    token: SecretStr
    region: str = "eu"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("prefect.blocks.secret.no-such", "there is no prefect.blocks.secret.no-such: save that block"),
        ("prefect.blocks.several.mine", "prefect.blocks.several.mine is no text"),
        ("prefect.blocks.several.mine.other", "there is no prefect.blocks.several.mine.other"),
    ],
)
def test_a_block_that_gives_no_text_is_told_by_its_name(
    server: PrefectServer, renting: Renting, name: str, said: str
) -> None:
    Several(token=SecretStr(TOKEN)).save("mine", overwrite=True)
    template = OctaWorker.get_default_base_job_template()
    values = {"secret_envs": {"A": name}}
    with pytest.raises(OctaConfigError, match=said) as refused:
        asyncio.run(OctaJobConfiguration.from_template_and_values(template, values))
    assert "sentinel" not in str(refused.value)
    values = {"secret_envs": {"A": "prefect.blocks.several.mine.token"}}
    configuration = asyncio.run(OctaJobConfiguration.from_template_and_values(template, values))
    assert shown_values(configuration.secret_envs) == {"A": TOKEN}


@pytest.mark.parametrize("via", ["auto", "container"])
def test_prefect_cloud_is_not_asked_without_a_key_by_a_machine_that_is_paid(renting: Renting, via: str) -> None:
    own = {"PREFECT_API_KEY": KEY, "PREFECT_API_URL": "https://api.prefect.cloud/api/accounts/a/workspaces/w"}
    with pytest.raises(OctaConfigError, match=r"or better secret_envs\.PREFECT_API_KEY to ") as refused:
        prepared(own, via=via).spec()
    assert "\n" not in str(refused.value)
    assert "sentinel" not in str(refused.value)
    for variables in ({"via": "ssh"}, {"secret_envs": {"PREFECT_API_KEY": MADE}}, {"env": {"PREFECT_API_KEY": ""}}):
        prepared(own, **variables).spec()


@pytest.mark.parametrize("via", ["auto", "container"])
def test_a_key_that_stays_is_told_in_one_sentence(renting: Renting, caplog: pytest.LogCaptureFixture, via: str) -> None:
    with caplog.at_level(logging.WARNING):
        spec = prepared({"PREFECT_API_KEY": KEY}, via=via).spec()
    assert (spec.secret_envs, spec.over_ssh) == ({}, False)
    (said,) = [one.getMessage() for one in caplog.records if one.name == "prefect_blocks.worker_configuration"]
    assert "key to Prefect's API stays here" in said
    assert "secret_envs.PREFECT_API_KEY" in said
    assert "sentinel" not in caplog.text


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"via": "container", "secret_envs": {"HF_TOKEN": TOKEN}}, r"only SSH keeps secrets \(HF_TOKEN\)"),
        ({"via": "container", "env": {"PREFECT_API_KEY": KEY}}, r"only SSH keeps secrets \(PREFECT_API_KEY\)"),
        ({"env": {"HF_TOKEN": "x"}, "secret_envs": {"HF_TOKEN": TOKEN}}, "HF_TOKEN is in envs and in secret_envs"),
        ({"secret_envs": {"no name": TOKEN}}, "one of the names is not a name"),
    ],
)
def test_secrets_that_can_not_be_handed_over_are_refused_unseen(
    renting: Renting, variables: dict[str, Any], said: str
) -> None:
    with pytest.raises(OctaConfigError, match=said) as refused:
        prepared({}, **variables).spec()
    assert "sentinel" not in str(refused.value)
