"""`@task.octa(image=...)`: a Python function runs on a rented machine.

Its source and its arguments go there over SSH, its result comes back, both as JSON: what runs on a rented machine could
answer with a pickle that runs code here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, DecoratedOperator, task_decorator_factory

from airflow_provider.function_call import call_arguments, refuse_odd_function
from airflow_provider.function_source import refuse_unknown_names, script_that_calls
from airflow_provider.job_event import is_anothers, uuid_told_by
from airflow_provider.job_xcom import JobXCom
from airflow_provider.not_given import NOT_GIVEN, given_of
from airflow_provider.odd_value import read_json
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.rental_key import rental_key
from octa_provider.text.carried import carried

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider.lineage.tells_lineage import MadeFiles
    from airflow_provider.written_file import FileArgument
    from octa_provider import JobSpec, JobState
    from octa_provider.job.events import OnEvent
    from octa_provider.market.requirements import Requirements

__all__ = ["octa_task"]

#: XCom is no place for more.
MOST_RESULT_BYTES = 64 * 1024 * 1024
_RESULT_FOLDER = "result"
_NOWHERE = Path("/nonexistent/octa-task")
_RESULT = re.compile(r"octa-task-[0-9a-f]{16}/result\.json")


class _OctaDecoratedOperator(DecoratedOperator, OctaRunJobOperator):
    """Runs a function on a rented machine; see `octa_task`."""

    custom_operator_name = "@task.octa"
    template_fields: Sequence[str] = (*OctaRunJobOperator.template_fields, "op_args", "op_kwargs")

    def __init__(self, *, python: str = "python3", **kwargs: Any) -> None:
        for name in ("command", "via", "wait_for_completion", "result_file"):
            if name in kwargs:
                raise ValueError(f"{name} is not for @task.octa: leave it out.")
        self.python = python
        self._folder: Path | None = None
        self._needs_folder = True
        #: The folder of the function there.
        self._remote = ""
        #: The one that this try has told its job, where it has come back.
        self._kept_remote: str | None = None
        #: What is sent to be called.
        self._made: dict[str, dict[str, Any]] = {}
        super().__init__(command="known later", via="ssh", **kwargs)

    def execute(self, context: Context) -> Any:
        """Run the function; returns what it returned, and None when it was killed since it is marked as a success."""
        with ExitStack() as stack:
            self._enter_folder(stack, context, None)
            return None if super().execute(context) is None else self._value()

    def execute_resumed(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Do what the trigger came back for; at the end returns what `execute` does."""
        # What is here already, and paid for, asks nothing of a disk that is full.
        self._needs_folder = not _brings_value(event)
        with ExitStack() as stack:
            folder = self._enter_folder(stack, context, event)
            result = super().execute_resumed(context, _fetched_to(folder, event))
            if result is None:
                return None
            # A job that had to begin anew has left a file.
            is_here = _brings_value(event) and not self._result_path.exists()
            return result["value"] if is_here else self._value()

    def _enter_folder(self, stack: ExitStack, context: Context, event: dict[str, Any] | None) -> Path:
        """The private folder for as long as the stack is open; a disk that has no room for it ends the session too."""
        try:
            return stack.enter_context(self._private_folder())
        except OSError as error:
            key, own = rental_key(context), JobXCom(context).uuid()
            if own is None and event and not is_anothers(event, own, key):
                own = uuid_told_by(event)
            self.stop_after(error, self.connect(context), key, own)
            raise

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """As of every operator that runs a job; the function's arguments as those of every function."""
        if content is self.op_args or content is self.op_kwargs:
            with self.giving_objects():
                return super().render_template(content, context, jinja_env, seen_oids)
        return super().render_template(content, context, jinja_env, seen_oids)

    def lineage_outputs(self) -> Iterable[MadeFiles]:
        """As of every job; without the file that brings the result, which is gone by then."""
        return [one for one in super().lineage_outputs() if Path(str(one[0])).name != f"{self._remote}.json"]

    @contextmanager
    def _private_folder(self) -> Iterator[Path]:
        """A folder that this user alone can enter: in the shared temporary one, whoever guesses a name could lay a
        result, or a link, where this one is to be written."""
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="octa-task-"))
        except OSError:
            if self._needs_folder:
                raise
            self._folder = _NOWHERE
        try:
            yield self._folder
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def job_spec(self, context: Context) -> JobSpec:
        """The job that runs the function; its source and its arguments are written to files for it."""
        # Airflow's own text of it drops lines of its strings that begin with `#`, and knows one name of the decorator.
        script = script_that_calls(self.python_callable)
        arguments = call_arguments(self.python_callable, list(self.op_args), dict(self.op_kwargs), context)
        # What is not the same function with the same arguments must not carry on with what that left. But a template of
        # the time is another one whenever it is rendered, and the DAG's file may be edited while the task is deferred.
        called = f"octa-task-{hashlib.sha256((script + arguments).encode()).hexdigest()[:16]}"
        remote = self._remote = self._kept_remote or called
        if remote != called:
            self.log.info(
                "The function or its arguments are not what they were when this job was started: what had begun by "
                "then has run, or runs, with the earlier ones."
            )
        # Written here, where a disk that is full ends the session too.
        assert self._folder is not None
        made = {
            self._folder / "run.py": {"text": script},
            # The arguments by their names too: some tell that a value is a secret.
            self._folder / "arguments.json": {"text": arguments, "says": json.loads(arguments)},
        }
        for path, one in made.items():
            try:
                path.write_text(one["text"], encoding="utf-8")
            except OSError:
                if self._needs_folder:
                    raise
        self._made = {str(path): one for path, one in made.items()}
        self.command = [self.python, "-u", f"{remote}/run.py"]
        spec = super().job_spec(context)
        return replace(
            spec,
            inputs={**spec.inputs, **{str(path): f"{remote}/{path.name}" for path in made}},
            outputs={**spec.outputs, self._value_of(): str(self._result_path)},
        )

    def _value_of(self) -> str:
        return f"{self._remote}/result.json"

    def _keep_places(self, state: JobState) -> None:
        told = next((remote for remote in state.outputs if _RESULT.fullmatch(remote)), None)
        self._kept_remote = None if told is None else told.partition("/")[0]

    def _texts(self) -> dict[str, dict[str, Any]]:
        return self._made

    @property
    def _result_path(self) -> Path:
        """Where a worker fetches the result to; its name tells it from whatever the user fetches."""
        assert self._folder is not None
        return self._folder / _RESULT_FOLDER / f"{self._remote}.json"

    def _value(self) -> Any:
        # It is there: a job that succeeded has all its outputs, wherever else the user's are.
        path = self._result_path
        if path.stat().st_size > MOST_RESULT_BYTES:
            raise AirflowFailException(f"The function's result is longer than {MOST_RESULT_BYTES} bytes: fetch a file.")
        try:
            # What runs there may write what Airflow can't carry.
            return carried(read_json(path.read_text(encoding="utf-8")))
        except (ValueError, RecursionError) as error:
            raise AirflowFailException(f"The function's result is no JSON value for Airflow: {error}") from error


def _brings_value(event: dict[str, Any] | None) -> bool:
    """Whether the triggerer has read the function's result, and the event carries it."""
    job = (event or {}).get("job")
    told = job.get("result_file") if isinstance(job, Mapping) else None
    return event is not None and event.get("what") == "ended" and bool(_RESULT.fullmatch(str(told)))


def _fetched_to(folder: Path, event: dict[str, Any] | None) -> dict[str, Any] | None:
    """The trigger's event, with the result to be fetched into a folder of this worker: the other one's is gone."""
    job = (event or {}).get("job")
    outputs = job.get("outputs") if isinstance(job, Mapping) else None
    if event is None or not isinstance(job, Mapping) or not isinstance(outputs, Mapping):
        return event
    moved = {
        remote: str(folder / _RESULT_FOLDER / Path(local).name) if _RESULT.fullmatch(remote) else local
        for remote, local in outputs.items()
    }
    return {**event, "job": {**job, "outputs": moved}}


def octa_task(
    python_callable: Callable[..., Any] | None = None,
    multiple_outputs: bool | None = None,
    *,
    python: str = NOT_GIVEN,
    image: str = NOT_GIVEN,
    envs: Mapping[str, str] | None = NOT_GIVEN,
    secret_envs: Mapping[str, str] | None = NOT_GIVEN,
    inputs: Mapping[str | os.PathLike[str], str] | None = NOT_GIVEN,
    outputs: Mapping[str, str | os.PathLike[str]] | None = NOT_GIVEN,
    log_path: FileArgument | None = NOT_GIVEN,
    disk_gb: int | str = NOT_GIVEN,
    timeout_s: float | str = NOT_GIVEN,
    ready_timeout_s: float | str = NOT_GIVEN,
    http_ports: Sequence[int | str] | str = NOT_GIVEN,
    ports: Sequence[int | str] | str = NOT_GIVEN,
    node_id: int | str | None = NOT_GIVEN,
    gpu_model: str | Sequence[str] | None = NOT_GIVEN,
    gpu_count: int | str | None = NOT_GIVEN,
    gpu_memory_gb: float | str | None = NOT_GIVEN,
    memory_gb: float | str | None = NOT_GIVEN,
    cpu_cores: int | str | None = NOT_GIVEN,
    max_price_usd: float | str | None = NOT_GIVEN,
    country: str | Sequence[str] | None = NOT_GIVEN,
    min_blender_score: float | str | None = NOT_GIVEN,
    min_reliability: float | str | None = NOT_GIVEN,
    exclude_nodes: Sequence[int] | str | None = NOT_GIVEN,
    order_by: str | None = NOT_GIVEN,
    requirements: Requirements | Mapping[str, Any] | None = NOT_GIVEN,
    max_cost_usd: float | str | None = NOT_GIVEN,
    max_duration_s: float | str | None = NOT_GIVEN,
    entrypoint: str = NOT_GIVEN,
    app: str = NOT_GIVEN,
    start_attempts: int | str = NOT_GIVEN,
    wait_for_machine_s: float | str = NOT_GIVEN,
    labels: Mapping[str, str] | None = NOT_GIVEN,
    skip_on_exit_code: int | Collection[int] | None = NOT_GIVEN,
    on_finish_action: str = NOT_GIVEN,
    keep_failed_s: float | str = NOT_GIVEN,
    on_kill_action: str = NOT_GIVEN,
    durable: bool = NOT_GIVEN,
    poll_interval: float | str = NOT_GIVEN,
    deferrable: bool = NOT_GIVEN,
    on_event: OnEvent | None = NOT_GIVEN,
    files_in_trigger: bool = NOT_GIVEN,
    octa_conn_id: str = NOT_GIVEN,
    **kwargs: Any,
) -> Any:
    """Run a Python function on a rented machine: `@task.octa(image="python:3.12", gpu_model="4090")`.

    The function must be whole in itself: what it imports it imports inside, and the image has it, and a Python 3.7 or
    newer. Arguments and result are JSON values; of the context it can have what is one, such as `params` or `run_id`,
    as an argument of that name, or of `**context` what it reads as `context["run_id"]`.
    When it raises, the task fails, and the end of the traceback is in the error; `sys.exit(code)` ends it with a code
    for `skip_on_exit_code`. What it prints is in the task's log.

    Args:
        python_callable: the function.
        multiple_outputs: whether a dict that it returns becomes one XCom for each key.
        python: the interpreter there, default `python3`.
        image: container image, such as `blender:4.5`.
        envs: environment variables. The account's sessions show them: no secrets.
        secret_envs: environment variables that reach the function over SSH alone; as of `OctaRunJobOperator`.
        inputs: files and folders of the worker to send: local path to remote path, relative to the
            folder that the function runs in.
        outputs: files and folders to fetch to the worker: remote path, relative to
            the folder that the function runs in, to local path.
        log_path: a file that gets all that the function prints: on the worker, or a URL or `ObjectStoragePath`.
        disk_gb: disk in GB.
        timeout_s: seconds that the function may run; the machine ends it itself.
        ready_timeout_s: seconds that the session may take to come up.
        http_ports: ports to publish as URLs while it runs.
        ports: TCP ports to expose while it runs.
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
            `max_cost_usd`.
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
        poll_interval: seconds between two looks.
        deferrable: whether to wait in the triggerer; Airflow's `[operators] default_deferrable` when left out.
        on_event: a plain function, called on a worker, not on the rented machine, with each thing that happens; as of
            `OctaRunJobOperator`.
        files_in_trigger: True (default) lets the triggerer of a deferred task read the function's result, of at most
            256 kB, and stop the machine before the task waits for a worker; also send source and arguments of up to
            16 kB. Other files as of `OctaRunJobOperator`. False leaves all of it to workers.
        octa_conn_id: the connection.
        kwargs: as of every operator.

    What is left out is as the DAG's `default_args` say, and else as of `OctaRunJobOperator`.

    Returns (XCom): what the function returned. What it cost is under the key `cost`.

    Raises:
        ValueError: when the DAG file is parsed: a coroutine function or a generator, what is no plain function, or has
            another decorator below this one; or one that uses a name from around it, or one that nobody defines.
        AirflowFailException: when the task runs, before anything is rented: an argument is no JSON value, or the
            function needs of the context what a rented machine can't have, such as `ti`.
    """
    given = given_of(locals(), but={"python_callable", "multiple_outputs", "kwargs"})

    def decorate(function: Callable[..., Any]) -> Any:
        refuse_odd_function(function)
        refuse_unknown_names(function)
        return task_decorator_factory(
            python_callable=function,
            multiple_outputs=multiple_outputs,
            decorated_operator_class=_OctaDecoratedOperator,
            **given,
            **kwargs,
        )

    return decorate if python_callable is None else decorate(python_callable)
