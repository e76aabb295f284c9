"""`@task.octa(image=...)`: a Python function runs on a rented machine.

Its source and its arguments go there over SSH, its result comes back, both as JSON: what runs on a rented machine could
answer with a pickle that runs code here.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, DecoratedOperator, task_decorator_factory

from airflow_provider.function_call import call_arguments, refuse_coroutine
from airflow_provider.function_source import refuse_unknown_names, script_that_calls
from airflow_provider.job_event import uuid_told_by
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.rental_key import rental_key
from octa_provider.text.carried import carried

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from octa_provider import JobSpec

__all__ = ["octa_task"]

#: XCom is no place for more.
MOST_RESULT_BYTES = 64 * 1024 * 1024
_RESULT_FOLDER = "result"
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
        self._result_name = ""
        super().__init__(command="known later", via="ssh", **kwargs)

    def execute(self, context: Context) -> Any:
        """Run the function; returns what it returned."""
        with ExitStack() as stack:
            self._enter_folder(stack, context, None)
            return self._value(super().execute(context))

    def execute_resumed(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Do what the trigger came back for; at the end returns what the function returned."""
        with ExitStack() as stack:
            folder = self._enter_folder(stack, context, event)
            return self._value(super().execute_resumed(context, _fetched_to(folder, event)))

    def _enter_folder(self, stack: ExitStack, context: Context, event: dict[str, Any] | None) -> Path:
        """The private folder for as long as the stack is open; a disk that has no room for it ends the session too."""
        try:
            return stack.enter_context(self._private_folder())
        except OSError as error:
            self.stop_after(error, self.connect(context), rental_key(context), uuid_told_by(event or {}))
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

    @contextmanager
    def _private_folder(self) -> Iterator[Path]:
        """A folder that this user alone can enter: in the shared temporary one, whoever guesses a name could lay a
        result, or a link, where this one is to be written."""
        self._folder = Path(tempfile.mkdtemp(prefix="octa-task-"))
        try:
            yield self._folder
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def job_spec(self, context: Context) -> JobSpec:
        """The job that runs the function; its source and its arguments are written to files for it."""
        source = self.get_python_source()  # type: ignore[no-untyped-call]
        script = script_that_calls(source, self.python_callable.__name__)
        arguments = call_arguments(self.python_callable, list(self.op_args), dict(self.op_kwargs), context)
        # What is not the same function with the same arguments must not carry on with what that left.
        remote = f"octa-task-{hashlib.sha256((script + arguments).encode()).hexdigest()[:16]}"
        # Written here, where a disk that is full ends the session too.
        assert self._folder is not None
        for name, text in (("run.py", script), ("arguments.json", arguments)):
            (self._folder / name).write_text(text, encoding="utf-8")
        self.command = [self.python, "-u", f"{remote}/run.py"]
        spec = super().job_spec(context)
        # Its name tells it from whatever the user fetches.
        self._result_name = f"{remote}.json"
        fetched = str(self._folder / _RESULT_FOLDER / self._result_name)
        return replace(
            spec,
            inputs={**spec.inputs, **{str(self._folder / n): f"{remote}/{n}" for n in ("run.py", "arguments.json")}},
            outputs={**spec.outputs, f"{remote}/result.json": fetched},
        )

    def _value(self, result: dict[str, Any]) -> Any:
        path = next(Path(file) for file in result["outputs"] if Path(file).name == self._result_name)
        if path.stat().st_size > MOST_RESULT_BYTES:
            raise AirflowFailException(f"The function's result is longer than {MOST_RESULT_BYTES} bytes: fetch a file.")
        try:
            # What runs there may write what Airflow can't carry.
            return carried(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, RecursionError) as error:
            raise AirflowFailException(f"The function's result is no JSON value: {error}") from error


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
    python_callable: Callable[..., Any] | None = None, multiple_outputs: bool | None = None, **kwargs: Any
) -> Any:
    """Run a Python function on a rented machine: `@task.octa(image="python:3.12", gpu_model="4090")`.

    The function must be whole in itself: what it imports it imports inside, and the image has it, and a Python 3.7 or
    newer. Arguments and result are JSON values; of the context it can have what is one, such as `params` or `run_id`.
    When it raises, the task fails, and the end of the traceback is in the error; `sys.exit(code)` ends it with a code
    for `skip_on_exit_code`. What it prints is in the task's log.

    Args:
        python_callable: the function.
        multiple_outputs: whether a dict that it returns becomes one XCom for each key.
        kwargs: as of `OctaRunJobOperator`, without `command`, `via` and `result_file`; `inputs` and
            `outputs` are relative to the folder that the function runs in; `python` is the interpreter, default
            `python3`.

    Returns (XCom): what the function returned. What it cost is under the key `cost`.

    Raises:
        ValueError: when the DAG file is parsed: a coroutine function, which nobody would await there; or one that uses
            a name from around it, or one that nobody defines.
        AirflowFailException: when the task runs, before anything is rented: an argument is no JSON value, or the
            function needs of the context what a rented machine can't have, such as `ti`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        refuse_coroutine(function)
        refuse_unknown_names(function)
        return task_decorator_factory(
            python_callable=function,
            multiple_outputs=multiple_outputs,
            decorated_operator_class=_OctaDecoratedOperator,
            **kwargs,
        )

    return decorate if python_callable is None else decorate(python_callable)
