"""Why a job is refused, in sentences that more than one place says, and what is checked of its pace."""

from __future__ import annotations

from airflow_provider.templated import checked_deadline

__all__ = ["ENDS_ELSEWHERE", "KEEPS_FAILED", "STARTS_ONLY", "TELLS_WAITING", "TRIES_ELSEWHERE", "checked_interval"]

#: Why a job is refused that nobody waits for.
STARTS_ONLY = (
    "wait_for_completion=False only starts a command, and is for jobs without inputs, outputs, secret_envs and "
    "result_file, which a worker has to move over SSH: leave them out, or let the task wait, with deferrable=True for "
    "no worker slot."
)

#: The same for one that nobody could start on another machine.
TRIES_ELSEWHERE = (
    "start_attempts tries another machine when one never comes up, which takes a task that waits: leave it out, or let "
    "the task wait, with deferrable=True for no worker slot."
)

#: The same for what nobody would tell.
TELLS_WAITING = (
    "on_event is called by a task that waits for its job: leave it out, or let the task wait, with deferrable=True for "
    "no worker slot."
)

#: The same for what would have to be done at its end.
ENDS_ELSEWHERE = (
    "log_path and skip_on_exit_code are for a task that waits for its job: leave them out (OctaJobSensor has a "
    "skip_on_exit_code of its own), or let the task wait, with deferrable=True for no worker slot."
)

#: The same for one whose failure nobody would see here.
KEEPS_FAILED = (
    "on_finish_action='stop_succeeded' is for a task that waits for its job: leave it out, or let the task wait, with "
    "deferrable=True for no worker slot."
)


def checked_interval(poll_interval: float | str) -> float:
    """A rendered `poll_interval`.

    Args:
        poll_interval: seconds between two looks.

    Raises:
        ValueError: it leaves no time.
    """
    return checked_deadline(poll_interval, "poll_interval", 5)
