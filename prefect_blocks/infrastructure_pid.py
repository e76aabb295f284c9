"""What a worker writes down as a flow run's `infrastructure_pid`, and what can be told from it later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from octa_provider.job.spec import JOB_ENV
from octa_provider.job.state import JobState
from octa_provider.rental.key import split_namespace
from octa_provider.rental.mark import RentalMark
from prefect_blocks.rental_key import flow_run_of, is_worker_key

if TYPE_CHECKING:
    from uuid import UUID

    from octa_provider import OctaClient, Rental
    from octa_provider.models import Session

__all__ = ["VIA_ENV", "InfrastructurePid"]

#: Says in the session's environment that its flow run is begun over SSH, for a worker that did not rent it.
VIA_ENV = "OCTA_FLOW_RUN_VIA"


@dataclass(frozen=True)
class InfrastructurePid:
    """A machine that a worker has rented for a flow run; its text is `<uuid>/<rental key>`.

    Attributes:
        uuid: the session.
        key: the rental key.
    """

    uuid: str
    key: str

    def __str__(self) -> str:
        return f"{self.uuid}/{self.key}"

    @classmethod
    def of(cls, state: JobState) -> InfrastructurePid:
        """The one of a started job."""
        return cls(str(state.rental.uuid), state.key)

    @classmethod
    def read(cls, text: str | None) -> InfrastructurePid | None:
        """Read what `str` gave; None for anything else, such as another worker type's."""
        uuid, _, key = (text or "").partition("/")
        return cls(uuid, key) if uuid and is_worker_key(key) else None

    @classmethod
    def of_session(cls, session: Session, namespace: str) -> InfrastructurePid | None:
        """The one of a session, if a worker of this installation started it, or one of a release before 0.2."""
        key = session.rental_key or ""
        is_ours = split_namespace(key, namespace) is not None or RentalMark.of(session) is None
        return cls(session.uuid, key) if is_ours and is_worker_key(key) else None

    @property
    def flow_run_id(self) -> UUID | None:
        """The flow run."""
        return flow_run_of(self.key)

    @property
    def run_count(self) -> int:
        """How often the flow run had begun to run when it was rented."""
        number = self.key.rpartition("/")[2]
        return int(number) if number.isdecimal() else 0

    def rental(self, client: OctaClient) -> Rental:
        """The core's handle."""
        return client.rentals.open(self.uuid, self.key)

    def is_active(self, client: OctaClient) -> bool:
        """Whether the session, or another one of its key, is listed as active."""
        return any(s.uuid == self.uuid or s.rental_key == self.key for s in client.sessions.list())

    def job_state(
        self, client: OctaClient, *, timeout_s: float, ready_timeout_s: float, max_cost_usd: float | None = None
    ) -> JobState:
        """The state of its job, from which it can be followed; its log comes from the start, and its cap is kept.

        The session's environment tells the nonce that marks the exit code. Of one that nobody knows any more the
        outcome can't be told, and the state ends as lost.
        """
        sessions = [*client.sessions.list(), *client.sessions.list(recent=True)]
        session = next((s for s in sessions if s.uuid == self.uuid), None)
        envs = (session.user_envs if session is not None else None) or {}
        now = client.clock.time()
        return JobState(
            key=self.key,
            rental=msgspec.structs.replace(self.rental(client).terms, max_cost_usd=max_cost_usd),
            nonce=envs.get(JOB_ENV, "").partition(":")[0] or "unknown",
            over_ssh=envs.get(VIA_ENV) == "ssh",
            timeout_s=timeout_s,
            appear_by=now,
            ready_by=now + ready_timeout_s,
        )
