"""The emulator, as one test sees it: only what was rented since the test began."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from waiting_for import LONG_S, wait_for

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

    def wait_until_running(self, count: int = 1, seconds: float = LONG_S) -> list[str]:
        return wait_for(lambda: (up := self.running()) and len(up) >= count and up, f"{count} sessions", seconds)

    def wait_until_none_runs(self, seconds: float = LONG_S) -> None:
        wait_for(lambda: not self.running(), "no session runs", seconds)

    def holds_the_answer(self, method: str = "POST", path: str = "^/services/mr$", **options: Any) -> None:
        """Let a request have its effect, and no answer before the faults are lifted."""
        held = {"kind": "delay", "method": method, "path": path, "seconds": 86_400, "after_effect": True}
        self.emulator.faults(held | options)

    def wait_until_held(self) -> None:
        """Until a request has met a `delay`: it is in the ledger when it has its answer, and not before."""

        def is_held() -> bool:
            faults = self.emulator.request("GET", "/_emulator/faults").json()
            return any(fault["kind"] == "delay" and fault["met"] for fault in faults)

        wait_for(is_held, "a request is held")

    @contextlib.contextmanager
    def first_never_up(self, time_passes: Callable[[float], None]) -> Iterator[None]:
        """The first machine that is rented within never comes up: an hour has passed for whoever waits for it."""
        self.emulator.faults({"kind": "never_ready", "times": 1})

        def an_hour_passes() -> None:
            self.wait_until_running()
            seen = self.count_requests("GET", "/")
            wait_for(lambda: self.count_requests("GET", "/") > seen + 5, "it is waited for")
            time_passes(3600)

        passing = threading.Thread(target=an_hour_passes, daemon=True)
        passing.start()
        yield
        passing.join()

    def client(self, namespace: str | None = None) -> OctaClient:
        """A client as this installation has it, or as one of another namespace."""
        named = namespace_here() if namespace is None else namespace
        return OctaClient(self.emulator.api_key, base_url=self.emulator.base_url, namespace=named)

    def count_requests(self, method: str, path: str) -> int:
        return sum(
            1 for one in self.emulator.ledger()["requests"] if one["method"] == method and one["path"].startswith(path)
        )
