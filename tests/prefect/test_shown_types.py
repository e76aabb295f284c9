"""The Python for Prefect in README and docs is type-checked, every block: imports, names and arguments are right."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from prefect_blocks import OctaWorker
from tests.document_blocks import BLOCKS, PYTHON, Block, misspelt, refused_by_mypy

SHOWN = [block for block in PYTHON if block.environment == "prefect"]
#: Prefect says of `load` that it may be a coroutine, and takes text for a secret and for a posture; `...` stands for
#: what is left out; mypy does not see what is in a dict of several arguments.
OF_PREFECT = (
    r"Coroutine\[Any, Any, Any\]",
    r'expected "SecretStr"',
    r'expected "Literal\[Posture\.',
    r"ThreadPoolTaskRunner\[Never\]",
    r'argument type "dict\[str, object\]"',
    r"\[empty-body\]$",
)


def test_every_block_is_type_checked(tmp_path: Path) -> None:
    assert len(SHOWN) > 20
    assert refused_by_mypy(SHOWN, tmp_path, *OF_PREFECT) == []


def test_a_misspelt_argument_would_be_noticed(tmp_path: Path) -> None:
    wrong = misspelt(SHOWN, "max_cost_usd")
    assert len(wrong) > 8
    told = [line.split(":")[:2] for line in refused_by_mypy(wrong, tmp_path, *OF_PREFECT)]
    places = [(name, int(line)) for name, line in told]
    missed = [block for block in wrong if not any(block.has(*place) for place in places)]
    # Prefect's `map` takes anything, and is run by test_cookbook.py; of `@octa` see below.
    assert all(".map(" in block.text or "@octa(" in block.text for block in missed), missed


@pytest.mark.parametrize(
    "block", [one for one in BLOCKS if one.language == "yaml" or "@octa(" in one.text], ids=lambda block: block.name
)
def test_a_job_variable_that_is_shown_is_one(block: Block) -> None:
    shown = list(in_yaml(yaml.safe_load(block.text)) if block.language == "yaml" else in_python(block.text))
    known = OctaWorker.get_default_base_job_template()["variables"]["properties"]
    assert shown
    assert [name for name in shown if name not in known] == []


def in_yaml(shown: object) -> Iterator[str]:
    if isinstance(shown, list):
        for one in shown:
            yield from in_yaml(one)
    elif isinstance(shown, dict):
        yield from shown.get("job_variables", {})
        yield from in_yaml(list(shown.values()))


def in_python(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "octa":
            yield from (keyword.arg or "**" for keyword in node.keywords if keyword.arg != "work_pool")
