"""What the emulator's ledger says of one run: only what was written since, however long the ledger is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from octa_provider.emulator.testing import EmulatorHandle


@dataclass
class LedgerTail:
    """The ledger of an emulator from now on.

    Attributes:
        emulator: whose.
        overlaps: of every key, how many sessions ran at the same time, and how long; as `sessions` last saw it.
    """

    emulator: EmulatorHandle
    overlaps: dict[str, dict[str, float]] = field(default_factory=dict, init=False)
    _begin: int = field(init=False)

    def __post_init__(self) -> None:
        self._path = self.emulator.state / "ledger.jsonl"
        self._begin = self._path.stat().st_size

    def requests(self) -> list[dict[str, Any]]:
        """The requests since then that have been answered, or dropped."""
        with self._path.open("rb") as file:
            file.seek(self._begin)
            rows = [json.loads(line) for line in file.read().splitlines()]
        return [row["request"] for row in rows if row["event"] == "request"]

    def sessions(self, work_key: str) -> dict[str, dict[str, Any]]:
        """The sessions of a work key in every installation, by uuid."""
        ledger = self.emulator.ledger(requests=False)
        self.overlaps = ledger["max_running_by_key"]
        return {
            session["uuid"]: session
            for session in ledger["sessions"]
            if session["rental_key"] is not None
            and (session["rental_key"] == work_key or session["rental_key"].endswith(f"/{work_key}"))
        }

    def running(self, work_key: str) -> list[str]:
        """Those that are billed now."""
        return [uuid for uuid, session in self.sessions(work_key).items() if session["stopped_ms"] is None]
