"""The flow that is deployed as it is for one job; that for an animation has a file of its own."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from renting import Renting

from prefect_blocks import JobFailedError, OctaCredentials
from prefect_blocks.flows import run_job_flow

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("server")]

QUICK = {"poll_s": 0.3}


def test_a_job(renting: Renting) -> None:
    result = run_job_flow("alpine:3", "echo done", **QUICK)
    assert (result["exit_code"], result["outcome"]) == (0, "succeeded")
    assert int(result["cost_wei"]) == renting.sessions[0]["charge_wei"]


def test_a_job_that_fails_fails_the_flow(renting: Renting) -> None:
    with pytest.raises(JobFailedError, match="exit code 9"):
        run_job_flow("alpine:3", "exit 9", **QUICK)
    assert renting.running() == []


def test_a_job_on_the_account_of_a_saved_block(renting: Renting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow's parameters hold the block's name, and no key."""
    emulator = renting.emulator
    OctaCredentials(api_key=SecretStr(emulator.api_key), base_url=emulator.base_url).save("flows", overwrite=True)
    monkeypatch.delenv("OCTA_API_KEY")
    monkeypatch.delenv("OCTA_BASE_URL")
    assert run_job_flow("alpine:3", "true", credentials="flows", **QUICK)["exit_code"] == 0
