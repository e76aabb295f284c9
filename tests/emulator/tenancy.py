"""A tenant who speaks to an emulator in plain HTTP, with no client of ours in between."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from octa_provider.emulator.testing import EmulatorHandle


def eventually(check: Callable[[], Any], within_s: float = 600.0) -> Any:
    """Return what `check` returns as soon as it is true; fail when it never is."""
    deadline = time.monotonic() + within_s
    while not (result := check()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.01)
    return result


class Tenant:
    """Somebody who rents from an emulator."""

    def __init__(self, emulator: EmulatorHandle) -> None:
        self.emulator = emulator

    def call(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        return self.emulator.request(method, path, json=body, **options)

    def get(self, path: str) -> Any:
        response = self.call("GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    def order(self, command: str = "", node_id: int = 1001, **fields: Any) -> list[dict[str, Any]]:
        item = {"id": 0, "node_id": node_id, "disk_size": 1, "image": "ubuntu:24.04", "start_command": command}
        return [item | fields]

    def post(self, command: str = "", **fields: Any) -> Any:
        return self.call("POST", "/services/mr", self.order(command, **fields))

    def start(self, command: str = "", **fields: Any) -> str:
        response = self.post(command, **fields)
        assert response.status_code in (200, 201), response.text
        answer = response.json()
        return str((answer[0] if isinstance(answer, list) else answer)["uuid"])

    def info(self, uuid: str) -> dict[str, Any]:
        info = self.get(f"/services/{uuid}/info")
        for name in ("ports_matrix", "urls"):
            if isinstance(info[name], str):
                info[name] = json.loads(info[name])
        return dict(info)

    def is_ready(self, uuid: str) -> bool:
        info = self.info(uuid)
        return bool(info["is_ready"]) or info["progress"].lower() in (
            "service configured",
            "configured",
            "running",
            "ready",
        )

    def ready(self, command: str = "", **fields: Any) -> str:
        uuid = self.start(command, **fields)
        eventually(lambda: self.is_ready(uuid))
        return uuid

    def logs(self, uuid: str, *, recent: bool = False) -> str:
        return str(self.get(f"/services/{uuid}/logs" + ("?recent=true" if recent else ""))["container"])

    def system(self, uuid: str) -> str:
        return "\n".join(entry["msg"] for entry in self.get(f"/services/{uuid}/logs?recent=true")["system"])

    def printed(self, uuid: str, text: str) -> str:
        eventually(lambda: text in self.logs(uuid))
        return self.logs(uuid)

    def stop(self, uuid: str, body: object = None) -> Any:
        return self.call("POST", f"/services/{uuid}/stop", body)

    def listed(self) -> list[str]:
        return [record["uuid"] for record in self.get("/sessions")]

    def entry(self, uuid: str) -> dict[str, Any]:
        return next(dict(s) for s in self.emulator.ledger()["sessions"] if s["uuid"] == uuid)
