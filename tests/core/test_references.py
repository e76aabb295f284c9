"""What our public signatures name of Airflow, Prefect and pydantic links to their pages in the site."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
THEIRS = ("airflow", "prefect", "pydantic")


_LINES = (ROOT / "docs" / "references.txt").read_text().splitlines()
REFERENCES = dict(line.split() for line in _LINES if line and not line.startswith("#"))


def named_in_signatures(source: str) -> Iterator[str]:
    """The names of others in bases, arguments and returns of what a file's `__all__` lists."""
    tree = ast.parse(source)
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in THEIRS
        for alias in node.names
    }
    public: set[str] = set()
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "__all__"
            and isinstance(node.value, ast.List)
        ):
            public.update(ast.literal_eval(node.value))
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name in public:
            for part in signatures(node):
                names = (one.id for one in ast.walk(part) if isinstance(one, ast.Name))
                yield from (imported[name] for name in names if name in imported)


def signatures(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    if isinstance(node, ast.ClassDef):
        yield from node.bases
        for inner in node.body:
            if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inner.name.startswith("_"):
                yield from signatures(inner)
        return
    arguments = node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.annotation is not None:
            yield argument.annotation
    if node.returns is not None:
        yield node.returns


def test_every_name_of_theirs_in_a_public_signature_has_a_page() -> None:
    paths = [*ROOT.glob("airflow_provider/**/*.py"), *ROOT.glob("prefect_blocks/*.py")]
    found = {name: path.relative_to(ROOT) for path in paths for name in named_in_signatures(path.read_text())}
    assert len(found) > 15
    assert {name: path for name, path in found.items() if name not in REFERENCES} == {}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_is_to_its_makers_pages(name: str) -> None:
    hosts = {"airflow": "airflow.apache.org", "prefect": "docs.prefect.io", "pydantic": "docs.pydantic.dev"}
    host = hosts.get(name.split(".")[0], "docs.python.org")
    assert REFERENCES[name].startswith(f"https://{host}/")


@pytest.mark.parametrize("name", [name for name in REFERENCES if name.split(".")[0] not in THEIRS])
def test_a_referenced_name_of_pythons_exists(name: str) -> None:
    module, _, short = name.rpartition(".")
    assert hasattr(importlib.import_module(module or "builtins"), short)
