"""Many machines at once: started, waited for and stopped by mapped tasks.

All that wait in one process share one list call per interval: a hundred machines cost the API what one does.
"""

from __future__ import annotations

from typing import Any

from prefect import flow, unmapped
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_blocks.tasks import start_machine, stop_session, wait_until_ready


@flow(task_runner=ThreadPoolTaskRunner(max_workers=100))
def many_machines(count: int = 20, image: str = "ubuntu:24.04", poll_s: float = 5.0) -> list[dict[str, Any]]:
    """Rent so many machines, have them all up, and stop them; returns the bills.

    Args:
        count: how many.
        image: container image.
        poll_s: seconds between two looks at all of them.
    """
    started = start_machine.map([image] * count, start_command=unmapped("sleep infinity"))
    try:
        wait_until_ready.map(started, poll_s=unmapped(poll_s)).result()
        # Here all are up.
    finally:
        # Also those that came up when another did not; of one that never started there is nothing to stop.
        sessions = [session for future in started if isinstance(session := future.result(raise_on_failure=False), dict)]
        bills: list[dict[str, Any]] = stop_session.map(sessions).result()
    return bills


if __name__ == "__main__":
    print(many_machines())
