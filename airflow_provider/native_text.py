"""Text out of a native template: `render_template_as_native_obj` reads every text as Python, `0,1` as a tuple."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

__all__ = ["is_native", "native_as_written"]

#: No Python expression begins with it: what is rendered behind it stays text.
_MARK = "?"
_SCALARS = (str, bytes, bool, int, float, complex, type(None))
_FILTER = "octa_as_it_is"


class _AsItIs:
    """The value of an expression, which no reader of text sees."""

    def __init__(self, value: object) -> None:
        self.value = value


def is_native(environment: jinja2.Environment) -> bool:
    """Whether an environment gives objects for templates.

    Args:
        environment: Airflow's.
    """
    from jinja2.nativetypes import NativeEnvironment

    return isinstance(environment, NativeEnvironment)


def native_as_written(
    template: str, environment: jinja2.Environment, render: Callable[[str, jinja2.Environment], Any]
) -> Any:
    """A template's value: an object where it is one expression that gives one, such as a list, else the text.

    Args:
        template: the text of it.
        environment: a native one.
        render: renders a template in an environment as Airflow does.
    """
    from jinja2 import Undefined

    expression = _only_expression(template, environment)
    if expression is None:
        text: str = render(_MARK + template, environment)
        return text.removeprefix(_MARK)
    own = environment.overlay()
    own.filters = {**environment.filters, _FILTER: _AsItIs}
    begin, end = environment.variable_start_string, environment.variable_end_string
    value = render(f"{begin} ({expression}) | {_FILTER} {end}", own).value
    return str(value) if isinstance(value, (*_SCALARS, Undefined)) else value


def _only_expression(template: str, environment: jinja2.Environment) -> str | None:
    """The expression of a template that is nothing else."""
    from jinja2 import nodes

    begin, end = environment.variable_start_string, environment.variable_end_string
    if not template.startswith(begin) or not template.endswith(end) or len(template) < len(begin) + len(end):
        return None
    body = environment.parse(template).body
    is_one = len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1
    return _without_trimming(template[len(begin) : -len(end)]) if is_one else None


def _without_trimming(expression: str) -> str:
    """An expression without the signs at its ends that trim or keep the blanks around it."""
    first, last = expression[:1] in ("-", "+"), expression[-1:] in ("-", "+")
    return expression[first : len(expression) - last]
