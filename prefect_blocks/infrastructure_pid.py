"""What a worker writes down as a flow run's `infrastructure_pid`, and what can be told from it later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octa_provider.rental.key import split_namespace
from octa_provider.rental.mark import RentalMark
from prefect_blocks.rental_key import flow_run_of, is_worker_key

if TYPE_CHECKING:
    from uuid import UUID

    from octa_provider import OctaClient, Rental
    from octa_provider.job.state import JobState
    from octa_provider.models import Session

__all__ = ["VIA_ENV", "InfrastructurePid", "is_begun_over_ssh"]

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
        """The one of a started job.

        Args:
            state: the job's.
        """
        return cls(str(state.rental.uuid), state.key)

    @classmethod
    def read(cls, text: str | None) -> InfrastructurePid | None:
        """Read what `str` gave.

        Args:
            text: a flow run's `infrastructure_pid`.

        Returns:
            The machine; None for anything else, such as another worker type's.
        """
        uuid, _, key = (text or "").partition("/")
        return cls(uuid, key) if uuid and is_worker_key(key) else None

    @classmethod
    def of_session(cls, session: Session, namespace: str) -> InfrastructurePid | None:
        """The one of a session that a worker of this installation started, or one of a release before 0.2.

        Args:
            session: as the API tells it.
            namespace: this installation's.

        Returns:
            The machine; None for every other session.
        """
        key = session.rental_key or ""
        is_ours = split_namespace(key, namespace) is not None or RentalMark.of(session) is None
        return cls(session.uuid, key) if is_ours and is_worker_key(key) else None

    @property
    def flow_run_id(self) -> UUID | None:
        """The flow run; None where the key names none."""
        return flow_run_of(self.key)

    @property
    def run_count(self) -> int:
        """How often the flow run had begun to run when it was rented."""
        number = self.key.rpartition("/")[2]
        return int(number) if number.isdecimal() else 0

    def rental(self, client: OctaClient) -> Rental:
        """The core's handle; no request is made.

        Args:
            client: the account's.
        """
        return client.rentals.open(self.uuid, self.key)

    def is_active(self, client: OctaClient) -> bool:
        """Whether the session, or another one of its key, is listed as active.

        Args:
            client: the account's.

        Raises:
            OctaError: the sessions could not be listed.
        """
        return any(s.uuid == self.uuid or s.rental_key == self.key for s in client.sessions.list())


def is_begun_over_ssh(envs: Mapping[str, str]) -> bool:
    """Whether a worker's session is one whose flow run is begun over SSH.

    Args:
        envs: the session's environment.
    """
    return envs.get(VIA_ENV) == "ssh"
