"""The work, done as a job: one call that starts, waits, runs, and stops; the state of it is written down on the way."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from octa_provider.job.spec import JobSpec
from octa_provider.job.state import JobPhase, JobState
from octa_provider.market.requirements import Requirements
from tests.chaos.boundaries import Boundaries
from tests.chaos.rental_work import client_of, write_whole

_PHASES = {JobPhase.STARTING: "wait", JobPhase.READY: "wait", JobPhase.RUNNING: "run"}


def work(options: dict[str, Any], boundaries: Boundaries) -> dict[str, Any]:
    """One try: carries on with what an earlier one left, and returns what became of the command."""
    state_file = Path(options["state_file"])
    # Deadlines travel with it, from a clock that may have been another.
    carries_on = options["jumps"] and state_file.exists()
    earlier = JobState.from_dict(json.loads(state_file.read_text())) if carries_on else None
    with client_of(options) as client:

        def remember(state: JobState) -> None:
            boundaries.phase = _PHASES.get(state.phase, "stop")
            boundaries.held.append(state.rental.uuid)
            write_whole(state_file, json.dumps(state.to_dict()))

        spec = JobSpec(
            image="ubuntu:24.04",
            command=f"sleep 0.1; echo '{options['marker']} exit {options['exit_code']}'; exit {options['exit_code']}",
            disk_gb=5,
            requirements=Requirements(max_price_usd=options["max_price_usd"]),
            timeout_s=900,
        )
        lines: list[str] = []
        log_path = state_file.with_suffix(f".{os.getpid()}.log")
        try:
            result = client.jobs.run(
                spec,
                options["key"],
                on_state=remember,
                on_line=lines.append,
                log_path=log_path,
                earlier=earlier,
                poll_s=2,
            )
        finally:
            log_path.unlink(missing_ok=True)
        if result.exit_code is None:
            # As every orchestrator does with a job of unknown outcome: the try has failed, another one follows.
            raise RuntimeError(f"{result.outcome.value}: {result.message}")
        said = f"{options['marker']} exit {result.exit_code}"
        # None lost and none twice. What follows is the shell's: it says "Terminated" when the machine is taken away.
        came = lines.count(f"{options['marker']} exit {options['exit_code']}")
        # An earlier try may have had it, if this one knew of that.
        if came > 1 or (came == 0 and earlier is None):
            said = f"the lines that were followed are {lines}"
        before = [one.uuid for one in result.tried]
        return {"said": said, "uuid": result.uuid, "charge_wei": result.cost_wei, "before": before}
