"""How far a job has come, and what it came to: two values. This file imports no HTTP library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import Enum
from typing import Any

from octa_provider.errors import OctaConfigError


class JobOutcome(str, Enum):
    """How a job ended. Only `SUCCEEDED` is a success: what is not known has failed."""

    SUCCEEDED = "succeeded"
    #: The command ended with another exit code than 0.
    FAILED = "failed"
    #: The command ran into `timeout_s`.
    TIMED_OUT = "timed out"
    #: The session went away, or the command left no exit code: outcome unknown.
    LOST = "lost"
    #: A cap on cost was reached.
    OVER_BUDGET = "over budget"
    #: The session did not come up in time.
    NOT_READY = "not ready"


class JobPhase(str, Enum):
    """How far a job has come."""

    #: The session is coming up.
    STARTING = "starting"
    #: The session is up, and the command is to be begun over SSH.
    READY = "ready"
    RUNNING = "running"
    #: The outcome is known; outputs may be left to fetch.
    EXITED = "exited"
    #: Everything is here; the session may go.
    COLLECTED = "collected"


@dataclass(frozen=True)
class JobState:
    """How far a job has come: one small JSON value, without secrets, from which any process can carry on.

    Attributes:
        key: the rental key.
        rental: the rental, as `Rental.to_dict` gives it.
        nonce: marks this run's exit code among everything that the command prints.
        over_ssh: whether the command is run over SSH.
        timeout_s: seconds that the command may run.
        outputs: what to fetch: remote path to local path.
        phase: how far it has come.
        appear_by: Unix time by which the session must be known to the API.
        ready_by: Unix time by which the session must be up.
        end_by: Unix time by which the command must have ended, once it runs.
        ready_timeout_s: seconds that the session may take to come up; None in a state of an earlier release.
        clock: whose clock `appear_by`, `ready_by` and `end_by` are of; see `Clock.identity`.
        ran_from_s: how long the session had run, by the API's count, when the command was begun; None when unknown.
        exit_code: the command's exit code, once known.
        timed_out: whether the machine ended the command at its deadline.
        outcome: how it ended, once known.
        message: why, for whoever reads it; before the command has begun, what keeps it from that.
        log: where the log was read up to.
        host_key: the machine's SSH host key, once seen.
        collected: the local files that were fetched.
        attempts: how many tries are known to have worked on this run; see `JobResult`.
    """

    key: str
    rental: Mapping[str, Any]
    nonce: str
    over_ssh: bool
    timeout_s: float
    appear_by: float
    ready_by: float
    outputs: Mapping[str, str] = field(default_factory=dict)
    phase: JobPhase = JobPhase.STARTING
    end_by: float | None = None
    ready_timeout_s: float | None = None
    clock: str | None = None
    ran_from_s: float | None = None
    exit_code: int | None = None
    timed_out: bool = False
    outcome: JobOutcome | None = None
    message: str = ""
    log: Mapping[str, Any] | None = None
    host_key: str | None = None
    collected: tuple[str, ...] = ()
    attempts: int = 1

    @property
    def ended(self) -> bool:
        """True when the outcome is known; the session may still have to be stopped."""
        return self.outcome is not None

    def to_dict(self) -> dict[str, Any]:
        """The state as a JSON value; `from_dict` reads it."""
        state = asdict(self)
        state["phase"] = self.phase.value
        state["outcome"] = None if self.outcome is None else self.outcome.value
        state["collected"] = list(self.collected)
        return state

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> JobState:
        """The state that `to_dict` made the value of."""
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in state.items() if name in known}
        if not {"key", "rental", "nonce", "over_ssh", "timeout_s", "appear_by", "ready_by"} <= values.keys():
            raise OctaConfigError("this is not the state of a job: it lacks its key, rental or nonce")
        try:
            values["phase"] = JobPhase(values.get("phase", JobPhase.STARTING))
            values["outcome"] = None if values.get("outcome") is None else JobOutcome(values["outcome"])
        except ValueError as error:
            raise OctaConfigError(f"this is not the state of a job: {error}") from None
        values["collected"] = tuple(values.get("collected", ()))
        return cls(**values)

    def having(self, **changes: Any) -> JobState:
        """The same state, further on."""
        return replace(self, **changes)

    def ending(self, outcome: JobOutcome, message: str = "", exit_code: int | None = None) -> JobState:
        """The state once the outcome is known."""
        return replace(self, outcome=outcome, message=message, exit_code=exit_code, phase=JobPhase.EXITED)


@dataclass(frozen=True)
class JobResult:
    """What a job came to.

    Attributes:
        exit_code: the command's; None when it left none.
        outcome: how it ended.
        message: why, in one sentence; empty for a success.
        logs_path: the file that its output was written to; None when nobody asked for one.
        outputs: the local files that were fetched.
        cost_wei: what it cost, in wei, exact; None when the API does not tell.
        cost_usd: the same in USD, for display.
        duration_s: seconds that the session ran.
        node_id: the machine.
        uuid: the session.
        key: the rental key.
        attempts: how many tries are known to have worked on it: 1 for the one that started the session, and 1 for each
            that adopted it. A try that neither handed its state on (`earlier`) nor started it is not counted.
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

    @property
    def succeeded(self) -> bool:
        """True when the command ended with exit code 0 and its outputs are here."""
        return self.outcome is JobOutcome.SUCCEEDED

    def to_dict(self) -> dict[str, Any]:
        """The result as a JSON value."""
        return {**asdict(self), "outcome": self.outcome.value, "outputs": list(self.outputs)}
