"""What Airflow asks of a provider's operators: plain template fields, errors of our own, every argument documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    BaseOperator,
)

import airflow_provider
from airflow_provider import exceptions
from airflow_provider.machine_requirements import REQUIREMENT_FIELDS
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.vpn import OctaStartVpnOperator

OPERATORS = sorted(
    {
        member
        for module in pkgutil.walk_packages(airflow_provider.__path__, "airflow_provider.")
        for member in vars(importlib.import_module(module.name)).values()
        if isinstance(member, type)
        and issubclass(member, BaseOperator)
        and member.__module__.startswith("airflow_provider.")
        and not member.__name__.startswith("_")
    },
    key=lambda operator: operator.__name__,
)
#: Airflow itself needs `node_id` and `output` of every task, so that these arguments are kept under other names.
RENAMED = {"machine_node_id": "node_id", "output_folder": "output"}
NOT_FOR_A_VPN = {"disk_gb", "envs", "requirements", *REQUIREMENT_FIELDS} - {"node_id", "country", "exclude_nodes"}


def own_bases(operator: type) -> list[type]:
    return [base for base in operator.__mro__ if base.__module__.startswith("airflow_provider.")]


def init_of(cls: type) -> ast.FunctionDef | None:
    # Airflow wraps it.
    function = inspect.unwrap(vars(cls)["__init__"]) if "__init__" in vars(cls) else None
    if function is None:
        return None
    parsed = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(parsed, ast.FunctionDef)
    return parsed


def assigned_plainly(statement: ast.stmt) -> str | None:
    """The field of `self.field = field`."""
    match statement:
        case ast.Assign([ast.Attribute(ast.Name("self"), field)], ast.Name(name)) if RENAMED.get(field, field) == name:
            return field
    return None


def arguments(operator: type) -> Iterator[str]:
    for base in own_bases(operator):
        if (init := init_of(base)) is not None:
            yield from (argument.arg for argument in init.args.kwonlyargs)


@pytest.mark.parametrize("operator", OPERATORS)
def test_template_fields_are_assigned_as_they_are_and_looked_at_by_the_guard_alone(operator: Any) -> None:
    fields = set(operator.template_fields)
    assigned: set[str] = set()
    for base in own_bases(operator):
        init = init_of(base)
        for statement in [] if init is None else init.body:
            if (field := assigned_plainly(statement)) is not None:
                assigned.add(field)
                continue
            named = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
            named |= {node.attr for node in ast.walk(statement) if isinstance(node, ast.Attribute)}
            assert not named & {RENAMED.get(field, field) for field in fields}, ast.unparse(statement)
    assert assigned >= fields


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_argument_of_an_operator_is_in_its_docstring(operator: type) -> None:
    documented = set(re.findall(r"^ +(\w+): ", (operator.__doc__ or ""), re.MULTILINE))
    own = init_of(operator)
    is_made_by_users = operator.__module__.startswith(("airflow_provider.operators", "airflow_provider.sensors"))
    named = set(arguments(operator)) if is_made_by_users else {one.arg for one in own.args.kwonlyargs} if own else set()
    assert named - (NOT_FOR_A_VPN if operator is OctaStartVpnOperator else set()) <= documented


@pytest.mark.parametrize("name", sorted(NOT_FOR_A_VPN))
def test_what_the_docstring_of_a_vpn_leaves_out_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        OctaStartVpnOperator(task_id="start", **{name: "{{ params.something }}"})


@pytest.mark.parametrize("operator", [one for one in OPERATORS if "deferrable" in set(arguments(one))])
def test_whether_to_defer_is_airflows_default(operator: Any) -> None:
    (default,) = (
        init.args.kw_defaults[[argument.arg for argument in init.args.kwonlyargs].index("deferrable")]
        for init in map(init_of, own_bases(operator))
        if init is not None and "deferrable" in {argument.arg for argument in init.args.kwonlyargs}
    )
    assert default is not None
    assert ast.unparse(default) == "conf.getboolean('operators', 'default_deferrable', fallback=False)"


def test_no_bare_airflow_exception_is_raised() -> None:
    for module in pkgutil.walk_packages(airflow_provider.__path__, "airflow_provider."):
        source = inspect.getsource(importlib.import_module(module.name))
        assert not re.search(r"raise AirflowException\b", source), module.name


def test_our_exceptions_let_another_try_follow() -> None:
    for name in exceptions.__all__:
        error = getattr(exceptions, name)
        assert issubclass(error, AirflowException)
        assert not issubclass(error, AirflowFailException | AirflowSensorTimeout)


def test_what_can_never_work_is_refused_when_parsed_also_of_a_class_made_of_ours() -> None:
    class Greets(OctaRunJobOperator):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(image="alpine:3", command="echo hello", **kwargs)

    with pytest.raises(ValueError, match="gpu_count must be"):
        Greets(task_id="greets", gpu_count=-1)
