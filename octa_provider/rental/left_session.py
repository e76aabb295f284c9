"""Which of the account's sessions a request may have left: the rules alone, on what was written down before it.

New since the request, on the machine that was asked, of the same service, not known to be another key's. A machine
rental that is the only such session counts as left by it, unless another key's request for that machine has no answer
yet either. A VPN session never does: any of the account may start one on the same machine at the same moment, it costs
nothing while nobody uses it, and to stop somebody else's is worse. What can't be told is shown, never stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from octa_provider.errors import OctaStartUnclearError
from octa_provider.rental.stop import stop_command

if TYPE_CHECKING:
    from octa_provider.models import Session
    from octa_provider.rental.intents import Intent

__all__ = ["could_be_left", "the_one_left"]

#: A request that got through is committed within this, even behind a gateway that has given up on it.
LATEST_S = 300.0
#: Clocks of two machines, and the way of the request between them.
SLACK_S = 10.0


def could_be_left(
    sessions: Iterable[Session],
    intent: Intent,
    *,
    key: str,
    claimed: Mapping[str, str],
    age_s: float,
    is_emptied: bool = False,
) -> list[Session]:
    """The sessions that an intent's request may have left.

    Args:
        sessions: the account's active sessions.
        intent: the request, as it was before it was sent.
        key: its rental key.
        claimed: sessions that are known to be a key's: uuid to key.
        age_s: seconds since the request.
        is_emptied: whether an environment that the API tells as empty may have been ours. Else it is an echo: such a
            session was started without our key. VPN sessions alone never have any.
    """
    silent = intent.service == "vpn" or is_emptied
    return [
        session
        for session in sessions
        if (not session.user_envs if silent else session.user_envs is None)
        and session.service == intent.service
        and session.node_id == intent.node_id
        and session.uuid not in intent.before
        and claimed.get(session.uuid, key) == key
        and _is_as_old(session, age_s)
    ]


def the_one_left(found: Sequence[Session], intent: Intent, key: str, *, is_contested: bool = False) -> Session | None:
    """The session that counts as left by an intent's request; None when there is none.

    Args:
        found: the sessions that the request may have left.
        intent: the request.
        key: its rental key.
        is_contested: whether another request may have started one of them.

    Raises:
        OctaStartUnclearError: it can't be told which, or whether any of them is ours.
    """
    if not found:
        return None
    if len(found) == 1 and intent.service != "vpn" and not is_contested:
        return found[0]
    uuids = [session.uuid for session in found]
    kind = "VPN session" if intent.service == "vpn" else "session"
    began = f"1 {kind} that shows" if len(found) == 1 else f"{len(found)} {kind}s that show"
    raise OctaStartUnclearError(
        f"whether the lost request for {key} started something on node {intent.node_id} can't be told: {began} "
        f"no environment began there since, and may be yours or somebody else's. Nothing was stopped, "
        "and nothing more is started. Look: octa-provider sessions. Stop what is yours: "
        f"{stop_command(uuids)}. If none is, start under another key",
        uuids=uuids,
        key=key,
    )


def _is_as_old(session: Session, since_s: float) -> bool:
    """Whether it began after the request, and not much later; yes where the API or the clock does not tell."""
    if session.duration_s is None or since_s < 0:
        return True
    return since_s - LATEST_S <= session.duration_s <= since_s + SLACK_S
