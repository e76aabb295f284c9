"""The yardstick: the work done with the official `octaspace` 0.1.0 SDK, as the author of a DAG would write it.

Its retries are its own. The uuid goes into a file as soon as it is known, the next try resumes from it, and `finally`
stops. (`OCTA_RENTAL_KEY` is only set so that the ledger can tell whose session it was: nothing here reads it.)
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from octaspace import OctaSpaceClient

from tests.chaos.boundaries import Boundaries

READY = ("service configured", "configured", "running", "ready")


def work(options: dict[str, Any], boundaries: Boundaries) -> dict[str, Any]:
    """One try: resumes the session whose uuid an earlier one wrote down."""
    second = 1 / options["speed"]
    state_file = Path(options["state_file"])
    with OctaSpaceClient(
        api_key=options["api_key"],
        base_url=options["base_url"],
        open_timeout=options["timeout_s"],
        read_timeout=options["timeout_s"],
        write_timeout=options["timeout_s"],
        retry_interval=0.5 * second,
        user_agent=options["user_agent"],
    ) as client:
        uuid = state_file.read_text() if state_file.exists() else ""
        if uuid and not any(session["uuid"] == uuid for session in client.sessions.list().data):
            uuid = ""
        if not uuid:
            machines = client.services.mr.list().data
            offers = [m for m in machines if isinstance(m, dict) and isinstance(m.get("total_price_usd"), (int, float))]
            cheapest = min(offers, key=lambda m: m["total_price_usd"])
            answer = client.services.mr.create(
                node_id=cheapest["node_id"],
                disk_size=5,
                image="ubuntu:24.04",
                envs={"OCTA_RENTAL_KEY": options["full_key"]},
                start_command=options["command"],
            ).data
            uuid = (answer[0] if isinstance(answer, list) else answer)["uuid"]
            state_file.write_text(uuid)
        boundaries.held.append(uuid)
        session = client.services.session(uuid)
        try:
            boundaries.phase = "wait"
            for _ in range(150):
                info = session.info().data
                if info["is_ready"] or info["progress"].lower() in READY:
                    break
                time.sleep(2 * second)
            boundaries.phase = "run"
            said = ""
            for _ in range(300):
                lines = session.logs().data["container"].splitlines()
                said = next((line for line in lines if line.startswith(options["marker"])), "")
                if said:
                    break
                time.sleep(2 * second)
        finally:
            boundaries.phase = "stop"
            session.stop()
            with contextlib.suppress(FileNotFoundError):
                state_file.unlink()
        if not said:
            raise TimeoutError("the command said nothing")
        return {"said": said, "uuid": uuid}
