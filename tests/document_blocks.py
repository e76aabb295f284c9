"""The code that the documents show: every block, by the environment that it belongs to, so that none is left out."""

from __future__ import annotations

import ast
import builtins
import fcntl
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.pasted_commands import DOCUMENTS, ROOT

#: Whose environment a block needs, by what it imports; one that imports none of these is the core's.
_ENVIRONMENTS = {
    "airflow": "airflow",
    "airflow_provider": "airflow",
    "opentelemetry_hooks": "airflow",  # which brings OpenTelemetry
    "prefect": "prefect",
    "prefect_blocks": "prefect",
}
_FENCE = re.compile(
    r"(?:^ *<!-- (?P<mark>[^>]*) -->\n\s*)?"
    r"^ *(?P<fence>`{3,}|~{3,})(?P<language>[^\n]*)\n(?P<text>.*?)^ *(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
#: What mypy may say: a reader's own functions need no types.
UNTYPED = r"\[(no-untyped-def|no-untyped-call|no-any-return|type-arg)\]$"


@dataclass(frozen=True)
class Block:
    """A block of a document.

    Args:
        document: its Markdown.
        line: of the block's first line, from 1.
        language: what stands behind its fence; empty for what a program prints.
        text: what is in it.
        mark: what a comment on the line before it says, such as `run`.
        before: the blocks that it goes on with.
    """

    document: Path
    line: int
    language: str
    text: str
    mark: str = ""
    before: str = ""

    @property
    def name(self) -> str:
        """Where it stands: `rendering.md:188`."""
        return f"{self.document.name}:{self.line}"

    @property
    def source(self) -> str:
        """What it is in a file of its own, with what it goes on with."""
        return f"{self.before}\n\n{self.text}" if self.before else self.text

    def has(self, document: str, line: int) -> bool:
        """Whether it is a line of this block.

        Args:
            document: a file's name.
            line: of the document, from 1.
        """
        return self.document.name == document and 0 <= line - self.line < len(self.text.splitlines())

    def place_of(self, line: int) -> str:
        """Where a line of `source` stands.

        Args:
            line: from 1.
        """
        return f"{self.document.name}:{self.line + line - 1 - len(self.source[: -len(self.text)].splitlines())}"

    @property
    def environment(self) -> str:
        """Where it runs: `core`, `airflow` or `prefect`."""
        needed = {_ENVIRONMENTS[name] for name in _imported(self.source) if name in _ENVIRONMENTS}
        assert len(needed) < 2, f"{self.name} imports Airflow and Prefect, which are never installed together"
        return needed.pop() if needed else "core"


def _lacks_names(source: str) -> bool:
    """Whether a source uses names that it does not bind."""
    bound, used = set(dir(builtins)), set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.alias):
            bound.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    return not used <= bound | {"__name__"}


def blocks_of(document: Path) -> list[Block]:
    """A document's blocks. One of Python with names that are not its own goes on with the one before it on its page.

    Args:
        document: Markdown.
    """
    text = document.read_text(encoding="utf-8")
    found: list[Block] = []
    before = ""
    for match in _FENCE.finditer(text):
        shown = textwrap.dedent(match["text"])
        line = text.count("\n", 0, match.start("text")) + 1
        block = Block(document, line, match["language"].strip(), shown, match["mark"] or "")
        if block.language == "python":
            block = replace(block, before=before if _lacks_names(shown) else "")
            before = block.source
        found.append(block)
    return found


def _imported(source: str) -> list[str]:
    """The packages that a source imports."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.module or "").partition(".")[0])
    return found


BLOCKS = [block for document in DOCUMENTS for block in blocks_of(document)]
PYTHON = [block for block in BLOCKS if block.language == "python"]


def misspelt(blocks: Sequence[Block], argument: str) -> list[Block]:
    """Those of the blocks that give an argument, with its name misspelt.

    Args:
        blocks: any.
        argument: a name, or several with `|` between them.
    """
    given = re.compile(rf"\b({argument})=")
    return [replace(block, text=given.sub(r"\1x=", block.text)) for block in blocks if given.search(block.text)]


def refused_by_mypy(blocks: Sequence[Block], folder: Path, *but: str) -> list[str]:
    """What mypy says against blocks, as errors with the document's name and line; it is asked once, for all.

    Args:
        blocks: those of this environment.
        folder: an empty one.
        but: patterns of errors that do not count, with the code at the end.
    """
    names = {}
    for block in blocks:
        file = folder / f"{re.sub('[^a-z]', '_', block.document.stem.lower())}_{block.line}.py"
        file.write_text(block.source, encoding="utf-8")
        names[file.name] = block
    # In the repository's folder, with its settings, as the check of our own types: its cache is good for this one. Each
    # environment has a cache of its own, for one mypy at a time.
    cache = ROOT / ".mypy_cache" / Path(sys.prefix).name
    cache.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mypy", "--no-color-output", "--show-error-codes", "--hide-error-context"]
    with (cache / "one_at_a_time").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        told = subprocess.run(
            [*command, *(str(folder / name) for name in names)],
            cwd=ROOT,
            env=os.environ | {"MYPY_CACHE_DIR": str(cache), "MYPYPATH": str(ROOT / "docs" / "examples")},
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
    assert told.returncode in (0, 1), told.stdout + told.stderr
    refused = []
    for line in told.stdout.splitlines():
        said = re.match(r"(?:.*/)?([^/:]+):(\d+): error: (.*)$", line)
        if said is None:
            assert ": error: " not in line, line
            continue
        assert said[1] in names, line
        if not any(re.search(pattern, said[3]) for pattern in (UNTYPED, *but)):
            refused.append(f"{names[said[1]].place_of(int(said[2]))}: {said[3]}")
    return refused
