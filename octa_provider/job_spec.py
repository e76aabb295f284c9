"""What a job is, how far it has come, and what it came to: three values. This file imports no HTTP library."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from octa_provider.errors import OctaConfigError
from octa_provider.marketplace import Requirements
from octa_provider.request import MachineRequest

#: Carries `<nonce>:<fingerprint>` in the session's environment, so that the next try knows what it adopts.
JOB_ENV = "OCTA_JOB"
VIAS = ("auto", "container", "ssh")


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
class JobSpec:
    """A command to run to completion on a rented machine.

    Args:
        image: container image, such as `blender:4.5`.
        command: a shell command line, or a sequence of arguments.
        envs: environment variables; the API echoes them to whoever holds the account's key.
        inputs: files and folders to send: local path to remote path. Needs SSH.
        outputs: files and folders to fetch when the command has ended: remote path to local path. Needs SSH. Remote
            paths are relative to the command's folder.
        disk_gb: disk in GB.
        requirements: which machine.
        timeout_s: seconds that the command may run; it is ended in the machine even when nobody watches.
        ready_timeout_s: seconds that the session may take to come up.
        via: `container` (the command is the container's own), `ssh` (over SSH, with files), or `auto`: `ssh` when there
            are files to move, `container` otherwise.
        max_cost_usd: the job is stopped when it has cost so much.
        http_ports: ports to publish as URLs while it runs.
        ports: TCP ports to expose while it runs.

    Raises:
        OctaConfigError: a value that can't work, before any money is spent.
    """

    image: str
    command: str | Sequence[str]
    envs: Mapping[str, str] = field(default_factory=dict, repr=False)
    inputs: Mapping[str | os.PathLike[str], str] = field(default_factory=dict)
    outputs: Mapping[str, str | os.PathLike[str]] = field(default_factory=dict)
    disk_gb: int = 10
    requirements: Requirements = field(default_factory=Requirements)
    timeout_s: float = 3600.0
    ready_timeout_s: float = 900.0
    via: str = "auto"
    max_cost_usd: float | None = None
    http_ports: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.command, str) and not all(isinstance(word, str) for word in self.command):
            raise OctaConfigError("command must be a string or a sequence of strings: turn numbers into text")
        if not self.command_line.strip():
            raise OctaConfigError("command must not be empty: give the shell command line that is to run")
        if "\0" in self.command_line:
            raise OctaConfigError("command must not hold a NUL character")
        if self.via not in VIAS:
            raise OctaConfigError(f"via must be one of {', '.join(VIAS)}, not {self.via!r}")
        if self.via == "container" and (self.inputs or self.outputs):
            raise OctaConfigError("inputs and outputs move over SSH: use via='ssh' or 'auto'")
        for name in ("timeout_s", "ready_timeout_s"):
            if not _is_positive(getattr(self, name)):
                raise OctaConfigError(f"{name} must be a number of seconds above 0")
        if self.max_cost_usd is not None and not _is_positive(self.max_cost_usd):
            raise OctaConfigError("max_cost_usd must be above 0, or left out")
        if JOB_ENV in self.envs:
            raise OctaConfigError(f"envs must not set {JOB_ENV}: it carries the job's nonce")
        for remote in (*self.inputs.values(), *self.outputs):
            _check_remote(remote)
        self.request("")

    @property
    def command_line(self) -> str:
        """The command as the shell reads it."""
        return self.command if isinstance(self.command, str) else shlex.join(self.command)

    @property
    def over_ssh(self) -> bool:
        """True when the command is run over SSH."""
        return self.via == "ssh" or (self.via == "auto" and bool(self.inputs or self.outputs))

    @property
    def fingerprint(self) -> str:
        """Tells this job from another under the same key, without telling what is in it."""
        what = [self.image, self.command_line, sorted(self.envs.items()), self.over_ssh, self.timeout_s]
        # Not the local names: a try may keep its files elsewhere than the one before it.
        what += [sorted(self.inputs.values()), sorted(self.ports), sorted(self.http_ports)]
        text = json.dumps(what)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def check_inputs(self) -> None:
        """Raise OctaConfigError for an input that does not exist: before any money is spent."""
        for local in self.inputs:
            if not Path(local).exists():
                raise OctaConfigError(f"the input {local} does not exist")

    def request(self, start_command: str, envs: Mapping[str, str] | None = None) -> MachineRequest:
        """What to rent for it."""
        return MachineRequest(
            image=self.image,
            disk_gb=self.disk_gb,
            envs={**self.envs, **(envs or {})},
            ports=tuple(self.ports),
            http_ports=tuple(self.http_ports),
            start_command=start_command,
        )


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
        exit_code: the command's exit code, once known.
        timed_out: whether the machine ended the command at its deadline.
        outcome: how it ended, once known.
        message: why, for whoever reads it.
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


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _check_remote(remote: object) -> None:
    if not isinstance(remote, str) or not remote or "\0" in remote or ".." in remote.split("/"):
        raise OctaConfigError(f"{remote!r} is not a path to send to or fetch from: leave out '..'")
