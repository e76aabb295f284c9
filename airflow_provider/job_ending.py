"""How a job's end becomes a task's: success, failure that a retry may mend or not, skip."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider.exceptions import OctaJobFailedError
from octa_provider.text.plain_text import plain_message

if TYPE_CHECKING:
    from octa_provider import JobState

__all__ = ["raise_for_outcome"]


def raise_for_outcome(state: JobState, tail: Sequence[str], skip_on_exit_code: Collection[int] = ()) -> None:
    """Raise what the task has to end with, if it is no success.

    Args:
        state: the job, whose outcome is known.
        tail: the last lines that the command printed.
        skip_on_exit_code: exit codes that mean: nothing to do.

    Raises:
        AirflowSkipException: it ended with one of these codes.
        AirflowFailException: it failed, and the same again would fail again.
        OctaJobFailedError: it failed; another try may do better.
    """
    from octa_provider.job.log import NO_SHELL
    from octa_provider.job.result import JobOutcome

    if state.outcome is JobOutcome.SUCCEEDED:
        return
    if state.outcome is JobOutcome.FAILED and state.exit_code in skip_on_exit_code:
        raise AirflowSkipException(f"The command ended with exit code {state.exit_code}, which means: skip.")
    outcome = "unknown" if state.outcome is None else state.outcome.value
    message = f"The job {state.key} did not succeed ({outcome}): {state.message}"
    if tail:
        message += "\nIts last lines:\n" + "\n".join(tail)
    message = plain_message(message)
    # A cap would be spent again, and an image does not grow a shell.
    if state.outcome is JobOutcome.OVER_BUDGET or NO_SHELL in state.message:
        raise AirflowFailException(message)
    raise OctaJobFailedError(message)
