"""The emulator, as one test sees it: only what was rented since the test began."""

from __future__ import annotations

from typing import Any

from waiting_for import wait_for

from octa_provider import OctaClient
from octa_provider.emulator.testing import EmulatorHandle
from prefect_blocks.namespace import namespace_here


class Renting:
    def __init__(self, emulator: EmulatorHandle) -> None:
        self.emulator = emulator
        self._before = {session["uuid"] for session in emulator.ledger(requests=False)["sessions"]}

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """Every session that was started."""
        ledger = self.emulator.ledger(requests=False)
        return [session for session in ledger["sessions"] if session["uuid"] not in self._before]

    def running(self) -> list[str]:
        """Those that still run."""
        running = set(self.emulator.ledger(requests=False)["running_uuids"])
        return [session["uuid"] for session in self.sessions if session["uuid"] in running]

    @property
    def rental_keys(self) -> list[str]:
        """Without the namespace of this installation."""
        return [(session["rental_key"] or "").removeprefix(f"{namespace_here()}/") for session in self.sessions]

    def never_two_at_once(self) -> bool:
        """Whether no rental key ever had two sessions at the same time."""
        by_key = self.emulator.ledger(requests=False)["max_running_by_key"]
        keys = [session["rental_key"] for session in self.sessions]
        return all(by_key[key]["max_running"] == 1 for key in keys if key)

    def wait_until_running(self, count: int = 1, seconds: float = 300) -> list[str]:
        return wait_for(lambda: (up := self.running()) and len(up) >= count and up, f"{count} sessions", seconds)

    def wait_until_none_runs(self, seconds: float = 300) -> None:
        wait_for(lambda: not self.running(), "no session runs", seconds)

    def client(self, namespace: str | None = None) -> OctaClient:
        """A client as this installation has it, or as one of another namespace."""
        named = namespace_here() if namespace is None else namespace
        return OctaClient(self.emulator.api_key, base_url=self.emulator.base_url, namespace=named)

    def count_requests(self, method: str, path: str) -> int:
        return sum(
            1 for one in self.emulator.ledger()["requests"] if one["method"] == method and one["path"].startswith(path)
        )
