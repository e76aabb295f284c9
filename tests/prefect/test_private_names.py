"""What we use of Prefect that it has never promised is listed, there, and missed in one clear sentence."""

from __future__ import annotations

import ast
from pathlib import Path

import prefect
import pytest
from prefect.workers.base import BaseJobConfiguration, BaseWorker

import prefect_blocks
from prefect_blocks.private_names import PRIVATE_NAMES, check_private_names

SOURCES = sorted(Path(prefect_blocks.__file__).parent.glob("*.py"))
#: Ours, and what Prefect's own guide to workers has one write.
OURS_TO_SET = {"_display_name", "_description", "_documentation_url", "_logo_url"}


class Empty:
    """A class of Prefect's that has lost a name."""


@pytest.mark.parametrize(
    ("owner", "name", "what_for"), PRIVATE_NAMES, ids=lambda one: one if isinstance(one, str) else ""
)
def test_each_name_is_there_and_missed_in_one_sentence(owner: type, name: str, what_for: str) -> None:
    check_private_names([(owner, name, what_for)])
    with pytest.raises(ImportError) as missing:
        check_private_names([(Empty, name, what_for)])
    message = str(missing.value)
    assert f"Prefect {prefect.__version__} has no Empty.{name}" in message
    assert what_for in message
    assert message.endswith("pip install 'prefect>=3.8,<3.10'")


def private_names_of(source: Path) -> set[str]:
    """Private names that are used on objects of Prefect's classes, or overridden in our own ones of them."""
    tree = ast.parse(source.read_text())
    names: set[str] = set()
    for made in [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]:
        bases = ast.unparse(ast.Tuple(elts=list(made.bases)))
        if "BaseWorker[" not in bases and "BaseJobConfiguration" not in bases:
            continue
        set_here = {
            node.attr
            for node in ast.walk(made)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr.startswith("_")
        }
        names |= {
            node.attr
            for node in ast.walk(made)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and node.attr.startswith("_")
        } - set_here
        names |= {node.name for node in made.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")} - OURS_TO_SET


def test_no_private_name_is_used_that_is_not_listed() -> None:
    listed = {name for _, name, _ in PRIVATE_NAMES}
    used = set().union(*map(private_names_of, SOURCES))
    of_prefect = {
        name
        for name in used
        if hasattr(BaseWorker, name)
        or hasattr(BaseJobConfiguration, name)
        or name in BaseWorker.__init__.__code__.co_names
    }
    assert of_prefect - listed == set()
    assert {name for name in listed if name.startswith("_")} - used == set(), "listed, and used no more"


def test_nothing_is_imported_from_where_prefect_keeps_its_own() -> None:
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            names = (
                [one.name for one in getattr(node, "names", [])]
                if isinstance(node, ast.Import | ast.ImportFrom)
                else []
            )
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
            if any(one.split(".")[0] == "prefect" for one in modules):
                private = [one for one in modules + names if any(part.startswith("_") for part in one.split("."))]
                assert private == [], source.name
