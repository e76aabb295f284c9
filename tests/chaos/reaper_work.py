"""The reaper of an installation, at work while the installation's own work is being done."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from octa_provider.errors import OctaError
from tests.chaos.boundaries import Boundaries
from tests.chaos.rental_work import client_of

ROUNDS = 6
#: Real seconds.
PAUSE_S = 0.06
HOUR_S = 3600.0


def work(options: dict[str, Any], boundaries: Boundaries) -> dict[str, Any]:
    """Reap a few times. Nothing of what runs now may be stopped by it."""
    rules: dict[str, Any]
    if options["reapers"] == "owners":

        def is_alive(key: str) -> bool | None:
            # The owner of our own work lives; of another installation's we know nothing.
            return True if key == options["full_key"] else None

        rules = {"is_alive": is_alive, "any_namespace": options["any_namespace"]}
    else:
        rules = {"older_than_s": HOUR_S, "max_age_s": 2 * HOUR_S}
    stopped: list[str] = []
    with client_of(options) as client:
        for _ in range(ROUNDS):
            # It comes again.
            with contextlib.suppress(OctaError):
                stopped += client.rentals.reap(**rules, dry_run=False, deadline_s=20).stopped
            time.sleep(PAUSE_S)
    return {"stopped": stopped}
