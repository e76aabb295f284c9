"""What the task that runs a job does."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import SecretStr

from octa_provider.job.events import OnEvent
from octa_provider.market.requirements import Requirements
from octa_provider.timing.limits import checked_cap
from octa_provider.wire.labels import checked_labels
from prefect_blocks.credentials import OctaCredentials, account_of
from prefect_blocks.job import OctaJob
from prefect_blocks.requirement_fields import fields_of, requirements_of
from prefect_blocks.secret_values import hidden_values

__all__ = ["run_job"]


def run_job(
    image: str,
    command: str | Sequence[str],
    *,
    envs: Mapping[str, str] | None = None,
    secret_envs: Mapping[str, str | SecretStr] | None = None,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    result_file: str | None = None,
    requirements: Mapping[str, Any] | Requirements | None = None,
    disk_gb: int = 10,
    timeout_s: float = 3600.0,
    ready_timeout_s: float = 900.0,
    via: Literal["auto", "container", "ssh"] = "auto",
    max_cost_usd: float | None = None,
    max_duration_s: float | None = None,
    http_ports: Sequence[int] = (),
    ports: Sequence[int] = (),
    entrypoint: str = "",
    app: str = "",
    start_attempts: int = 1,
    keep_failed_s: float | None = None,
    wait_for_machine_s: float = 0.0,
    labels: Mapping[str, str] | None = None,
    log_path: str | None = None,
    progress: str | None = None,
    progress_total: int | None = None,
    poll_s: float = 5.0,
    key: str | None = None,
    name: str = "",
    credentials: OctaCredentials | str | None = None,
    on_event: OnEvent | None = None,
) -> dict[str, Any]:
    """Rent a machine, run a command there to completion, fetch what it made, and stop the machine on every way out.

    Args:
        image: container image; may be empty when `app` is given.
        command: a shell command line, or a sequence of arguments.
        envs: environment variables; the account's sessions show them, so no secrets.
        secret_envs: environment variables that go to the machine over SSH alone, never to the API; `SecretStr`, and so
            what a Secret block holds, is as good as text. Part of no cache key. Needs SSH.
        inputs: files and folders to send: local path to remote path. Needs SSH.
        outputs: files and folders to fetch when it has ended: remote path to local path. Needs SSH.
        result_file: a JSON file that the command writes, relative to its folder: its value is in the result, under
            `value`. A success that leaves none is a failure. Needs SSH. At most 256 kB.
        requirements: fields of the core's `Requirements`; the cheapest machine when left out.
        disk_gb: disk in GB.
        timeout_s: seconds that the command may run; the machine ends it itself.
        ready_timeout_s: seconds that the machine may take to come up.
        via: how the command is run: `container` (it is the container's own), `ssh`, or `auto`, which takes SSH when
            there are files to move or secrets.
        max_cost_usd: the job is stopped when it has cost so much, in USD.
        max_duration_s: the job is stopped when its machine has run so many seconds, whatever it does; machines that the
            balance can't pay for that long are refused.
        http_ports: ports to publish as URLs while it runs; the run's log and an artifact tell the URLs.
        ports: TCP ports to expose while it runs.
        entrypoint: the container's: a program that runs what it is given. A command over SSH does not go through it.
        app: uuid of an app of OctaSpace's.
        start_attempts: how many machines are tried, one after the other, when one does not come up within
            `ready_timeout_s`. What each has cost is on the bill, and counts towards `max_cost_usd`.
        keep_failed_s: seconds for which the machine of a command that failed, or ran into `timeout_s`, is kept, for a
            look: it bills on, for so long at most where the reaper flow runs. None stops it.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken; 0 fails at once. What waits
            is running, not failed; the end of the run ends the wait.
        labels: words of your own on the session, such as `{"project": "atlas"}`, to find it and to split a bill by.
            Whoever has the account's key, and the machine's owner, read them: no secrets. With others it is the same
            work.
        log_path: a local file that gets the command's output.
        progress: how to read progress from the output: `blender`, a regular expression, or None for `NN%` and `i/n`.
        progress_total: how many steps there are; for Blender the frames.
        poll_s: seconds between two looks.
        key: names the job within the flow run, where two that look the same are not.
        name: what the work is called in events and artifacts; when empty, as the key or the flow is.
        credentials: the account, a block or the name of a saved one; the environment's when left out.
        on_event: called with each thing that happens, the core's `JobEvent`, in a thread of the job with this run's
            context. What it raises is logged once, and does not end the job. Part of no cache key; a result that comes
            from a cache tells nothing.

    Returns:
        The core's `JobResult` as a JSON value; amounts of wei are text. `value` is what the command has returned.

    Raises:
        JobFailedError: the command did not end with exit code 0, or its outputs are missing.
        OctaNoMachineError, OctaBudgetError: nothing could be rented.
        OctaConfigError: a value that can't work, before any money is spent.
        OctaCancelledError: the run is being ended; the machine was stopped.
        OctaStopError: the machine could not be stopped in time, and may still bill.
    """
    checked_cap("max_cost_usd", max_cost_usd)
    checked_cap("max_duration_s", max_duration_s)
    job = OctaJob(
        credentials=account_of(credentials),
        name=name,
        image=image,
        command=command if isinstance(command, str) else shlex.join(command),
        envs=dict(envs or {}),
        secret_envs=hidden_values(secret_envs),
        inputs=dict(inputs or {}),
        outputs=dict(outputs or {}),
        result_file=result_file,
        disk_gb=disk_gb,
        timeout_s=timeout_s,
        ready_timeout_s=ready_timeout_s,
        via=via,
        max_cost_usd=max_cost_usd,
        max_duration_s=max_duration_s,
        http_ports=list(http_ports),
        ports=list(ports),
        entrypoint=entrypoint,
        app=app,
        start_attempts=start_attempts,
        keep_failed_s=keep_failed_s,
        wait_for_machine_s=wait_for_machine_s,
        labels=checked_labels({} if labels is None else labels),
        log_path=log_path,
        progress=progress,
        progress_total=progress_total,
        poll_s=poll_s,
        **fields_of(requirements_of(requirements)),
    )
    return job.run(key, on_event=on_event).to_json()
