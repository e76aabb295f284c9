"""The work, done by our rental: start, wait, run, stop under one key."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from octa_provider.client import OctaClient
from octa_provider.errors import OctaError
from octa_provider.market.request import MachineRequest
from octa_provider.market.requirements import Requirements
from octa_provider.rental.rental import Rental
from octa_provider.timing.asking import is_transient
from tests.chaos.boundaries import Boundaries
from tests.chaos.quick_clock import QuickClock


def work(options: dict[str, Any], boundaries: Boundaries) -> dict[str, Any]:
    """One try: adopts what an earlier one left, and returns what the command said, the session and its bill."""
    with client_of(options) as client:
        request = MachineRequest(image="ubuntu:24.04", disk_gb=5, start_command=options["command"])

        def remember(rental: Rental) -> None:
            boundaries.held.append(rental.uuid)
            write_whole(Path(options["state_file"]), json.dumps(rental.to_dict()))

        def work_on(rental: Rental) -> str:
            try:
                boundaries.phase = "wait"
                rental.wait_until_ready(deadline_s=300, poll_s=2)
                boundaries.phase = "run"
                return wait_for_marker(client, rental, options["marker"])
            finally:
                boundaries.phase = "stop"

        wanted: dict[str, Any] = {
            "key": options["key"],
            "requirements": Requirements(max_price_usd=options["max_price_usd"]),
            "on_started": remember,
        }
        if options["signals"]:
            # On every way out: for whoever is ended by a signal.
            with client.rentals.rent(request, **wanted) as rental:
                said = work_on(rental)
            return {"said": said, "uuid": rental.uuid, "adopted": rental.adopted}
        rental = client.rentals.start(request, **wanted)
        try:
            said = work_on(rental)
        finally:
            bill = rental.stop()
        return {"said": said, "uuid": rental.uuid, "charge_wei": bill.charge_wei, "adopted": rental.adopted}


def client_of(options: dict[str, Any]) -> OctaClient:
    """The client of a try."""
    return OctaClient(
        options["api_key"],
        base_url=options["base_url"],
        timeout=options["timeout_s"],
        namespace=options["namespace"],
        user_agent=options["user_agent"],
        clock=QuickClock(options["speed"], options["jumps"]),
    )


def wait_for_marker(client: OctaClient, rental: Rental, marker: str) -> str:
    """The line that the command prints last; an outage slows this down and does not end it."""
    until = client.clock.monotonic() + 600
    while client.clock.monotonic() < until:
        try:
            lines = rental.logs().container.splitlines()
        except OctaError as error:
            if not is_transient(error):
                raise
            lines = []
        for line in lines:
            if line.startswith(marker):
                return line
        client.clock.sleep(2)
    raise TimeoutError(f"{marker} never came")


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(descriptor, text.encode())
    os.fsync(descriptor)
    os.close(descriptor)
    os.replace(temporary, path)  # noqa: PTH105 - a boundary of its own
