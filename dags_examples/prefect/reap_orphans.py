"""Stop what dead flow runs left behind: on a schedule, and at once when a flow run has crashed.

Leave it running: `python reap_orphans.py`. It serves the deployment `octa-reap-orphans/reaper` and makes its
automation, which Prefect's UI shows under *Automations*. Machines of flow runs that live are never touched.
"""

from __future__ import annotations

from datetime import timedelta

from prefect.events import DeploymentEventTrigger

from prefect_blocks.flows import reap_orphans_flow

if __name__ == "__main__":
    reap_orphans_flow.serve(
        name="reaper",
        interval=timedelta(minutes=15),
        triggers=[
            DeploymentEventTrigger(
                name="reap when a flow run crashed",
                expect={"prefect.flow-run.Crashed"},
                # Not after a crash of its own: one that can't start would start itself for ever.
                match_related={"prefect.resource.role": "flow", "prefect.resource.name": "!octa-reap-orphans"},
                parameters={"older_than_s": 0},
            )
        ],
    )
