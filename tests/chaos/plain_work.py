"""The yardstick: the work done by a plain "POST, then remember the uuid" client, as careful as one usually is.

It retries reads, remembers the uuid in a file as soon as it has it, resumes from that file, and stops in `finally`.
(`OCTA_RENTAL_KEY` is only set so that the ledger can tell whose session it was: nothing here reads it.)
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.chaos.boundaries import Boundaries


def work(options: dict[str, Any], boundaries: Boundaries) -> dict[str, Any]:
    """One try: resumes the session whose uuid an earlier one wrote down."""
    base_url, second = options["base_url"], 1 / options["speed"]
    state_file = Path(options["state_file"])
    with requests.Session() as http:
        http.headers.update({"Authorization": options["api_key"], "User-Agent": options["user_agent"]})
        retry = Retry(total=2, allowed_methods={"GET"}, status_forcelist=range(500, 600), backoff_factor=0.5 * second)
        http.mount("http://", HTTPAdapter(max_retries=retry))

        def get(path: str) -> Any:
            answer = http.get(base_url + path, timeout=options["timeout_s"])
            answer.raise_for_status()
            return answer.json()

        def post(path: str, body: Any = None) -> Any:
            answer = http.post(base_url + path, json=body, timeout=options["timeout_s"])
            answer.raise_for_status()
            return answer.json()

        uuid = state_file.read_text() if state_file.exists() else ""
        if uuid and not any(session["uuid"] == uuid for session in get("/sessions")):
            uuid = ""
        if not uuid:
            uuid = start(get("/services/mr"), post, options)
            state_file.write_text(uuid)
        boundaries.held.append(uuid)
        try:
            boundaries.phase = "wait"
            for _ in range(150):
                session = get(f"/services/{uuid}/info")
                if session["is_ready"] or session["progress"].lower() in READY:
                    break
                time.sleep(2 * second)
            boundaries.phase = "run"
            said = ""
            for _ in range(300):
                lines = get(f"/services/{uuid}/logs")["container"].splitlines()
                said = next((line for line in lines if line.startswith(options["marker"])), "")
                if said:
                    break
                time.sleep(2 * second)
        finally:
            boundaries.phase = "stop"
            post(f"/services/{uuid}/stop")
            with contextlib.suppress(FileNotFoundError):
                state_file.unlink()
        if not said:
            raise TimeoutError("the command said nothing")
        return {"said": said, "uuid": uuid}


READY = ("service configured", "configured", "running", "ready")


def start(machines: Any, post: Any, options: dict[str, Any]) -> str:
    """Rent the cheapest machine; the new session's uuid."""
    offers = [m for m in machines if isinstance(m, dict) and isinstance(m.get("total_price_usd"), (int, float))]
    cheapest = min(offers, key=lambda m: m["total_price_usd"])
    answer = post(
        "/services/mr",
        [
            {
                "id": 0,
                "node_id": cheapest["node_id"],
                "disk_size": 5,
                "image": "ubuntu:24.04",
                "app": "",
                "envs": {"OCTA_RENTAL_KEY": options["full_key"]},
                "ports": [],
                "http_ports": [],
                "start_command": options["command"],
                "entrypoint": "",
            }
        ],
    )
    return str((answer[0] if isinstance(answer, list) else answer)["uuid"])
