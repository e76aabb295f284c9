"""How many machines may be tried, one after the other, when one does not come up."""

from __future__ import annotations

from octa_provider.errors import OctaConfigError

__all__ = ["MOST_START_ATTEMPTS", "check_start_attempts"]

#: Whoever needs more has another problem than a machine, and each of them bills while it is waited for.
MOST_START_ATTEMPTS = 10


def check_start_attempts(attempts: int, node_id: int | None) -> None:
    """Refuse what can't be tried.

    Args:
        attempts: how many machines are tried, one after the other.
        node_id: the one machine that is allowed; None for any.

    Raises:
        OctaConfigError: it is no number from 1 to 10, or more than one where only one machine is allowed.
    """
    if isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= MOST_START_ATTEMPTS:
        raise OctaConfigError(
            f"start_attempts must be a whole number from 1 to {MOST_START_ATTEMPTS}, not {attempts!r}"
        )
    if attempts > 1 and node_id is not None:
        raise OctaConfigError(
            f"start_attempts={attempts} tries other machines, and node_id={node_id} allows none: leave one of them out"
        )
