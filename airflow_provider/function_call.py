"""Which function `@task.octa` can call on a rented machine, and with what: nothing is rented for what can't work."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider.function_source import keys_read_from

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["call_arguments", "refuse_odd_function"]

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def refuse_odd_function(function: Callable[..., Any]) -> None:
    """Refuse what can't be called there by its source alone, when the DAG file is parsed.

    Args:
        function: what was decorated.

    Raises:
        ValueError: it would have to be awaited, makes no JSON value, is no plain function, or another decorator has
            been there before.
    """
    name = getattr(function, "__name__", type(function).__name__)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ValueError(
            f"@task.octa calls {name} as it is, and nobody awaits it there: make it a plain def that calls asyncio.run."
        )
    if inspect.isgeneratorfunction(function):
        raise ValueError(f"@task.octa wants what {name} returns, and it yields instead: make a list, and return that.")
    if hasattr(function, "__wrapped__"):
        raise ValueError(
            f"@task.octa sends the source of {name} alone, and a decorator between them would stay here: call inside "
            f"{name} what it does."
        )
    if not inspect.isfunction(function) or not name.isidentifier():
        raise ValueError(
            f"@task.octa sends the source of a function, and {name} is none of its own: write it as a def."
        )


def call_arguments(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], context: Context
) -> str:
    """What the function is called with there, as JSON: `{"args": [...], "kwargs": {...}}`.

    A parameter that Airflow would fill from the task's context gets its value along, if that can travel as JSON, such
    as `params`, `run_id` or `ds`; of `**context` what the function reads by name, and no more.

    Args:
        function: what is called.
        args: rendered positional arguments.
        kwargs: rendered arguments by name.
        context: of the task that runs.

    Raises:
        AirflowFailException: an argument is no JSON value, or the function needs of the context what is none.
    """
    from_context = _from_context(function, args, kwargs, context)
    try:
        return json.dumps({"args": list(args), "kwargs": {**kwargs, **from_context}}, default=_as_list)
    except (TypeError, ValueError) as error:
        raise AirflowFailException(f"The arguments of @task.octa must be JSON values: {error}") from error


def _from_context(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], context: Context
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    parameters = list(inspect.signature(function).parameters.values())
    by_position = [parameter.name for parameter in parameters if parameter.kind in _BY_POSITION]
    given = {*by_position[: len(args)], *kwargs}
    for name, is_needed, has_name_there in _wanted(function, parameters, context):
        if name in given or (not is_needed and name not in context):
            continue
        try:
            if not has_name_there:
                raise TypeError("an argument that has no name there")
            found[name] = _as_arrived(context[name])  # type: ignore[literal-required]
        except (KeyError, TypeError, ValueError, RecursionError):
            if is_needed:
                raise AirflowFailException(
                    f"The function of @task.octa needs {name}, which a rented machine can't have: it stays "
                    "in Airflow. Pass what you need of it as an argument, such as a template."
                ) from None
    return found


def _wanted(
    function: Callable[..., Any], parameters: Sequence[inspect.Parameter], context: Context
) -> Iterator[tuple[str, bool, bool]]:
    """What a function may have of the context: the name, whether it needs it, and whether it is told it by name."""
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            for key, is_needed in keys_read_from(function, parameter.name).items():
                # What Airflow does not know is the function's own affair.
                yield key, is_needed and key in context, True
        elif parameter.kind in (*_BY_POSITION, *_BY_NAME):
            yield parameter.name, parameter.default is parameter.empty, parameter.kind in _BY_NAME


def _as_arrived(value: Any) -> Any:
    """A value of the context as it arrives there."""
    # `params` of a run is a mapping that checks what is put into it.
    plain = dict(value) if isinstance(value, Mapping) else value
    return json.loads(json.dumps(plain, allow_nan=False))


def _as_list(value: object) -> list[Any]:
    """The results of a mapped task, which Airflow hands over as a sequence that reads them one by one."""
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} is none")
