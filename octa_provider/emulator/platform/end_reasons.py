"""Why the platform itself ends a session, in the words of its ledger; the API tells a number."""

from __future__ import annotations

__all__ = ["BROKEN", "CLOSED", "ENDED", "OFFLINE", "OWN_REASONS", "UNPAID"]

CLOSED, UNPAID, OFFLINE, BROKEN = "emulator stopped", "insufficient_funds", "node offline", "start failed"
ENDED = "ended by the platform"
OWN_REASONS = frozenset({CLOSED, UNPAID, OFFLINE, BROKEN, ENDED})
