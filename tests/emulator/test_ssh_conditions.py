"""What life does to SSH can be told to an emulator, and is checked."""

from __future__ import annotations

from typing import Any

import pytest
from tenancy import Tenant

from octa_provider.emulator.container.ssh_conditions import SshConditions, SshWeather
from octa_provider.errors import OctaConfigError


def test_conditions_hold_until_they_are_lifted(tenant: Tenant) -> None:
    tenant.emulator.ssh(round_trip_s=0.1, refusals=2)
    answer = tenant.emulator.request("POST", "/_emulator/ssh", json={"writes": "full"}).json()
    assert (answer["writes"], answer["round_trip_s"], answer["refusals"]) == ("full", 0.0, 0)
    tenant.emulator.ssh()
    assert tenant.emulator.request("POST", "/_emulator/ssh", json={}).json()["writes"] == ""


@pytest.mark.parametrize(
    "odd",
    [{"rain": 1}, {"reads": "odd"}, {"writes": 5}, {"listing": "x"}, {"refusals": "1"}, {"direct_is_closed": 1}, [1]],
)
def test_a_condition_that_there_is_none_of_is_refused(tenant: Tenant, odd: Any) -> None:
    assert tenant.emulator.request("POST", "/_emulator/ssh", json=odd).status_code == 422
    if isinstance(odd, dict):
        with pytest.raises(OctaConfigError):
            SshWeather().change(odd)


def test_what_happens_so_often_happens_no_more() -> None:
    weather = SshWeather(SshConditions(refusals=1, reads="short", bad_reads=1))
    assert [weather.refuses(), weather.refuses()] == [True, False]
    assert [weather.next_read(), weather.next_read()] == ["short", ""]
