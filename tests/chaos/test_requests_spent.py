"""What a rental costs in requests when nothing goes wrong."""

from __future__ import annotations

import time

from octa_provider.client import OctaClient
from octa_provider.emulator.testing import start_emulator
from octa_provider.market.request import MachineRequest


def test_a_start_to_stop_without_faults_sends_these_requests_and_no_other() -> None:
    with start_emulator(in_process=True, start_delay_s=0) as emulator:
        with OctaClient(emulator.api_key, base_url=emulator.base_url) as client:
            rental = client.rentals.start(MachineRequest("ubuntu:24.04"), key="requests/spent")
            while emulator.ledger(requests=False)["sessions"][0]["system"][-1] != "service configured":
                time.sleep(0.01)
            rental.wait_until_ready()
            rental.stop()
        spent = [f"{r['method']} {r['path'].replace(rental.uuid, '{uuid}')}" for r in emulator.ledger()["requests"]]
    assert spent == [
        # start: is there one already, what is on offer, is there money, rent, is it the only one
        "GET /sessions",
        "GET /services/mr",
        "GET /accounts/balance",
        "POST /services/mr",
        "GET /sessions",
        # wait: one look a poll; once it is ready, did a twin come late
        "GET /services/{uuid}/info",
        "GET /sessions",
        # stop: ask, seen gone from the active ones, seen among the ended ones with its bill
        "POST /services/{uuid}/stop",
        "GET /sessions",
        "GET /sessions?recent=true",
    ]
