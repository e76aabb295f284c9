"""No regular expression of ours is slower than linear on what a stranger wrote: `re` holds the interpreter's lock."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from growth import slow_text

import octa_provider

ROOT = Path(octa_provider.__file__).parent.parent
PACKAGES = ("octa_provider", "airflow_provider", "prefect_blocks")
#: What the user alone gives, on his own machine: his private key, and words of the command line.
NOT_OF_STRANGERS = {"octa_provider.remote.private_key", "octa_provider.cli.options.durations"}
#: These see the first characters of a text only.
CUT_AT = {"octa_provider.models.session_progress": 300, "octa_provider.render.progress": 4096}


def _modules() -> list[str]:
    found = [m.name for m in pkgutil.walk_packages(octa_provider.__path__, "octa_provider.")]
    return [name for name in found if ".emulator" not in name and not name.endswith("__main__")]


def _ours() -> list[tuple[str, str]]:
    return [
        (module, name)
        for module in _modules()
        if module not in NOT_OF_STRANGERS
        for name, value in vars(importlib.import_module(module)).items()
        if isinstance(value, re.Pattern)
    ]


def _calls(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Each call of `re` in a file: the function, the line, and whether it makes a constant of the module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {id(node.value) for node in tree.body if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr != "escape"
        ):
            yield node.func.attr, node.lineno, id(node) in constants


@pytest.mark.parametrize(("module", "name"), _ours())
def test_no_pattern_is_slower_than_linear(module: str, name: str) -> None:
    pattern = getattr(importlib.import_module(module), name)
    assert slow_text(pattern, CUT_AT.get(module, 1 << 20)) is None


def test_every_pattern_is_a_constant_of_its_module_so_that_it_is_measured() -> None:
    hidden = [
        f"{path.relative_to(ROOT)}:{line}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "emulator" not in path.parts
        for function, line, is_constant in _calls(path)
        if not is_constant or function != "compile"
    ]
    # Those that a user writes himself, for the progress and the log of his own tool; what they see is cut.
    assert {where.partition(":")[0] for where in hidden} == {
        "octa_provider/batch/renderers/log_rule.py",
        "octa_provider/render/progress.py",
    }


@pytest.mark.parametrize("package", ["airflow_provider", "prefect_blocks"])
def test_no_pattern_of_the_orchestrators_is_slower_than_linear(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile":
                assert slow_text(re.compile(ast.literal_eval(node.args[0]))) is None, path


@pytest.mark.parametrize(
    "pattern",
    [
        "exec.*/bin/sh.*(no such file|not found)",
        "(a+)+$",
        r"\d+\.",
        "x*y",
    ],
)
def test_the_measurement_finds_what_is_slower(pattern: str) -> None:
    assert slow_text(re.compile(pattern)) is not None
