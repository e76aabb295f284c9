"""What a session carries of the job that it was rented for: which run it is, and of which job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octa_provider.wire.session_envs import JOB_ENV

if TYPE_CHECKING:
    from octa_provider.models import Session

__all__ = ["JobMark"]


@dataclass(frozen=True)
class JobMark:
    """The value of `OCTA_JOB` in a session's environment: `<nonce>:<fingerprint>`.

    Attributes:
        nonce: marks this run's exit code among everything that the command prints.
        fingerprint: tells this job from another under the same key; empty where the value tells none.
    """

    nonce: str
    fingerprint: str

    @classmethod
    def of(cls, session: Session) -> JobMark:
        """What a session tells; both are empty for one that is no job, or whose environment is not echoed.

        Args:
            session: as the API tells it.
        """
        nonce, _, fingerprint = (session.user_envs or {}).get(JOB_ENV, "").partition(":")
        return cls(nonce, fingerprint)

    def envs(self) -> dict[str, str]:
        """The environment variable that carries it."""
        return {JOB_ENV: f"{self.nonce}:{self.fingerprint}"}
