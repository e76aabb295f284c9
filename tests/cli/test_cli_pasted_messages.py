"""Our own commands that messages tell are understood when they are pasted, whatever is named in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import quote

import pytest

from octa_provider.cli import program
from octa_provider.rental.key import namespace_words
from octa_provider.rental.stop import stop_command
from octa_provider.text.command_line import operand_words, option_words
from tests.cli.test_documents import COMMANDS, said_by, understood
from tests.pasted_commands import ROOT, pasted

ODD = ["plain/key", "two words", "-rf", "--yes", 'it\'s "x" `y` $HOME', "ümlaut", "a;b&c|d", "#", "~", "x=-y", "*"]
_COMMAND = re.compile(
    rf"octa-provider ((?:{COMMANDS})(?: --?[a-z][a-z-]*(?:[ =](?!-)[^\s`,;:()\0]+)?)*)(?=[\s`.,;:)\0]|$)"
)


@pytest.mark.parametrize("odd", ODD)
def test_what_is_named_is_what_the_command_is_given(odd: str, tmp_path: Path) -> None:
    reap = ["octa-provider", "reap", *namespace_words(quote(odd, safe="")), *option_words("--prefix", odd), "--yes"]
    stop, reaped = pasted("\n".join([stop_command([], odd), shlex.join(reap)]), tmp_path)
    assert vars(program._parse(stop[1:]))["key"] in (odd, [odd])
    arguments = vars(program._parse(reaped[1:]))
    assert (arguments["namespace"], arguments["prefix"], arguments["yes"]) == (odd, odd, True)


@pytest.mark.parametrize("odd", ODD)
def test_an_operand_is_no_option(odd: str, tmp_path: Path) -> None:
    ((_, *words),) = pasted(shlex.join(["prefect", *operand_words(odd)]), tmp_path)
    assert words == (["--", odd] if odd.startswith("-") else [odd])


def test_each_command_that_a_message_tells_is_one_of_ours() -> None:
    packages = [ROOT / name for name in ("octa_provider", "airflow_provider", "prefect_blocks")]
    texts = [text for package in packages for path in package.rglob("*.py") for text in said_by(path)]
    # The examples of a help are pasted as they are, elsewhere.
    said = [text.partition("examples:\n")[0] for text in texts]
    told = sorted({command.rstrip(".") for text in said for command in _COMMAND.findall(text)})
    assert len(told) > 10
    for command in told:
        understood(command.split())
