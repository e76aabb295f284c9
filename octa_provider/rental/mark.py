"""What a session carries beside its rental key: what was asked for, by which try, of which installation.

The key names the work. The mark tells whether the session that runs under it is the one that is wanted now, whether
this very try started it (a try that gives up stops only that), and whose it is (a reaper sees its own namespace alone).
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octa_provider.market.request import MachineRequest, RenderRequest, Request
from octa_provider.wire.session_envs import RENTAL_KEY_ENV, RENTAL_MARK_ENV, REPLACES_ENV

if TYPE_CHECKING:
    from octa_provider.models import Session


@dataclass(frozen=True)
class RentalMark:
    """The value of `OCTA_RENTAL`: `<fingerprint>:<attempt>:<namespace>`.

    Attributes:
        fingerprint: tells what was asked for from anything else under the same key, without telling it.
        attempt: tells one call of `start` from every other.
        namespace: of the installation, as it stands in front of the key; empty for none.
    """

    fingerprint: str
    attempt: str
    namespace: str = ""

    @classmethod
    def new(cls, fingerprint: str, namespace: str, attempt: str | None = None) -> RentalMark:
        """The mark of a try that begins now.

        Args:
            fingerprint: of what is asked for.
            namespace: of this installation; empty for none.
            attempt: names the try; a random name when left out.
        """
        return cls(fingerprint, attempt or secrets.token_hex(8), namespace)

    @classmethod
    def of(cls, session: Session) -> RentalMark | None:
        """The mark of a session; None for one that an earlier release, or somebody else, started."""
        parts = (session.user_envs or {}).get(RENTAL_MARK_ENV, "").split(":", 2)
        return cls(*parts) if len(parts) == 3 else None

    def envs(self, key: str) -> dict[str, str]:
        """The environment variables that carry key and mark."""
        return {RENTAL_KEY_ENV: key, RENTAL_MARK_ENV: f"{self.fingerprint}:{self.attempt}:{self.namespace}"}


def is_marked(session: Session, fingerprint: str) -> bool:
    """Whether a session was started for this; one without a mark counts: earlier releases knew no fingerprints.

    Args:
        session: one of a key.
        fingerprint: of what is asked for.
    """
    known = RentalMark.of(session)
    return known is None or known.fingerprint == fingerprint


def runs_under(session: Session, key: str, namespace: str) -> bool:
    """Whether a session is one of a key's, in this namespace. One without a mark tells of no namespace, and counts.

    Args:
        session: an active session.
        key: the rental key, whole.
        namespace: the installation's own; empty for none. A key of another one may read the same.
    """
    if session.rental_key != key:
        return False
    mark = RentalMark.of(session)
    return mark is None or mark.namespace == namespace


def replaces_envs(uuids: Iterable[str]) -> dict[str, str]:
    """The environment variable by which a session tells whose place it takes; none when it takes nobody's.

    Args:
        uuids: the sessions that were stopped before it is started.
    """
    told = " ".join(uuids)
    return {REPLACES_ENV: told} if told else {}


def replaced_by(session: Session) -> frozenset[str]:
    """The sessions, by their uuids, that a session took the place of.

    They were stopped before it began. The API's lists lag and repeat, so that one of them may show beside it.
    """
    return frozenset((session.user_envs or {}).get(REPLACES_ENV, "").split())


def fingerprint_of(request: Request) -> str:
    """Tells a request from another one under the same key, without telling what is in it.

    Not the size of the disk: a machine with another disk does the same work.
    """
    what: list[object] = [request.service]
    if isinstance(request, MachineRequest):
        what += [request.image, request.app, request.entrypoint, request.start_command]
        what += [_own(request.envs), sorted(request.ports), sorted(request.http_ports)]
    elif isinstance(request, RenderRequest):
        what += [_own(request.envs), request.multi_gpu_worker]
    else:
        what += [request.subkind, request.protocol]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


def _own(envs: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(
        (name, value) for name, value in envs.items() if name not in {RENTAL_KEY_ENV, RENTAL_MARK_ENV, REPLACES_ENV}
    )
