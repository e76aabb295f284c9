"""Rent a machine, run one command on it to completion, and stop the machine, whatever happens."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider.connection_form import DEFAULT_CONN_ID
from airflow_provider.job_refusals import (
    ENDS_ELSEWHERE,
    KEEPS_FAILED,
    STARTS_ONLY,
    TELLS_WAITING,
    TRIES_ELSEWHERE,
    checked_interval,
)
from airflow_provider.running_job import RunsJob
from airflow_provider.templated import as_codes, as_int, check_known, checked_deadline, is_known, refuse_text_flags

if TYPE_CHECKING:
    from airflow_provider.written_file import FileArgument
    from octa_provider.job.events import OnEvent
    from octa_provider.market.requirements import Requirements

__all__ = ["OctaRunJobOperator"]

FINISH_ACTIONS = ("stop", "stop_succeeded", "keep")
KILL_ACTIONS = ("stop", "keep")


class OctaRunJobOperator(RunsJob):
    """Rent a machine, run a command on it to completion, collect its outputs, and stop the machine on every way out.

    The rental key is made of DAG, run, task and map index: a retry, also of a worker that vanished, carries on with the
    same machine and the same running command. With `deferrable` the wait needs no worker slot: log lines appear while
    it is deferred, and the session is stopped in the triggerer as soon as the work is done. Where the
    triggerer does not see the worker's files a worker comes back to move them, once to send the inputs, once to fetch
    the outputs; the session is billed while it waits for its slot.

    Args:
        image: container image, such as `blender:4.5`; may be empty when `app` is given.
        command: a shell command line, a sequence of arguments, or the name of a file beside the DAG with the command,
            such as `render.sh`, which ends in `.sh`, `.bash` or `.py`; a blank behind it makes it a program there.
        envs: environment variables. The account's sessions show them: no secrets.
        secret_envs: environment variables that reach the command over SSH alone; see `DescribesJob`.
        inputs: files and folders of the worker to send: local path to remote path. Needs SSH.
        outputs: files and folders to fetch to the worker: remote path to local path. Needs SSH.
        log_path: a file that gets the command's whole output: on the worker, or a URL or `ObjectStoragePath`.
        disk_gb: disk in GB.
        timeout_s: seconds that the command may run; the machine ends it itself.
        ready_timeout_s: seconds that the session may take to come up.
        via: `container`, `ssh`, or `auto` (default): `ssh` when there are files to move or secrets to hand over.
        http_ports: ports to publish as URLs while it runs.
        ports: TCP ports to expose while it runs.
        result_file: a JSON file that the command writes, relative to its folder, such as `result.json`: its value is
            what the task returns. A success that leaves none is a failure. Needs SSH. At most 256 kB.
        node_id: this machine and no other.
        gpu_model: part of the card's name, in any case, such as `4090`; or a list, of which one will do.
        gpu_count: at least so many cards.
        gpu_memory_gb: at least so much memory on each card, in GB.
        memory_gb: at least so much main memory, in GB.
        cpu_cores: at least so many cores.
        max_price_usd: at most so much, in USD per hour.
        country: ISO code or name; or a list, of which one will do.
        min_blender_score: at least this Blender benchmark score.
        min_reliability: at least this share of its sessions ended as they should, in percent.
        exclude_nodes: machines not to take.
        order_by: `price` (default), `blender_score` or `score_per_usd`.
        requirements: the same as a mapping or `Requirements`; single arguments win over it.
        max_cost_usd: the job is stopped when it has cost so much.
        max_duration_s: the job is stopped when its session has run so long, whatever it does; machines that the balance
            can't pay for that long are refused.
        entrypoint: the container's: a program that runs what it is given. A command over SSH does not go through it.
        app: uuid of an app of the catalogue.
        start_attempts: how many machines are tried, one after the other, when one does not come up within
            `ready_timeout_s`; 1 (default) fails then. What each has cost is on the bill, and counts towards
            `max_cost_usd`. The next one is not waited for: `retries` do.
        wait_for_machine_s: seconds to wait for a machine when none fits or all are taken, with `deferrable` without a
            worker slot; 0 (default) fails at once.
        labels: words of your own on the session, such as `{"project": "atlas"}`, to find it and to split a bill by.
            Whoever has the account's key, and the machine's owner, read them: no secrets.
        skip_on_exit_code: an exit code, or several, that skip the task instead of failing it.
        on_finish_action: `stop` (default); `stop_succeeded`: as `stop`, but the session of a command that failed, or
            ran into `timeout_s`, is kept for `keep_failed_s`, for a look into it; or `keep`: the session runs and bills
            when the job has ended, however. Then stop it yourself; a retry does so, too, but for one that
            `stop_succeeded` keeps: it starts another one beside it.
        keep_failed_s: seconds for which `stop_succeeded` keeps a session that bills on, 3600 by default. Then a retry,
            the triggerer of a task that was deferred, or `OctaReapOperator` stops it.
        on_kill_action: `stop` (default), or `keep`: a task that is killed, cleared or marked leaves its session to the
            next try.
        durable: True (default) lets a try carry on with what an earlier one left; False stops that and begins anew.
        wait_for_completion: False only starts the job, without files; `OctaJobSensor` waits for it and stops it.
        poll_interval: seconds between two looks.
        deferrable: whether to wait in the triggerer; Airflow's `[operators] default_deferrable` when left out.
        on_event: a plain function, called on a worker with each thing that happens, a `JobEvent`: `started`, `ready`,
            `line`, `progress`, `ended`, `stopped`. What it raises is logged once, and does not end the job. While the
            task is deferred nobody is told: a worker tells `ready`, `ended` and `stopped` when the task comes back, and
            lines and progress of that time never.
        files_in_trigger: True (default) lets the triggerer of a deferred task send inputs and fetch outputs where it
            sees the worker's files, so that no machine bills while the task waits for a worker: absolute paths, the
            same user, no `secret_envs`, no `on_event`. False leaves all files to workers.
        octa_conn_id: the connection.
        kwargs: as of every operator.

    Returns (XCom): `JobResult` as a dict: `exit_code`, `outcome`, `outputs` (the first 50 of them, of at most 8,000
        characters), `outputs_count`, `cost_wei` (as text), `cost_usd`, `duration_s`, `node_id`, `uuid`, `key`,
        `attempts`, `value`, `tried`. As soon as they are known also, under `uuid` and `session`, the session; at the
        end under `cost` what it came to, of a failed job too. With `result_file` the value that the command wrote, any
        JSON value, and `JobResult` under `result`, of a failed job too; `multiple_outputs=True` makes of a value that
        is a dict one XCom for each key.

    Raises:
        ValueError: when the DAG file is parsed: an argument that can never work.
        AirflowSkipException: the command ended with a code of `skip_on_exit_code`.
        AirflowFailException: a failure that no retry can mend.
        AirflowTaskTimeout: `execution_timeout` was over while the task was deferred; the session was stopped.
        OctaJobFailedError: the job did not succeed; the last lines of its log are in it. Nothing runs any more.
        OctaTaskError: any other failure, see `airflow_provider.exceptions`. Nothing runs any more.

    Example:
        >>> train = OctaRunJobOperator(task_id="train", image="pytorch/pytorch", command="python train.py",
        ...     inputs={"/data/train.py": "train.py"}, outputs={"model.pt": "/data/model.pt"}, gpu_model="4090")
    """

    template_fields: Sequence[str] = (*RunsJob.template_fields, "log_path", "poll_interval", "keep_failed_s")
    ui_color = "#d9e6fb"

    def __init__(
        self,
        *,
        image: str,
        command: str | Sequence[str],
        envs: Mapping[str, str] | None = None,
        secret_envs: Mapping[str, str] | None = None,
        inputs: Mapping[str | os.PathLike[str], str] | None = None,
        outputs: Mapping[str, str | os.PathLike[str]] | None = None,
        log_path: FileArgument | None = None,
        disk_gb: int | str = 10,
        timeout_s: float | str = 3600.0,
        ready_timeout_s: float | str = 900.0,
        via: str = "auto",
        http_ports: Sequence[int | str] | str = (),
        ports: Sequence[int | str] | str = (),
        result_file: str | None = None,
        node_id: int | str | None = None,
        gpu_model: str | Sequence[str] | None = None,
        gpu_count: int | str | None = None,
        gpu_memory_gb: float | str | None = None,
        memory_gb: float | str | None = None,
        cpu_cores: int | str | None = None,
        max_price_usd: float | str | None = None,
        country: str | Sequence[str] | None = None,
        min_blender_score: float | str | None = None,
        min_reliability: float | str | None = None,
        exclude_nodes: Sequence[int] | str | None = None,
        order_by: str | None = None,
        requirements: Requirements | Mapping[str, Any] | None = None,
        max_cost_usd: float | str | None = None,
        max_duration_s: float | str | None = None,
        entrypoint: str = "",
        app: str = "",
        start_attempts: int | str = 1,
        wait_for_machine_s: float | str = 0.0,
        labels: Mapping[str, str] | None = None,
        skip_on_exit_code: int | Collection[int] | None = None,
        on_finish_action: str = "stop",
        keep_failed_s: float | str = 3600.0,
        on_kill_action: str = "stop",
        durable: bool = True,
        wait_for_completion: bool = True,
        poll_interval: float | str = 5.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        on_event: OnEvent | None = None,
        files_in_trigger: bool = True,
        octa_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image=image,
            command=command,
            envs=envs,
            secret_envs=secret_envs,
            inputs=inputs,
            outputs=outputs,
            disk_gb=disk_gb,
            timeout_s=timeout_s,
            ready_timeout_s=ready_timeout_s,
            via=via,
            http_ports=http_ports,
            ports=ports,
            result_file=result_file,
            node_id=node_id,
            gpu_model=gpu_model,
            gpu_count=gpu_count,
            gpu_memory_gb=gpu_memory_gb,
            memory_gb=memory_gb,
            cpu_cores=cpu_cores,
            max_price_usd=max_price_usd,
            country=country,
            min_blender_score=min_blender_score,
            min_reliability=min_reliability,
            exclude_nodes=exclude_nodes,
            order_by=order_by,
            requirements=requirements,
            max_cost_usd=max_cost_usd,
            max_duration_s=max_duration_s,
            entrypoint=entrypoint,
            app=app,
            start_attempts=start_attempts,
            wait_for_machine_s=wait_for_machine_s,
            labels=labels,
            octa_conn_id=octa_conn_id,
            **kwargs,
        )
        self.log_path = log_path
        self.skip_on_exit_code = as_codes("skip_on_exit_code", skip_on_exit_code)
        self.on_finish_action = on_finish_action
        self.keep_failed_s = keep_failed_s
        self.on_kill_action = on_kill_action
        self.durable = durable
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.deferrable = deferrable
        self.files_in_trigger = files_in_trigger
        if on_event is not None:
            from octa_provider.job.events import checked_on_event

            on_event = checked_on_event(on_event)
        self.on_event = on_event
        if on_finish_action not in FINISH_ACTIONS:
            raise ValueError(f"on_finish_action={on_finish_action!r} is none of {', '.join(FINISH_ACTIONS)}.")
        if on_kill_action not in KILL_ACTIONS:
            raise ValueError(f"on_kill_action={on_kill_action!r} is neither of {' and '.join(KILL_ACTIONS)}.")
        self.check_known_arguments()

    def check_known_arguments(self) -> None:
        """As of every operator that describes a job; and the pace of its looks."""
        super().check_known_arguments()
        refuse_text_flags(
            durable=self.durable,
            wait_for_completion=self.wait_for_completion,
            deferrable=self.deferrable,
            files_in_trigger=self.files_in_trigger,
        )
        check_known(self, poll_interval=checked_interval, keep_failed_s=_checked_keep)
        if not self.wait_for_completion and self.on_finish_action == "stop_succeeded":
            raise ValueError(KEEPS_FAILED)
        # What another task returns may turn out to be empty.
        if not self.wait_for_completion and (
            self.via == "ssh"
            or any(isinstance(given, Mapping) and given for given in self._over_ssh())
            or (self.result_file and is_known(self.result_file))
        ):
            raise ValueError(STARTS_ONLY)
        if (
            not self.wait_for_completion
            and is_known(self.start_attempts)
            and (as_int("start_attempts", self.start_attempts) or 1) > 1
        ):
            raise ValueError(TRIES_ELSEWHERE)
        if not self.wait_for_completion and self.on_event is not None:
            raise ValueError(TELLS_WAITING)
        if not self.wait_for_completion and (self.log_path is not None or self.skip_on_exit_code):
            raise ValueError(ENDS_ELSEWHERE)

    def _over_ssh(self) -> tuple[object, ...]:
        return self.inputs, self.outputs, self.secret_envs


def _checked_keep(keep_failed_s: float | str) -> float:
    return checked_deadline(keep_failed_s, "keep_failed_s", 3600)
