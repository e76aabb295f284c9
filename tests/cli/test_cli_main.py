"""What holds for every command: exit statuses, one sentence, the key that never shows."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from octa_provider.cli import program as cli_module
from octa_provider.cli.commands import emulator as emulator_command
from octa_provider.emulator.testing import EmulatorHandle

Cli = Callable[..., Any]
COMMANDS = ("machines", "sessions", "run", "logs", "stop", "reap", "emulator", "doctor")


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_every_command_has_help_with_examples(cli: Cli, command: str | None) -> None:
    shown = cli(*([command] if command else []), "--help")
    assert shown.status == 0
    assert "examples:" in shown.out


def test_no_command_shows_the_help_and_is_a_usage_error(cli: Cli) -> None:
    shown = cli()
    assert shown.status == 2
    assert "doctor" in shown.out


def test_the_version_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("--version").out.startswith("octa-provider 0.")

    def unknown(name: str) -> str:
        raise cli_module.PackageNotFoundError(name)

    monkeypatch.setattr(cli_module, "version", unknown)
    assert "(not installed)" in cli("--version").out


@pytest.mark.parametrize(
    "words",
    [
        ("--api-key", "{key}", "machines"),
        ("machines", "--api-key", "{key}"),
        ("machines", "--api-key={key}"),
        ("machines", "--api-key-file", "{key}"),
        ("machines", "--apikey", "{key}"),
        ("machines", "--api-key-fil", "{key}"),
        ("sessions", "{key}"),
    ],
)
def test_a_key_on_the_command_line_is_refused_and_not_repeated(
    cli: Cli, emulator: EmulatorHandle, words: tuple[str, ...]
) -> None:
    # The fixture looks for the key in what is printed.
    assert cli(*(word.format(key=emulator.api_key) for word in words)).status == 2


def test_the_key_can_come_from_a_file(
    cli: Cli, emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OCTA_API_KEY")
    file = tmp_path / "key"
    file.write_text(f"{emulator.api_key}\n# mine\n")
    assert cli("sessions", "--api-key-file", file).status == 0
    assert cli("--api-key-file", file, "sessions").status == 0
    file.write_text("\n")
    assert "is empty" in cli("sessions", "--api-key-file", file).err
    file.write_bytes(b"\xff\xfe\x00")
    assert "it is not text" in cli("sessions", "--api-key-file", file).err


def test_a_missing_key_is_one_sentence_with_what_to_do(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCTA_API_KEY")
    shown = cli("machines")
    assert shown.status == 2
    assert shown.err.count("\n") == 1
    assert "OCTA_API_KEY" in shown.err


def test_a_wrong_key_is_a_failure(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTA_API_KEY", "another-key")
    shown = cli("machines")
    assert shown.status == 1
    assert "401" in shown.err
    assert "another-key" not in shown.err


def test_an_error_that_repeats_the_key_is_masked(cli: Cli, emulator: EmulatorHandle) -> None:
    body = {"message": f"who is {emulator.api_key}?\x1b[2J"}
    emulator.faults({"kind": "status", "status": 403, "path": "/services/mr", "body": body})
    shown = cli("machines")
    assert shown.status == 1
    assert "\x1b" not in shown.err


def test_a_base_url_on_the_command_line_wins(
    cli: Cli, emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCTA_BASE_URL", "http://127.0.0.1:9")
    assert cli("--base-url", emulator.base_url, "sessions").status == 0
    assert cli("sessions", "--base-url", emulator.base_url).status == 0
    assert cli("sessions", "--base-url", "http://example.org").status == 2


def test_verbose_says_what_is_done_without_the_key(cli: Cli) -> None:
    assert cli("--verbose", "machines").status == 0


@pytest.mark.parametrize("words", [("machines", "--", "ls"), ("nosuch",), ("machines", "stray")])
def test_words_that_are_not_understood_are_a_usage_error(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli(*words).status == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), 130), (OSError("disk full"), 1), (cli_module.OctaError(""), 1)],
)
def test_whatever_ends_a_command_is_one_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int
) -> None:
    def fail(arguments: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(cli_module.sessions, "run", fail)
    shown = cli("sessions", "--api-key-file", "missing")
    assert shown.status == status
    assert shown.err.count("\n") == 1


def test_a_bug_is_one_line_too_and_verbose_shows_where(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: argparse.Namespace) -> int:
        raise LookupError("oops")

    monkeypatch.setattr(cli_module.sessions, "run", fail)
    shown = cli("sessions")
    assert shown.status == 1
    assert "this is a bug (LookupError: oops)" in shown.err
    with pytest.raises(LookupError):
        cli("sessions", "--verbose")


def test_a_pipe_that_closes_early_is_no_traceback(emulator: EmulatorHandle) -> None:
    process = subprocess.run(
        f"{sys.executable} -m octa_provider machines --json | head -n 1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        env=os.environ | emulator.env(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert process.stdout == "[\n"
    assert "Traceback" not in process.stderr
    assert "BrokenPipe" not in process.stderr


def test_help_imports_neither_an_http_library_nor_rich() -> None:
    code = (
        "import sys\nfrom octa_provider.cli import main\nmain(['run', '--help'])\n"
        "heavy = {'requests', 'urllib3', 'rich', 'msgspec', 'asyncssh', 'aiohttp', 'fileseq'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=600)


def test_the_emulator_runs_from_the_command_line(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "octa_provider", "emulator", "--port", "0", "--state", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert '"base_url": "http://127.0.0.1:' in process.stdout.readline()
        process.terminate()
        assert process.wait(timeout=600) == 0


def test_a_missing_emulator_is_one_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(emulator_command.importlib, "import_module", missing)
    for words in (("emulator",), ("emulator", "--port", "0", "x")):
        shown = cli(*words)
        assert shown.status == 1
        assert shown.err == "octa-provider: the emulator is not installed: pip install 'octa-provider[emulator]'\n"
