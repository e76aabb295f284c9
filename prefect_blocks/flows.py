"""Flows to deploy as they are: one command on one machine, an animation over many, and the reaper for a schedule."""

from __future__ import annotations

from typing import Any, Literal

from prefect import get_run_logger
from prefect.client.orchestration import get_client

from octa_provider.errors import OctaStopError
from octa_provider.rental.json_values import orphan_json
from octa_provider.rental.reap import Reaped
from prefect_blocks.credentials import credentials_named
from prefect_blocks.intents import PrefectIntents
from prefect_blocks.job_task import run_job
from prefect_blocks.orphan_report import tell_orphan
from prefect_blocks.own_runs import octa_flow
from prefect_blocks.owner import owner_lives
from prefect_blocks.render_flows import plan_render_flow, render_animation_flow
from prefect_blocks.rental_key import PREFIX, flow_run_of
from prefect_blocks.secret_values import secrets_named

__all__ = ["plan_render_flow", "reap_orphans_flow", "render_animation_flow", "run_job_flow"]


@octa_flow(name="octa-run-job")
def run_job_flow(
    image: str,
    command: str,
    envs: dict[str, str] | None = None,
    inputs: dict[str, str] | None = None,
    outputs: dict[str, str] | None = None,
    requirements: dict[str, Any] | None = None,
    disk_gb: int = 10,
    timeout_s: float = 3600.0,
    max_cost_usd: float | None = None,
    poll_s: float = 5.0,
    credentials: str = "",
    secret_envs: dict[str, str] | None = None,
    max_duration_s: float | None = None,
    result_file: str | None = None,
    labels: dict[str, str] | None = None,
    wait_for_machine_s: float = 0.0,
    start_attempts: int = 1,
    ready_timeout_s: float = 900.0,
    via: Literal["auto", "container", "ssh"] = "auto",
    http_ports: list[int] | None = None,
    ports: list[int] | None = None,
    entrypoint: str = "",
    app: str = "",
    keep_failed_s: float | None = None,
    progress: str | None = None,
    progress_total: int | None = None,
    log_path: str | None = None,
    name: str = "",
) -> dict[str, Any]:
    """Run a command to completion on a rented machine.

    Args:
        image: container image.
        command: a shell command line.
        envs: environment variables; the account's sessions show them, so no secrets.
        inputs: files and folders to send: local path to remote path. Needs SSH.
        outputs: files and folders to fetch when it has ended: remote path to local path. Needs SSH.
        requirements: fields of the core's `Requirements`; the cheapest machine when left out.
        disk_gb: disk in GB.
        timeout_s: seconds that the command may run.
        max_cost_usd: the job is stopped when it has cost so much, in USD.
        poll_s: seconds between two looks.
        credentials: name of a saved `OctaCredentials` block; empty for the environment's account.
        max_duration_s: the job is stopped when its machine has run so many seconds, whatever it does.
        result_file: a JSON file that the command writes: its value is in the result, under `value`. Needs SSH.
        labels: words of your own on the session, to find it and to split a bill by; as of `run_job`.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken; 0 fails at once.
        start_attempts: how many machines are tried, one after the other, when one does not come up within
            `ready_timeout_s`. What each has cost is on the bill, and counts towards `max_cost_usd`.
        ready_timeout_s: seconds that the machine may take to come up.
        via: how the command is run: `container`, `ssh`, or `auto`, which takes SSH when there are files or secrets.
        http_ports: ports to publish as URLs while it runs; the run's log and an artifact tell the URLs.
        ports: TCP ports to expose while it runs.
        entrypoint: the container's: a program that runs what it is given. A command over SSH does not go through it.
        app: uuid of an app of OctaSpace's; then the image may be empty.
        keep_failed_s: seconds for which the machine of a command that failed is kept, for a look: it bills on, for so
            long at most where the reaper flow runs. None stops it.
        progress: how to read progress from the output: `blender`, a regular expression, or None for `NN%` and `i/n`.
        progress_total: how many steps there are; for Blender the frames.
        log_path: a local file that gets the command's output.
        name: what the work is called in events and artifacts; when empty, as the flow is.
        secret_envs: environment variable to the name of a saved Secret block; the value goes over SSH alone.

    Returns:
        The core's `JobResult` as a JSON value; amounts of wei are text.

    Raises:
        JobFailedError: the command did not end with exit code 0, or its outputs are missing.
        OctaNoMachineError, OctaBudgetError: nothing could be rented.
        OctaConfigError: a value that can't work, or there is no such Secret block.
    """
    return run_job(
        image,
        command,
        envs=envs,
        secret_envs=secrets_named(secret_envs),
        inputs=inputs,
        outputs=outputs,
        requirements=requirements,
        disk_gb=disk_gb,
        timeout_s=timeout_s,
        max_cost_usd=max_cost_usd,
        max_duration_s=max_duration_s,
        result_file=result_file,
        labels=labels,
        wait_for_machine_s=wait_for_machine_s,
        start_attempts=start_attempts,
        ready_timeout_s=ready_timeout_s,
        via=via,
        http_ports=http_ports or (),
        ports=ports or (),
        entrypoint=entrypoint,
        app=app,
        keep_failed_s=keep_failed_s,
        progress=progress,
        progress_total=progress_total,
        log_path=log_path,
        name=name,
        poll_s=poll_s,
        credentials=credentials_named(credentials),
    )


@octa_flow(name="octa-reap-orphans")
def reap_orphans_flow(
    older_than_s: float = 900.0,
    dry_run: bool = False,
    credentials: str = "",
    max_age_s: float | None = None,
    any_namespace: bool = False,
) -> dict[str, Any]:
    """Stop machines whose flow run has ended or was deleted. For a schedule, or for an automation after a crash.

    Sessions that were not started by this package's flows, tasks and workers are never touched, nor those of another
    Prefect on the same account.

    Args:
        older_than_s: only sessions that have run so many seconds.
        dry_run: only say what would be stopped.
        max_age_s: also stop what has run so many seconds although its flow run lives; of this installation only.
        any_namespace: also look at sessions of other namespaces, and of releases before 0.2, which had none. Only those
            are stopped whose run this Prefect knows, and knows to be over.
        credentials: name of a saved `OctaCredentials` block; empty for the environment's account.

    Returns:
        `orphans` (each with `uuid`, `key`, `node_id`, `age_s`, `charge_wei` as text), `stopped` and `failed` uuids,
        `kept`.

    Raises:
        OctaStopError: some could not be stopped in time, and may still bill.
    """
    logger = get_run_logger()
    with credentials_named(credentials).get_client() as octa, get_client(sync_client=True) as prefect:

        def reap(prefix: str, **options: Any) -> Reaped:
            return octa.rentals.reap(
                prefix,
                older_than_s=older_than_s,
                is_alive=lambda key: owner_lives(prefect, key),
                dry_run=dry_run,
                **options,
            )

        reaped = reap(PREFIX, max_age_s=max_age_s)
        if any_namespace:
            # Any prefix: in another namespace a key begins with that. What is not Prefect's counts as alive.
            others = reap("", any_namespace=True)
            reaped = Reaped(
                reaped.orphans + tuple(one for one in others.orphans if one not in reaped.orphans),
                tuple(dict.fromkeys(reaped.stopped + others.stopped)),
                tuple(dict.fromkeys(reaped.failed + others.failed)),
                others.kept,
                reaped.bills + others.bills,
            )
        if isinstance(octa.intents, PrefectIntents) and not dry_run:
            octa.intents.clear([session.uuid for session in octa.sessions.list()], octa.clock.time())
    for orphan in reaped.orphans:
        logger.warning("Orphan: session %s of %s, %s s old", orphan.uuid, orphan.key, orphan.age_s)
        if orphan.uuid in reaped.stopped:
            why = "the reaper stopped it: its flow run is over"
            tell_orphan(orphan, why, bills=reaped.bills, flow_run_id=flow_run_of(orphan.key))
    if reaped.failed:
        raise OctaStopError(f"not stopped, so perhaps still billing: {', '.join(reaped.failed)}", uuids=reaped.failed)
    return {
        "orphans": [orphan_json(orphan) for orphan in reaped.orphans],
        "stopped": list(reaped.stopped),
        "failed": list(reaped.failed),
        "kept": reaped.kept,
    }
