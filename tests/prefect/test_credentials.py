"""The blocks, by Prefect's own standards and ours."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from prefect import flow
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from prefect_server import PrefectServer
from pydantic import SecretStr
from renting import Renting

from prefect_blocks import OctaCredentials, OctaJob, OctaRenderBatch
from prefect_blocks.credentials import credentials_named

KEY = "a-key-that-never-shows"


@pytest.mark.parametrize("block", [OctaCredentials, OctaJob, OctaRenderBatch])
class TestStandards(BlockStandardTestSuite):
    @pytest.fixture
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        return request.param

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Prefect's own test fetches the picture. There is no network here: only that it is an https URL is tested."""
        assert urlsplit(str(block._logo_url)).scheme == "https"


@pytest.mark.parametrize(
    "show", [repr, str, lambda block: block.model_dump_json(), lambda block: f"{block.get_client()!r}"]
)
def test_the_key_never_shows(show: Any) -> None:
    block = OctaCredentials(
        api_key=SecretStr(KEY), base_url="http://127.0.0.1:1", ssh_private_key=SecretStr(f"ssh-{KEY}")
    )
    assert KEY not in show(block)


def test_saved_and_loaded(server: PrefectServer, renting: Renting) -> None:
    emulator = renting.emulator
    block = OctaCredentials(
        api_key=SecretStr(emulator.api_key),
        base_url=emulator.base_url,
        timeout_s=500,
        retries=0,
        ssh_private_key=SecretStr(emulator.ssh_private_key.read_text()),
    )
    block.save("emulated", overwrite=True)
    loaded = credentials_named("emulated")
    assert loaded.private_key == emulator.ssh_private_key.read_text()
    with loaded.get_client() as client:
        assert len(client.services.mr.available()) == 12
    assert emulator.api_key not in str(server.post("/block_documents/filter", include_secrets=False))


def test_without_fields_the_environment_counts(renting: Renting) -> None:
    with OctaCredentials().get_client() as client:
        assert client.base_url == renting.emulator.base_url
        client.accounts.balance()


def test_a_key_that_was_pasted_into_the_form_opens_a_machine(
    server: PrefectServer, renting: Renting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password field of Prefect's newer UI takes the line ends out."""
    monkeypatch.delenv("OCTA_SSH_KEY_FILE")
    pasted = renting.emulator.ssh_private_key.read_text().replace("\n", "")
    OctaCredentials(ssh_private_key=SecretStr(pasted)).save("pasted", overwrite=True)

    @flow
    def steps() -> int | None:
        job = OctaJob(credentials=credentials_named("pasted"), image="alpine:3", command="true", via="ssh", poll_s=0.2)
        run = job.trigger()
        run.wait_for_completion()
        return run.fetch_result().exit_code

    assert steps() == 0
    assert renting.running() == []


def test_a_field_that_is_none_counts_as_empty() -> None:
    credentials = OctaCredentials(api_key=None, base_url=None, ssh_private_key=None)
    assert (credentials.api_key.get_secret_value(), credentials.base_url, credentials.private_key) == ("", "", None)


def test_forms_begin_with_what_is_needed_and_ask_for_no_type() -> None:
    from prefect_blocks import OctaWorker

    job = list(OctaJob.model_json_schema()["properties"])
    assert job[:3] == ["credentials", "image", "command"]
    pool = list(OctaWorker.get_default_base_job_template()["variables"]["properties"])
    assert pool.index("image") < pool.index("node_id")
    assert all("anyOf" not in field for field in OctaCredentials.model_json_schema()["properties"].values())
