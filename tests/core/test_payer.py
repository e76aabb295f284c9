"""An organisation that pays for machines: named once, for all that a client rents, or in one request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from octa_provider import JobSpec, MachineRequest, OctaClient, OctaConfigError, RenderRequest, VpnRequest
from octa_provider.emulator.testing import EmulatorHandle, start_emulator


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    with start_emulator() as handle:
        yield handle


@pytest.fixture
def of_organization(emulator: EmulatorHandle) -> Iterator[OctaClient]:
    with OctaClient(emulator.api_key, base_url=emulator.base_url, organization_id=77, project_id="art") as client:
        yield client


def last_payer(emulator: EmulatorHandle) -> tuple[Any, Any]:
    session = emulator.ledger()["sessions"][-1]
    return session["organization_id"], session["project_id"]


@pytest.mark.parametrize(
    ("own", "paid"),
    [
        ({}, (77, "art")),
        ({"organization_id": 5}, (5, None)),
        ({"organization_id": "5", "project_id": 6}, (5, 6)),
    ],
)
def test_what_a_client_rents_is_paid_by_its_organization_unless_the_request_says_who(
    emulator: EmulatorHandle, of_organization: OctaClient, own: dict[str, Any], paid: tuple[Any, Any]
) -> None:
    request = MachineRequest("ubuntu:24.04", start_command="sleep 60", **own)
    with of_organization.rentals.rent(request, key=f"payer/{len(own)}"):
        assert last_payer(emulator) == paid


def test_a_job_is_paid_by_the_clients_organization(emulator: EmulatorHandle, of_organization: OctaClient) -> None:
    assert of_organization.jobs.run(JobSpec("ubuntu:24.04", "true"), "payer/job", poll_s=0.05).exit_code == 0
    assert last_payer(emulator) == (77, "art")


def test_the_environment_names_the_organization(emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    request = MachineRequest("ubuntu:24.04", start_command="sleep 60")
    monkeypatch.setenv("OCTA_ORGANIZATION_ID", " 78 ")
    monkeypatch.setenv("OCTA_PROJECT_ID", "9")
    with (
        OctaClient(emulator.api_key, base_url=emulator.base_url) as client,
        client.rentals.rent(request, key="payer/e"),
    ):
        assert last_payer(emulator) == (78, 9)
    with (
        OctaClient(emulator.api_key, base_url=emulator.base_url, organization_id=5) as client,
        client.rentals.rent(request, key="payer/f"),
    ):
        assert last_payer(emulator) == (5, None)


def test_the_accounts_own_balance_does_not_refuse_what_its_organization_pays(
    emulator: EmulatorHandle, of_organization: OctaClient
) -> None:
    before = len(emulator.ledger()["requests"])
    with of_organization.rentals.rent(MachineRequest("ubuntu:24.04"), key="payer/balance"):
        asked = [one["path"] for one in emulator.ledger()["requests"][before:]]
    assert "/services/mr" in asked
    assert "/accounts/balance" not in asked


@pytest.mark.parametrize("request_", [RenderRequest(), VpnRequest()])
def test_what_no_organization_can_pay_for_is_refused_before_any_money(
    emulator: EmulatorHandle, of_organization: OctaClient, request_: RenderRequest | VpnRequest
) -> None:
    sessions = len(emulator.ledger()["sessions"])
    with pytest.raises(OctaConfigError, match=r"organization_id=77 can't pay for a (render|vpn) session"):
        of_organization.rentals.start(request_, key="payer/other")
    assert len(emulator.ledger()["sessions"]) == sessions


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"organization_id": True}, "organization_id must be a whole number or text, not True"),
        ({"organization_id": -1}, "organization_id must be a whole number or text, not -1"),
        ({"organization_id": "my org"}, "organization_id is no id: copy it again, without spaces"),
        ({"organization_id": 1, "project_id": 1.5}, "project_id must be a whole number or text"),
        ({"project_id": 3}, "project_id names a project of no organisation: give organization_id too"),
    ],
)
def test_a_payer_that_can_not_be_is_refused_at_once(given: dict[str, Any], why: str) -> None:
    with pytest.raises(OctaConfigError, match=why):
        OctaClient("key", **given)
