"""What the task that stops a session does."""

from __future__ import annotations

from typing import Any

from octa_provider.text.carried import carried_dict
from prefect_blocks.at_exit import restore_signals
from prefect_blocks.credentials import OctaCredentials, account_of
from prefect_blocks.events import emit
from prefect_blocks.rental_guard import let_go
from prefect_blocks.session_argument import SessionArgument, as_known, rental_of

__all__ = ["stop_session"]


def stop_session(
    session: SessionArgument | None,
    *,
    score: int | None = None,
    deadline_s: float = 300.0,
    credentials: OctaCredentials | str | None = None,
) -> dict[str, Any] | None:
    """Stop a session and every other one of its key, and return when they have been seen gone. Safe to repeat.

    Args:
        session: what a start task returned, or a uuid; None, when nothing was started, does nothing.
        score: what the machine was worth, 1 to 5.
        deadline_s: seconds to try for.
        credentials: the account, a block or the name of a saved one; the environment's when left out.

    Returns:
        The bill: `uuid`, `charge_wei` (as text), `charge_usd`, `duration_s`, `termination_reason`.

    Raises:
        OctaStopError: not seen gone in time; it bills until it is stopped.
    """
    if session is None:
        return None
    with account_of(credentials).get_client() as client:
        rental = rental_of(client, session, to_stop=True)
        bill = rental.stop(score=score, deadline_s=deadline_s)
        let_go(rental.uuid)
        restore_signals()
        emit("stopped", as_known(client, rental), bill=bill)
        return carried_dict(bill.to_dict())
