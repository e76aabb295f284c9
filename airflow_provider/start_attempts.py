"""`start_attempts` where it can't be had: a machine that is rented in one task, and waited for in another."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["refuse_start_attempts"]


def refuse_start_attempts(kwargs: Mapping[str, object]) -> None:
    """Refuse it with what to do, where Airflow would only say that it knows no such argument.

    Args:
        kwargs: what an operator or sensor was given beside its own arguments.

    Raises:
        ValueError: it is among them.
    """
    if "start_attempts" in kwargs:
        raise ValueError(
            "start_attempts needs one task that rents and waits: a start operator's session is known to other tasks "
            "when the ready sensor finds that it never comes up, so it can't be exchanged for another. Use "
            "OctaRunJobOperator, which takes it, or OctaHook().get_conn().rentals.rent(...) in a task of your own"
        )
