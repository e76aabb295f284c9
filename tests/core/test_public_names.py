"""The site's reference has a page for what a user imports, and for nothing else."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator

import pytest

import octa_provider
from tests.document_blocks import PYTHON
from tests.pasted_commands import ROOT
from tests.public_names import IMPORTED_FROM

EXAMPLES = sorted(ROOT.glob("dags_examples/*/*.py"))
#: Where users import from, beside the package: CONTRIBUTING.md.
MODULES = ("frames", "pictures", "progress", "rental_key")
CORE = IMPORTED_FROM["octa_provider"]


def test_every_name_of_the_core_has_a_page() -> None:
    public = dict.fromkeys(octa_provider.__all__, "octa_provider")
    for short in MODULES:
        module = importlib.import_module(f"octa_provider.{short}")
        public |= dict.fromkeys(module.__all__, module.__name__)
    assert {name: home for name, home in public.items() if CORE.get(name) != home} == {}


@pytest.mark.parametrize("name", CORE)
def test_a_page_of_the_core_says_what_can_be_imported(name: str) -> None:
    assert hasattr(importlib.import_module(CORE[name]), name)


def imported_by(source: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in IMPORTED_FROM:
            for alias in node.names:
                yield node.module, alias.name


@pytest.mark.parametrize("source", [block.source for block in PYTHON], ids=[block.name for block in PYTHON])
def test_what_a_document_imports_has_a_page(source: str) -> None:
    assert without_page(source) == []


@pytest.mark.parametrize("name", [path.relative_to(ROOT).as_posix() for path in EXAMPLES])
def test_what_an_example_imports_has_a_page(name: str) -> None:
    assert without_page((ROOT / name).read_text(encoding="utf-8")) == []


def without_page(source: str) -> list[str]:
    modules = {home for names in IMPORTED_FROM.values() for home in names.values()}
    return [
        f"from {module} import {name}"
        for module, name in imported_by(source)
        if IMPORTED_FROM[module.partition(".")[0]].get(name) != module and f"{module}.{name}" not in modules
    ]


def test_nothing_else_has_a_page() -> None:
    """What is neither listed by the package nor told of in a document is an affair of ours."""
    documents = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *EXAMPLES]
    told = "\n".join(path.read_text(encoding="utf-8") for path in documents)
    listed = {"octa_provider", *(f"octa_provider.{name}" for name in MODULES)}
    assert [module for module in set(CORE.values()) - listed if module not in told] == []
    names = [name for names in IMPORTED_FROM.values() for both in names.items() for name in both]
    assert [name for name in names if name.startswith("_") or "._" in name] == []
