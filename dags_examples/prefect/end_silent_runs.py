"""Mark flow runs as crashed that have fallen silent, since the machine they ran on is gone: run this once.

Prefect goes on believing that such a run runs, so that nothing reaps what it has rented. Flow runs send heartbeats,
every 180 s unless PREFECT_FLOWS_HEARTBEAT_FREQUENCY says otherwise; this makes an automation that misses them. With
`reap_orphans.py` their machines are stopped then.
"""

from __future__ import annotations

from datetime import timedelta

from prefect.automations import Automation
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture

HEARTBEAT = "prefect.flow-run.heartbeat"
#: What may rightly follow a heartbeat instead of another one.
ENDS = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed", "Paused", "Suspended")}


def end_silent_runs(within: timedelta = timedelta(minutes=10)) -> Automation:
    """Make the automation.

    Args:
        within: how long a run may be silent; some heartbeats, since one can get lost.
    """
    automation = Automation(
        name="end silent flow runs",
        trigger=EventTrigger(
            after={HEARTBEAT},
            expect={HEARTBEAT} | ENDS,
            match={"prefect.resource.id": "prefect.flow-run.*"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="Its heartbeats have ended.")],
    )
    automation.create()
    return automation


if __name__ == "__main__":
    end_silent_runs()
