"""What a job came to. This file imports no HTTP library, nor what decodes JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from octa_provider.rental.tried_machine import TriedMachine
from octa_provider.text.carried import carried_dict


class JobOutcome(str, Enum):
    """How a job ended. Only `SUCCEEDED` is a success: what is not known has failed."""

    SUCCEEDED = "succeeded"
    #: The command ended with another exit code than 0.
    FAILED = "failed"
    #: The command ran into `timeout_s`.
    TIMED_OUT = "timed out"
    #: The session went away, or the command left no exit code: outcome unknown.
    LOST = "lost"
    #: A cap on cost or on time was reached.
    OVER_BUDGET = "over budget"
    #: The session did not come up in time.
    NOT_READY = "not ready"


@dataclass(frozen=True)
class JobResult:
    """What a job came to.

    Attributes:
        exit_code: the command's; None when it left none.
        outcome: how it ended.
        message: why, in one sentence; empty for a success.
        logs_path: the file that its output was written to; None when nobody asked for one.
        outputs: the local files that were fetched.
        cost_wei: what it cost, in wei, exact, those of the machines before (`tried`) among it; None when the API
            does not tell.
        cost_usd: the same in USD, for display.
        duration_s: seconds that the session ran, the last one.
        node_id: the machine.
        uuid: the session.
        key: the rental key.
        attempts: how many tries are known to have worked on it: 1 for the one that started the session, and 1 for each
            that adopted it. A try that neither handed its state on (`earlier`) nor started it is not counted.
        value: what the command has returned, a JSON value: that of its `result_file`. None without one. Of a command
            that failed it is what the file holds, if it can be read. It is a stranger's: check it where it matters.
        tried: the machines before, each with its cost: they never came up, or were `replaced`; see `TriedMachine`.
        kept_until: Unix time until which the machine is kept for a look, since the command failed
            (`JobSpec.keep_failed_s`): the cost is what it has come to so far, and goes on. None when it was stopped.
    """

    exit_code: int | None
    outcome: JobOutcome
    message: str
    logs_path: str | None
    outputs: tuple[str, ...]
    cost_wei: int | None
    cost_usd: float | None
    duration_s: float | None
    node_id: int | None
    uuid: str
    key: str
    attempts: int
    value: Any = field(default=None, hash=False)
    tried: tuple[TriedMachine, ...] = ()
    kept_until: float | None = None

    @property
    def succeeded(self) -> bool:
        """True when the command ended with exit code 0 and its outputs are here."""
        return self.outcome is JobOutcome.SUCCEEDED

    def to_dict(self) -> dict[str, Any]:
        """The result as a JSON value."""
        lists = {"outputs": list(self.outputs), "tried": [asdict(one) for one in self.tried]}
        return {**asdict(self), "outcome": self.outcome.value, **lists}

    def to_json(self) -> dict[str, Any]:
        """The same as an orchestrator can carry it: amounts of wei are text, which outgrow 64 bits."""
        return carried_dict(self.to_dict()) | {"tried": [carried_dict(asdict(one)) for one in self.tried]}
