"""What of a command line was not understood is named, with what to write instead."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import pytest

from octa_provider.emulator.testing import EmulatorHandle

Cli = Callable[..., Any]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("run ubuntu true", "run ubuntu -- true"),
        ("run ubuntu --json ls -la", "run ubuntu --json -- ls -la"),
        ("run ubuntu 'echo a; echo b'", "run ubuntu -- 'echo a; echo b'"),
        ("run ubuntu --poll 1s python -c 'print(1)'", "run ubuntu --poll 1s -- python -c 'print(1)'"),
        ("run --poll=1s ubuntu nvidia-smi --json", "run --poll=1s ubuntu -- nvidia-smi --json"),
        # Of the command's options some are ours too, and would be blamed for the wrong thing.
        ("run blender blender -b x --output //f", "run blender -- blender -b x --output //f"),
        ("run ubuntu --key true true --poll", "run ubuntu --key true -- true --poll"),
        ("run ubuntu npm test -- --watch", "run ubuntu -- npm test -- --watch"),
        ("--verbose run ubuntu true", "--verbose run ubuntu -- true"),
        ("run ubuntu --env TOKEN=hidden true", "run ubuntu --env TOKEN -- true"),
        ("run ubuntu --env=TOKEN=hidden true", "run ubuntu --env=TOKEN -- true"),
        ("run ubuntu --secret-env TOKEN=hidden true", "run ubuntu --secret-env TOKEN -- true"),
        ("run ubuntu --secret-env=TOKEN=hidden true", "run ubuntu --secret-env=TOKEN -- true"),
    ],
)
def test_a_command_without_its_dashes_gets_the_line_as_it_should_be(
    cli: Cli, emulator: EmulatorHandle, words: str, line: str
) -> None:
    before = len(emulator.ledger()["sessions"])
    shown = cli(*shlex.split(words))
    assert shown.status == 2
    said, corrected = shown.err.splitlines()
    assert said.endswith("is not understood: the command goes after --. Write:")
    assert corrected.strip() == f"octa-provider {line}"
    assert "hidden" not in shown.err
    assert len(emulator.ledger()["sessions"]) == before


def test_the_corrected_line_works(cli: Cli) -> None:
    corrected = cli("run", "ubuntu:24.04", "--poll", "0.1s", "echo", "a  b").err.splitlines()[1]
    shown = cli(*shlex.split(corrected)[1:])
    assert (shown.status, shown.out.splitlines()[0]) == (0, "a  b")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run ubuntu --gpu 4090 -- ls", "no option --gpu: did you mean --gpu-model, --gpu-count or --gpu-memory-gb?"),
        ("run ubuntu --time-out 1h -- ls", "no option --time-out: did you mean --timeout"),
        ("run -it ubuntu bash", "no option -it."),
        ("machines --max-prize-usd 1", "did you mean --max-price-usd"),
        ("sessions --jsno", "no option --jsno: did you mean --json?"),
        ("--gpu-model 4090 machines", "no option --gpu-model before the command: write it after the word machines"),
        ("session", "there is no command 'session': did you mean sessions?"),
        ("ssh", "there is no command 'ssh': choose from machines, "),
        ("sessions stray", "'stray' is one word too many"),
        ("logs one two", "'two' is one word too many"),
        ("emulator stray", "'stray' is one word too many"),
        ("machines --order-by", "--order-by: expected one argument"),
    ],
)
def test_what_was_not_understood_is_named_in_one_line(cli: Cli, words: str, said: str) -> None:
    shown = cli(*shlex.split(words))
    assert (shown.status, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert said in shown.err
    assert "--help" in shown.err


@pytest.mark.parametrize("words", ["--{key}", "sessions --{key}=1", "run ubuntu {key}", "machines --apikey {key}"])
def test_a_key_in_the_wrong_place_is_not_repeated(cli: Cli, emulator: EmulatorHandle, words: str) -> None:
    # The fixture looks for the key in what is printed.
    assert cli(*words.format(key=emulator.api_key).split()).status == 2


@pytest.mark.parametrize(
    "words",
    [
        ("machines", "--disk", "1"),
        ("machines", "--disk-gb", "1"),
        ("run", "ubuntu:24.04", "--poll", "0.1s", "--disk", "11", "--max-cost", "5", "--", "true"),
        ("run", "ubuntu:24.04", "--poll", "0.1s", "--disk-gb", "11", "--max-cost-usd", "5", "--", "true"),
    ],
)
def test_an_option_is_spelled_alike_in_all_commands_and_as_it_was_before(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli(*words).status == 0


@pytest.mark.parametrize("command", ["machines", "run"])
def test_help_shows_one_spelling(cli: Cli, command: str) -> None:
    words = cli(command, "--help").out.split()
    assert "--disk-gb" in words
    assert not {"--disk", "--max-cost"} & set(words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("emulator --port 99999", "'99999' is not a port: take 1 to 65535"),
        ("emulator --port -1", "'-1' is not a port"),
        ("emulator --port http", "'http' is not a whole number"),
        ("emulator --start-delay soon", "'soon' is not a duration"),
        ("emulator --speed nan", "'nan' is not a number"),
        ("machines --gpu-count many", "'many' is not a whole number"),
        ("machines --max-price-usd cheap", "'cheap' is not a number"),
        ("machines --max-price-usd inf", "'inf' is not a number"),
        ("run ubuntu --disk-gb 1.5 -- true", "'1.5' is not a whole number"),
        ("run ubuntu --max-cost x -- true", "'x' is not a number"),
        ("stop u --score five", "'five' is not a whole number"),
        ("reap --max-age old", "'old' is not a duration"),
    ],
)
def test_a_value_that_can_not_be_is_told_in_plain_words(cli: Cli, words: str, said: str) -> None:
    shown = cli(*words.split())
    assert (shown.status, shown.err.count("\n")) == (2, 1)
    assert said in shown.err
    assert "bug" not in shown.err
    assert "invalid" not in shown.err
