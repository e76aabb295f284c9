"""The machines that were tried before a session, told by the session itself.

They travel in its environment, which is written by the very request that starts it: whoever finds the session knows
what was before it, whoever died in between. What became of each does not travel: it is long, and a stranger's words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

from octa_provider.rental.tried_machine import TriedMachine
from octa_provider.wire.session_envs import JOB_ENV, TRIED_ENV

if TYPE_CHECKING:
    from octa_provider.models import Session

__all__ = ["tried_before", "tried_before_rental", "tried_envs", "tried_in"]

# Whoever has the account's key can write one: none raises a cap.
_Wei = Annotated[int, msgspec.Meta(ge=0)]
_Amount = Annotated[float, msgspec.Meta(ge=0)]


class _Row(msgspec.Struct, array_like=True):
    uuid: str
    node_id: int | None
    cost_wei: _Wei | None
    cost_usd: _Amount | None
    duration_s: _Amount | None
    price_usd: _Amount | None
    # Earlier releases wrote no more than that.
    replaced: bool = False


def tried_envs(tried: Iterable[TriedMachine]) -> dict[str, str]:
    """The environment variable that carries machines; none for none.

    Args:
        tried: the machines before.
    """
    rows = [_row(one) for one in tried]
    return {TRIED_ENV: json.dumps(rows, separators=(",", ":"))} if rows else {}


def _row(one: TriedMachine) -> list[object]:
    row: list[object] = [one.uuid, one.node_id, one.cost_wei, one.cost_usd, one.duration_s, one.price_usd]
    return [*row, True] if one.replaced else row


def tried_before(session: Session) -> tuple[TriedMachine, ...]:
    """The machines that were tried before a session was started; none where it does not tell any.

    Args:
        session: as the API tells it.
    """
    return tried_in(session.user_envs or {})


def tried_in(envs: Mapping[str, str]) -> tuple[TriedMachine, ...]:
    """The same, by the environment of a session.

    Args:
        envs: its environment variables.
    """
    try:
        rows = msgspec.json.decode(envs.get(TRIED_ENV, "[]"), type=list[_Row])
    except (ValueError, RecursionError):
        return ()
    return tuple(
        TriedMachine(
            *(row.uuid, row.node_id, row.cost_wei, row.cost_usd, row.duration_s),
            "another one took its place" if row.replaced else "it never came up",
            row.price_usd,
            row.replaced,
        )
        for row in rows
    )


def tried_before_rental(session: Session | None) -> tuple[TriedMachine, ...]:
    """The same for a session as a plain rental knows it: of a job's, the job itself counts those before it.

    Args:
        session: as the API tells it; None where that is not known.
    """
    return () if session is None or JOB_ENV in (session.user_envs or {}) else tried_before(session)
