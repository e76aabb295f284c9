"""What a shell makes of the commands that documents and messages tell: each program's words, as it would get them."""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("octa-provider", "airflow", "prefect")
#: What a document leaves to its reader, and a cron table's columns.
_LEFT_OUT, _CRON = re.compile(r"\.\.\.$|\[options\]"), re.compile(r"^[\d*]\S*(?: [\d*]\S*){4} ", re.M)
# Each word ends with a NUL; a line of a shell, and so a word, has none.
_PROGRAM = """#!/bin/sh
{ printf '%s\\0' "${0##*/}" "$@"; printf '\\0'; } >> "$TOLD_TO"
"""


def pasted(text: str, folder: Path) -> list[list[str]]:
    """The words of every one of `PROGRAMS` that a shell would run, were the text pasted into it; nothing else runs.

    Args:
        text: what is pasted.
        folder: an empty one.
    """
    programs, told = folder / "programs", folder / "told"
    programs.mkdir(exist_ok=True)
    for name in PROGRAMS:
        (programs / name).write_text(_PROGRAM)
        (programs / name).chmod(0o755)
    for name in ("jq", "make", "pip"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    told.write_bytes(b"")
    subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-eu"],
        input=text,
        text=True,
        cwd=folder,
        check=True,
        env={"PATH": str(programs), "TOLD_TO": str(told), "HOME": os.fspath(folder)},
    )
    return [line.split("\0") for line in told.read_text(encoding="utf-8").split("\0\0")[:-1]]


def commands_of(document: Path, program: str) -> list[str]:
    """The commands of one program in a document: those of its shell blocks, and those in its sentences.

    Args:
        document: Markdown.
        program: one of `PROGRAMS`.
    """
    text = document.read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in lines_of(block)]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    told = re.findall(r"`([^`]+)`", " ".join(prose.split()))
    is_one = re.compile(rf"\s*(?:\w+=\S+ )*{program} [^.]")
    return [line for line in [*lines, *(one for one in told if not _LEFT_OUT.search(one))] if is_one.match(line)]


def lines_of(block: str) -> list[str]:
    """The commands of a shell block, a line each, without what is said of them.

    Args:
        block: as the document has it.
    """
    whole = re.sub(r"\\\n *", "", textwrap.dedent(_CRON.sub("", textwrap.dedent(block))))
    # A quoted text may go on in the next line, further in.
    lines = re.sub(r"\n +", " ", whole).splitlines()
    return [line for line in (re.sub(r"(^|\s+)# .*", "", line) for line in lines) if line]


def names_a_command(words: list[str]) -> bool:
    """Whether words name a program's command alone, as in a sentence: `prefect work-pool create`.

    Args:
        words: those behind the program's name.
    """
    return all(re.fullmatch(r"[a-z-]+", word) and not word.startswith("-") for word in words)
