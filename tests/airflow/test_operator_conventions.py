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
    DAG,
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    BaseOperator,
)

import airflow_provider
from airflow_provider import exceptions
from airflow_provider.decorators.octa import octa_task
from airflow_provider.machine_requirements import REQUIREMENT_FIELDS
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.operators.start import OctaStartMachineOperator
from airflow_provider.operators.vpn import OctaStartVpnOperator
from airflow_provider.task_group import octa_session

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
MADE_BY_USERS = [
    one for one in OPERATORS if one.__module__.startswith(("airflow_provider.operators", "airflow_provider.sensors"))
]
#: Airflow itself needs `node_id` and `output` of every task, so that these arguments are kept under other names.
RENAMED = {"machine_node_id": "node_id", "output_folder": "output"}
NOT_FOR_A_VPN = {"disk_gb", "envs", "labels", "requirements", *REQUIREMENT_FIELDS} - {
    "node_id",
    "country",
    "exclude_nodes",
}


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


def passed_on(statement: ast.stmt) -> set[str]:
    """The arguments that are handed on as they are: `super().__init__(field=field, **kwargs)`."""
    match statement:
        case ast.Expr(ast.Call(ast.Attribute(ast.Call(ast.Name("super")), "__init__"), [], keywords)):
            named = {one.arg: one.value for one in keywords if one.arg is not None}
            return {name for name, value in named.items() if ast.unparse(value) == name}
    return set()


def arguments(operator: type) -> Iterator[str]:
    for base in own_bases(operator):
        if (init := init_of(base)) is not None:
            yield from (argument.arg for argument in init.args.kwonlyargs)


def written_parameters(made: Any) -> dict[str, tuple[str, str | None]]:
    """Each keyword of a function, or of a class's own `__init__`, as it is written: its type and its default."""
    if isinstance(made, type):
        function = init_of(made)
    else:
        function = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(made)))).body[0]  # type: ignore[assignment]
    if function is None:
        return {}
    return {
        argument.arg: (
            "" if argument.annotation is None else ast.unparse(argument.annotation),
            None if default is None else ast.unparse(default),
        )
        for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    }


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
            named = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)} - passed_on(statement)
            named |= {node.attr for node in ast.walk(statement) if isinstance(node, ast.Attribute)}
            assert not named & {RENAMED.get(field, field) for field in fields}, ast.unparse(statement)
    assert assigned >= fields


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_argument_of_an_operator_is_in_its_docstring(operator: type) -> None:
    documented = set(re.findall(r"^ +(\w+): ", (operator.__doc__ or ""), re.MULTILINE))
    own = init_of(operator)
    named = (
        set(arguments(operator))
        if operator in MADE_BY_USERS
        else {one.arg for one in own.args.kwonlyargs}
        if own
        else set()
    )
    assert named - (NOT_FOR_A_VPN if operator is OctaStartVpnOperator else set()) <= documented


def test_what_chooses_a_machine_is_told_in_the_same_words_everywhere() -> None:
    told = re.compile(r"^ +(gpu_model|country): (.+)$", re.MULTILINE)
    said = {line for one in OPERATORS if one is not OctaStartVpnOperator for line in told.findall(one.__doc__ or "")}
    assert said == {
        ("gpu_model", "part of the card's name, in any case, such as `4090`; or a list, of which one will do."),
        ("country", "ISO code or name; or a list, of which one will do."),
    }


@pytest.mark.parametrize("name", sorted(NOT_FOR_A_VPN))
def test_what_the_docstring_of_a_vpn_leaves_out_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        OctaStartVpnOperator(task_id="start", **{name: "{{ params.something }}"})


@pytest.mark.parametrize("operator", [one for one in OPERATORS if "deferrable" in set(arguments(one))])
def test_whether_to_defer_is_airflows_default(operator: Any) -> None:
    defaults = [
        init.args.kw_defaults[[argument.arg for argument in init.args.kwonlyargs].index("deferrable")]
        for init in map(init_of, own_bases(operator))
        if init is not None and "deferrable" in {argument.arg for argument in init.args.kwonlyargs}
    ]
    assert defaults
    for default in defaults:
        assert default is not None
        assert ast.unparse(default) == "conf.getboolean('operators', 'default_deferrable', fallback=False)"


@pytest.mark.parametrize("operator", MADE_BY_USERS)
def test_an_editor_shows_every_argument_with_its_type_and_default(operator: type) -> None:
    own, shown = init_of(operator), written_parameters(operator)
    hidden = NOT_FOR_A_VPN if operator is OctaStartVpnOperator else set()
    handed_on = set().union(*map(passed_on, own.body)) if own is not None else set()
    for base in own_bases(operator)[1:]:
        for name, parameter in written_parameters(base).items():
            if name in hidden:
                continue
            assert shown.get(name) == parameter, f"{name} of {base.__name__} is not in the signature as it is there"
            assert name in handed_on, f"{name} is not handed on to {base.__name__}"


@pytest.mark.parametrize(
    ("function", "operator", "left_out"),
    [
        (octa_task, OctaRunJobOperator, {"command", "via", "wait_for_completion", "result_file"}),
        (octa_session, OctaStartMachineOperator, {"deferrable", "octa_conn_id"}),
    ],
)
def test_an_editor_shows_every_argument_of_what_makes_operators(
    function: Any, operator: type, left_out: set[str]
) -> None:
    shown, made = written_parameters(function), written_parameters(operator)
    documented = set(re.findall(r"^ +(\w+): ", function.__doc__, re.MULTILINE))
    for name in made.keys() - left_out:
        assert shown[name][0] == made[name][0], name
        assert shown[name][1] == "NOT_GIVEN", name
    assert documented >= shown.keys()


def test_what_is_not_given_to_a_decorator_or_a_group_is_as_the_dag_says() -> None:
    with DAG("defaults", schedule=None, default_args={"octa_conn_id": "other", "max_price_usd": 0.5, "durable": False}):

        @octa_task(image="python:3.12", durable=True)
        def train() -> None:
            pass

        job = train().operator
        with octa_session("gpu", image="ubuntu:24.04"):
            pass
    assert (job.octa_conn_id, job.max_price_usd, job.durable, job.timeout_s) == ("other", 0.5, True, 3600.0)
    started = job.dag.get_task("gpu.start")
    assert (started.max_price_usd, started.disk_gb) == (0.5, 10)


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
