"""The flow that is deployed as it is for one job; that for an animation has a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import pytest
from pydantic import SecretStr
from renting import Renting

from prefect_blocks import JobFailedError, OctaCredentials, flows, tasks
from prefect_blocks.flows import run_job_flow

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("server")]

QUICK: dict[str, Any] = {"poll_s": 0.3}


def test_a_job(renting: Renting) -> None:
    result = run_job_flow("alpine:3", "echo done", **QUICK)
    assert (result["exit_code"], result["outcome"]) == (0, "succeeded")
    assert int(result["cost_wei"]) == renting.sessions[0]["charge_wei"]


def test_it_has_all_that_the_task_has_and_hands_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for what is no value that Prefect could store as a parameter, or that there is one of in a flow run."""
    of_task, of_flow = (signature(one).parameters for one in (tasks.run_job.fn, run_job_flow.fn))
    assert set(of_task) - set(of_flow) == {"on_event", "key"}
    assert [name for name in of_flow if of_flow[name].default != of_task[name].default] == [
        "credentials",
        *(name for name in of_flow if name in ("http_ports", "ports")),
    ]
    told: dict[str, Any] = {}
    monkeypatch.setattr(flows, "run_job", lambda image, command, **values: told.update(values) or {})
    given = {name: object() for name in of_flow if name not in ("image", "command", "credentials", "secret_envs")}
    run_job_flow.fn("alpine:3", "true", **given)
    assert {name: told[name] for name in given} == given


def test_another_machine_is_tried_when_one_never_comes_up(
    renting: Renting, time_passes: Callable[[float], None]
) -> None:
    with renting.first_never_up(time_passes):
        result = run_job_flow("alpine:3", "true", start_attempts=2, name="two", **QUICK)
    assert (result["exit_code"], len(result["tried"]), len(renting.sessions)) == (0, 1, 2)
    assert renting.running() == []


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
