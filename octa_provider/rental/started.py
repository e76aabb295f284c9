"""What a start has come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octa_provider.models import Machine, Session, VpnMachine

__all__ = ["Started"]


@dataclass(frozen=True)
class Started:
    """What a start has come to.

    Attributes:
        uuid: the session.
        session: as it was last seen, if it was.
        adopted: whether it was there already, or an answer was lost on the way.
        machine: as the catalogue offered it, where it was chosen now.
        claim: what the store of intents knows it by; None for a session that tells its key itself.
    """

    uuid: str
    session: Session | None
    adopted: bool
    machine: Machine | VpnMachine | None
    claim: str | None = None
