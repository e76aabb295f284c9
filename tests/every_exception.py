"""Every exception class that a package defines, found in its source, each made with something in every argument."""

from __future__ import annotations

import ast
import builtins
import copy
import importlib
import inspect
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from octa_provider import JobResult, errors
from octa_provider.errors import OctaError, Refusal
from octa_provider.job.result import JobOutcome

RESULT = JobResult(3, JobOutcome.FAILED, "why", "job.log", ("out",), 1, 0.1, 1.0, 5, "uuid", "key", 1)
#: What an argument is given, by its annotation.
SAMPLES: dict[str, Any] = {
    "str": "some text",
    "str | None": "some text",
    "int": 418,
    "int | None": 7,
    "float": 3.5,
    "float | None": 2.5,
    "bool": True,
    "object": "anything",
    "Path": Path("there"),
    "Sequence[str]": ("one", "two"),
    "Sequence[Refusal]": (Refusal(7, "Node not found"),),
    "dict[str, Any]": {"missing": "1-3"},
    "JobResult": RESULT,
}


def exceptions_of(package: ModuleType) -> list[type[BaseException]]:
    """The exception classes that are defined anywhere in a package; only modules that define one are imported."""
    folder = Path(package.__path__[0])
    defined = [
        (node.name, {ast.unparse(base).rpartition(".")[2] for base in node.bases}, file)
        for file in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    known = {name for name, value in vars(builtins).items() if is_exception(value)}
    known |= {name for name in errors.__all__ if is_exception(getattr(errors, name))} | {"AirflowException"}
    while more := {name for name, bases, _ in defined if bases & known} - known:
        known |= more
    found = []
    for name, _, file in defined:
        if name in known:
            module = ".".join((package.__name__, *file.relative_to(folder).with_suffix("").parts))
            found.append(getattr(importlib.import_module(module), name))
    return found


def is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def made(kind: type[BaseException]) -> BaseException:
    """One with something in every argument, so that none can be lost unseen."""
    if not inspect.isfunction(kind.__init__):
        return kind("some text")
    given, named = [], {}
    for name, parameter in list(inspect.signature(kind.__init__).parameters.items())[1:]:
        assert parameter.annotation in SAMPLES, f"{kind.__name__}({name}: {parameter.annotation}): add a sample of it"
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[name] = SAMPLES[parameter.annotation]
        else:
            given.append(SAMPLES[parameter.annotation])
    return kind(*given, **named)


def forms_of(kind: type[BaseException]) -> Iterator[BaseException]:
    """As it is raised, and as it is once something has been added to it."""
    yield made(kind)
    told_more = made(kind)
    if isinstance(told_more, OctaError):
        told_more.also("And it may still bill")
        yield told_more


def check_that_it_travels(kind: type[BaseException]) -> None:
    """Process pools, Dask and Ray send exceptions between processes: nothing of them may be lost."""
    for error in forms_of(kind):
        for back in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(back) is kind
            assert str(back) == str(error)
            assert back.args == error.args
            assert vars(back) == vars(error)
