"""The code that README and docs show is read by a test, every block: here what needs neither Airflow nor Prefect."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from pathlib import Path

import pytest

from tests.document_blocks import BLOCKS, PYTHON, Block, misspelt, refused_by_mypy
from tests.pasted_commands import DOCUMENTS, PROGRAMS, ROOT, commands_of, lines_of

CORE = [block for block in PYTHON if block.environment == "core"]
SHELL = [block for block in BLOCKS if block.language == "sh"]
#: Python: here, `tests/airflow/test_shown_code.py`, `tests/prefect/test_shown_types.py`, which has YAML too. What a
#: program prints has no language.
READ = {"python", "sh", "yaml", "json", "ini", ""}


def test_no_block_is_left_out() -> None:
    assert set((ROOT / "docs").rglob("*.md")) <= set(DOCUMENTS)
    fences = [
        line for document in DOCUMENTS for line in document.read_text(encoding="utf-8").splitlines() if fences_in(line)
    ]
    assert len(fences) == 2 * len(BLOCKS)
    assert {block.language for block in BLOCKS} == READ
    assert {block.environment for block in PYTHON} == {"core", "airflow", "prefect"}
    # What a program prints is no code, and would be no secret place for some.
    assert [block.name for block in BLOCKS if not block.language and re.search(r"^(import|from|\$) ", block.text)] == []


def fences_in(line: str) -> bool:
    return line.strip().startswith(("```", "~~~"))


def test_every_block_of_python_is_type_checked(tmp_path: Path) -> None:
    assert len(CORE) >= 18
    assert refused_by_mypy(CORE, tmp_path) == []


def test_a_misspelt_argument_would_be_noticed(tmp_path: Path) -> None:
    wrong = misspelt(CORE, "image|machines|requirements|older_than_s|patterns|outputs|on_request|total")
    told = [line.split(":")[:2] for line in refused_by_mypy(wrong, tmp_path)]
    missed = [one for one in wrong if not any(one.has(name, int(line)) for name, line in told)]
    assert len(wrong) > 13
    # What `rent` hands on to `start` mypy does not see; it runs.
    assert len(missed) < 2
    assert all(one.mark == "run" for one in missed)


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language in {"json", "ini"}], ids=lambda one: one.name)
def test_settings_and_values_can_be_read(block: Block) -> None:
    if block.language == "json":
        assert json.loads(block.text)
    else:
        settings = configparser.ConfigParser()
        settings.read_string(block.text)
        assert settings.sections()


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.name)
def test_every_line_for_a_shell_is_one_that_a_test_reads(block: Block) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = re.findall(r"^(\w+) = ", project.partition("[project.optional-dependencies]")[2].partition("\n[")[0], re.M)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^(?:\.PHONY: (.*)|([\w.-]+):.*)$", makefile, re.MULTILINE)
    (versions,) = re.findall(r"^MATRIX := (.*)$", makefile, re.MULTILINE)
    known = {name for names in targets for name in " ".join(names).split()}
    known |= {f"matrix-{version}" for version in versions.split()}
    for line in lines_of(block.text):
        words = shlex.split(line)
        while words and re.fullmatch(r"\w+=.*", words[0], re.DOTALL):
            words = words[1:]
        if words[0] in PROGRAMS:
            assert line in commands_of(block.document, words[0])
        elif words[0] == "make":
            assert set(words[1:]) <= known
        elif words[:2] == ["pip", "install"]:
            (wanted,) = re.findall(r"^\.\[(.*)\]$", words[2])
            assert set(wanted.split(",")) <= set(extras)
        elif words[0].startswith(".venvs/"):
            named = [word for word in words if word.startswith(("tests/", "octa_provider"))]
            assert all((ROOT / name).exists() for name in named)
        else:
            assert words[0] == "export"
            values = [word.partition("=")[2] for word in words[1:]]
            assert all(json.loads(value) for value in values if value.startswith("{"))
