"""How far a job has come: a value that travels between processes. This file imports no HTTP library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from octa_provider.job.result import JobOutcome
from octa_provider.logs.cursor import LogCursor
from octa_provider.rental.terms import Terms
from octa_provider.rental.tried_machine import TriedMachine, attempts_of
from octa_provider.wire.state import read_state

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.timing.clock import Clock

#: The machine ends the command itself; this much later we no longer wait for it to say so.
GRACE_S = 60.0

# Neither infinite nor NaN, which no deadline could be told from.
_Time = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


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


class JobState(msgspec.Struct, frozen=True):
    """How far a job has come: one small JSON value, without secrets, from which any process can carry on.

    Attributes:
        key: the rental key.
        rental: what its rental is known by.
        nonce: marks this run's exit code among everything that the command prints.
        over_ssh: whether the command is run over SSH.
        timeout_s: seconds that the command may run.
        outputs: what to fetch: remote path to local path.
        result_file: the JSON file whose value is the job's, relative to the command's folder; None for none.
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
        value: what the command has returned, once collected; see `JobResult`.
        start_attempts: how many machines are tried, this one and those before among them; see `JobSpec`.
        tried: the machines before, which never came up, or whose place another one took.
        is_key_refused: whether the machine has answered over SSH, and did not take our key.
        keep_failed_s: seconds for which the machine of a command that fails is kept; None stops it. See `JobSpec`.
        never_up: whether it has ended since its machine never came up, so that another one may do.
    """

    key: str
    rental: Terms
    nonce: str
    over_ssh: bool
    timeout_s: _Seconds
    appear_by: _Time
    ready_by: _Time
    outputs: dict[str, str] = {}
    phase: JobPhase = JobPhase.STARTING
    end_by: _Time | None = None
    ready_timeout_s: _Seconds | None = None
    clock: str | None = None
    ran_from_s: _Time | None = None
    exit_code: int | None = None
    timed_out: bool = False
    outcome: JobOutcome | None = None
    message: str = ""
    log: LogCursor | None = None
    host_key: str | None = None
    collected: tuple[str, ...] = ()
    attempts: Annotated[int, msgspec.Meta(ge=1)] = 1
    result_file: str | None = None
    value: Any = None
    start_attempts: Annotated[int, msgspec.Meta(ge=1)] = 1
    tried: tuple[TriedMachine, ...] = ()
    is_key_refused: bool = False
    never_up: bool = False
    keep_failed_s: _Seconds | None = None

    @property
    def is_up(self) -> bool:
        """Whether the machine has come up, and the job's outcome is not known yet."""
        return self.phase is not JobPhase.STARTING and not self.ended

    @property
    def ended(self) -> bool:
        """True when the outcome is known; the session may still have to be stopped."""
        return self.outcome is not None

    @property
    def may_start_elsewhere(self) -> bool:
        """True when its machine never came up, and another one is to be tried."""
        return self.never_up and self.phase is JobPhase.EXITED and attempts_of(self.tried) + 1 < self.start_attempts

    @property
    def latest_end(self) -> float:
        """Unix time by which the command must have ended, also where the session comes up at the last moment."""
        return self.ready_by + self.timeout_s + GRACE_S if self.end_by is None else self.end_by

    def to_dict(self) -> dict[str, Any]:
        """The state as a JSON value; `from_dict` reads it."""
        state = {name: getattr(self, name) for name in self.__struct_fields__ if name != "rental"}
        # A list, as it comes back from JSON.
        lists = {"collected": list(self.collected), "tried": [asdict(one) for one in self.tried]}
        return {**msgspec.to_builtins(state), "rental": self.rental.to_dict(), **lists}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> JobState:
        """The state that `to_dict` made the value of; names that are not known are left out.

        Args:
            state: as `to_dict` gave it; integers may have become text on the way, as in an event or an XCom.

        Raises:
            OctaConfigError: it is not the state of a job.
        """
        return read_state(JobState, state, "the state of a job")

    def for_next_try(self) -> JobState:
        """The same state as another try needs it, to be stored: no larger for how much the job has made.

        What this try has fetched may lie on another worker: the next one fetches it, and reads the value, itself.
        """
        return self.having(collected=(), value=None)

    def having(self, **changes: Any) -> JobState:
        """The same state, further on.

        Args:
            changes: what is another than it was, by the names of the attributes.
        """
        return msgspec.structs.replace(self, **changes)

    def running(self, clock: Clock, session: Session, host_key: str | None = None) -> JobState:
        """The state once the command runs, which it does from now on.

        Args:
            clock: of this process.
            session: as it was just seen.
            host_key: the machine's SSH host key, if it was seen; the one that is known stays otherwise.
        """
        return self.having(
            phase=JobPhase.RUNNING,
            message="",
            end_by=clock.steady_time() + self.timeout_s + GRACE_S,
            clock=clock.identity,
            ran_from_s=None if session.duration_s is None else float(session.duration_s),
            host_key=host_key or self.host_key,
        )

    def ending(self, outcome: JobOutcome, message: str = "", exit_code: int | None = None) -> JobState:
        """The state once the outcome is known.

        Args:
            outcome: how it ended.
            message: why, for whoever reads it.
            exit_code: the command's, if it is known.
        """
        return msgspec.structs.replace(
            self, outcome=outcome, message=message, exit_code=exit_code, phase=JobPhase.EXITED
        )
