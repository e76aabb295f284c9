"""What the documents say is true: their Python runs, their commands and links exist."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from octa_provider import JobSpec
from octa_provider.cli import main, program
from octa_provider.emulator.faults.faults import KINDS
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.job.result import JobOutcome
from tests.document_blocks import PYTHON, Block
from tests.pasted_commands import DOCUMENTS, ROOT, commands_of, names_a_command, pasted

COMMANDS = "machines|sessions|run|plan|render|frames|sheet|video|logs|stop|reap|emulator|doctor"


@pytest.mark.parametrize("block", [block for block in PYTHON if block.mark == "run"], ids=lambda block: block.name)
def test_python_in_the_documents_runs_where_it_says_so(emulator: EmulatorHandle, block: Block, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", block.source],
        env=os.environ | emulator.env(),
        cwd=tmp_path,
        check=True,
        timeout=600,
    )
    assert emulator.ledger()["running"] == 0


def test_the_readmes_test_passes(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "def test_" in b)
    (tmp_path / "test_pipeline.py").write_text(block)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tmp_path, check=True, timeout=600
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_to_files_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_options_named_in_a_document_exist(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    for command, rest in re.findall(rf"octa-provider ({COMMANDS})\b([^\n`]*)", text):
        assert main([command, "--help"]) == 0
        known = capsys.readouterr().out
        used = re.findall(r"(?<!\S)--[a-z][a-z-]+", rest.split(" -- ")[0].split("#")[0])
        assert [option for option in used if option not in known] == []


# What the change log tells of is of the release that it tells of.
@pytest.mark.parametrize("document", [one for one in DOCUMENTS if one.name != "CHANGELOG.md"], ids=lambda one: one.name)
def test_commands_of_a_document_are_understood_when_they_are_pasted(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "a-token")
    found = pasted("\n".join(commands_of(document, "octa-provider")), tmp_path)
    assert len(found) > (10 if document.name in {"README.md", "rendering.md"} else -1)
    for _, *words in found:
        understood(words)


@pytest.mark.parametrize("command", ["", *COMMANDS.split("|")])
def test_examples_of_the_helps_are_understood_when_they_are_pasted(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "a-token")
    assert main([*command.split(), "--help"]) == 0
    examples = capsys.readouterr().out.partition("examples:\n")[2].partition("\n\n")[0]
    # Behind two blanks stands what it does.
    lines = [re.split(r"(?<=\S) {2,}", line.strip())[0] for line in examples.replace("\\\n", " ").splitlines()]
    found = pasted("\n".join(re.sub(r" {2,}", " ", line) for line in lines), tmp_path)
    assert len(found) >= len(lines) > 0
    for _, *words in found:
        understood(words)


def understood(words: list[str]) -> None:
    """Have the real parser read the words; one that does not understand them ends the test."""
    if names_a_command(words) or words == ["--help"]:
        words = [*words[:1], "--help"]
    # A sentence may be about the option alone.
    is_about_one = re.fullmatch(r"--[a-z-]+", words[-1]) is not None and len(words) == 2
    assert refused(words) is None or (is_about_one and refused([*words, "a=value"]) is None)


def refused(words: list[str]) -> list[str] | None:
    """The words, if the real parser refuses them."""
    try:
        program._parse(words)
    except SystemExit as ended:
        return words if ended.code else None
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_tests_named_in_a_document_exist(document: Path) -> None:
    named = set(re.findall(r"`((?:\w+/)*test_\w+\.py)`", document.read_text(encoding="utf-8")))
    ours = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    assert [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in ours)] == []


def test_the_defaults_that_end_a_bill_are_those_of_a_job() -> None:
    costs = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
    spec = JobSpec(image="ubuntu:24.04", command="true")
    assert f"| `timeout_s` of a job's command | {spec.timeout_s:g} s |" in costs
    assert f"| `ready_timeout_s` of a job | {spec.ready_timeout_s:g} s; " in costs
    assert f"| `start_attempts` | {spec.start_attempts} |" in costs
    assert (spec.max_cost_usd, spec.max_duration_s, spec.requirements.max_price_usd) == (None, None, None)


def test_every_fault_and_every_outcome_is_documented() -> None:
    emulator = (ROOT / "docs" / "emulator.md").read_text(encoding="utf-8")
    jobs = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"`{kind}`" not in emulator] == []
    assert [outcome.value for outcome in JobOutcome if f"`{outcome.value}`" not in jobs] == []


def said_by(path: Path) -> list[str]:
    """The texts of a Python file, with nothing at the places that are filled in."""
    texts = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            texts.append("\0".join(str(part) for part in parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
    return texts


def test_every_message_that_is_explained_is_one_of_ours() -> None:
    rendering = (ROOT / "docs" / "rendering.md").read_text(encoding="utf-8")
    section = rendering.partition("## What it says, and what to do")[2].partition("\n## ")[0]
    told = re.findall(r"^\| [^`|]*`([^`]+)`[^|]*\|", section, re.MULTILINE)
    assert len(told) > 40
    ours = [text for path in (ROOT / "octa_provider").rglob("*.py") for text in said_by(path)]
    unknown = [
        message
        for message in told
        if not any(all(part.strip() in text for part in message.split("...")) for text in ours)
    ]
    assert unknown == []


def test_the_versions_that_are_tested_are_those_of_the_constraints() -> None:
    upgrading = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
    rows = {name: re.findall(r"\d+\.\d+\.\d+", row) for name, row in re.findall(r"^\| (\w+) (\|.*)$", upgrading, re.M)}
    pinned = [
        found
        for path in sorted((ROOT / "constraints").glob("*.txt"))
        for found in re.findall(r"^(apache-airflow|prefect)==(\S+)$", path.read_text(encoding="utf-8"), re.M)
    ]
    assert set(rows["Airflow"]) == {version for name, version in pinned if name == "apache-airflow"}
    assert set(rows["Prefect"]) == {version for name, version in pinned if name == "prefect"}
