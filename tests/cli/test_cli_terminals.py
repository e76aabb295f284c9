"""Narrow terminals, terminals without Unicode, streams that are closed or full: a paid job goes on all the same."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from octa_provider.cli.output import listing
from octa_provider.emulator.testing import EmulatorHandle
from tests.cli.a_terminal import LONG_S, in_terminal
from tests.forked_python import run_python, start_python

Cli = Callable[..., Any]
Start = Callable[..., str]
PROGRAM = [sys.executable, "-m", "octa_provider"]
JOB = ("run", "ubuntu:24.04", "--poll", "0.2s", "--")
#: A bar, an umlaut and an emoji.
ODD_LINE = r"printf 'gr\303\274n \360\237\230\200 1/2\n'"


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
@pytest.mark.parametrize("words", ["machines", "sessions", "reap", "machines --service vpn", "sessions --recent"])
def test_a_list_fits_the_terminal_and_its_ids_stay_whole(
    emulator: EmulatorHandle, cli: Cli, start: Start, words: str, columns: int
) -> None:
    uuid = start("cli/wide/a-rather-long-name-of-a-job")
    if "--recent" in words:
        cli("stop", uuid)
    with in_terminal(emulator, columns, *words.split()) as terminal:
        assert terminal.status() == 0
    shown = terminal.text
    assert "Traceback" not in shown
    if "machines" not in words:
        assert uuid in shown
        assert "cli/wide/a-rather-long-name-of-a-job" in shown
    # The terminal may fold a line that is one single value, and sentences.
    listed = [line for line in terminal.lines if ":" in line[2:] and not line.startswith("octa-provider")]
    too_long = [line for line in listed if len(line) > columns and ", " in line and "would stop" not in line]
    assert too_long == []


@pytest.mark.parametrize("columns", [40, 80])
def test_every_machine_of_a_narrow_list_is_there_with_its_price(
    emulator: EmulatorHandle, cli: Cli, columns: int
) -> None:
    import json

    machines = json.loads(cli("machines", "--json").out)
    with in_terminal(emulator, columns, "machines") as terminal:
        assert terminal.status() == 0
    for machine in machines:
        assert any(line.split()[:1] == [str(machine["node_id"])] for line in terminal.lines)
        if machine["price_usd"] is not None:
            assert f"{machine['price_usd']:.3f}" in terminal.text
    if columns == 80:
        assert max(map(len, terminal.lines[1:])) <= columns


@pytest.mark.parametrize("columns", [1, 20, 40, 80])
@pytest.mark.parametrize("command", ["run", "reap", "emulator", "doctor"])
def test_help_is_shown_in_any_width(emulator: EmulatorHandle, command: str, columns: int) -> None:
    with in_terminal(emulator, columns, command, "--help") as terminal:
        assert terminal.status() == 0
    told = terminal.text.partition("examples:")[0]
    if columns == 80:
        assert max(map(len, told.split("\n"))) <= columns


def test_headings_fold_before_rows_do(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "12")
    listing.print_table((">node", ">free disk GB", "in"), [(1, 20, "DE"), (2, None, "FR")])
    assert capsys.readouterr().out == ("     free\n     disk\nnode   GB in\n   1   20 DE\n   2    - FR\n")


def test_a_row_that_does_not_fit_is_a_paragraph_without_what_is_unknown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "24")
    listing.print_table(("uuid", ">node", "city", "key"), [("u" * 36, 7, None, "cli/one"), ("v", 8, "Rome", "")])
    assert capsys.readouterr().out == f"{'u' * 36}\n  node: 7, key: cli/one\nv\n  node: 8, city: Rome\n"


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1"])
def test_a_line_that_the_encoding_can_not_show_does_not_end_the_job(emulator: EmulatorHandle, encoding: str) -> None:
    ended = subprocess.run(
        [*PROGRAM, *JOB, f"{ODD_LINE}; sleep 0.5; echo after; exit 3"],
        env=os.environ | emulator.env() | {"PYTHONIOENCODING": encoding, "LC_ALL": "C"},
        capture_output=True,
        timeout=LONG_S,
    )
    assert ended.returncode == 3
    assert ended.stdout.splitlines()[0].endswith(rb"n \U0001f600 1/2")
    assert b"after" in ended.stdout
    assert b"bug" not in ended.stderr


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_the_bar_manages_without_unicode_and_without_room(emulator: EmulatorHandle, columns: int) -> None:
    with in_terminal(emulator, columns, *JOB, f"{ODD_LINE}; sleep 0.5", PYTHONIOENCODING="ascii") as terminal:
        assert terminal.status() == 0
    assert "Traceback" not in terminal.text
    # The job's own line alone has escapes: neither the spinner nor what was cut off has.
    assert "\\u2" not in terminal.text
    assert "\\U0001f600" in terminal.text


def test_a_bar_that_the_job_draws_moves_ours_and_is_shown_once_its_line_ends(
    emulator: EmulatorHandle, tmp_path: Path
) -> None:
    draws = r"printf '\r 20%%|#'; printf '\r 40%%|##'"
    ends = rf"until [ -e {tmp_path}/more ]; do sleep 0.05; done; printf '\r100%%|#####\n'; sleep 1"
    with in_terminal(emulator, 100, *JOB, f"{draws}; {ends}") as terminal:
        terminal.read_until(" 40%")
        assert "|#" not in terminal.text
        (tmp_path / "more").touch()
        assert terminal.status() == 0
    assert terminal.text.count("100%|#####") == 1
    assert "|##\n" not in terminal.text


def redirected(emulator: EmulatorHandle, words: Sequence[str], to: str) -> subprocess.CompletedProcess[str]:
    """`octa-provider` with its output where a shell would put it."""
    streams: dict[str, Any] = {"stdout": None, "stderr": subprocess.PIPE}
    closed = []
    with ExitStack() as opened:
        for number, mark, place in re.findall(r"([12]?)([<>])(\S+)", to):
            if place == "&-":
                closed.append(int(number or 1))
            else:
                file = opened.enter_context(open(place, "r" if mark == "<" else "w"))
                streams["stderr" if number == "2" else "stdout"] = file
        return run_python(
            [*PROGRAM, *words], closed=closed, env=os.environ | emulator.env(), text=True, timeout=LONG_S, **streams
        )


@pytest.mark.parametrize("words", ["machines", "machines --json", "sessions", "doctor", "--help", "--version"])
@pytest.mark.parametrize("to", [">&-", ">/dev/full", "1</dev/null", ">&- 2>&-", ">/dev/full 2>/dev/full"])
def test_an_output_that_takes_nothing_is_no_bug(emulator: EmulatorHandle, words: str, to: str) -> None:
    ended = redirected(emulator, words.split(), to)
    assert ended.returncode in {0, 1}
    assert not {"bug", "Traceback", "Errno", "Exception"} & set((ended.stderr or "").replace("[", " ").split())


@pytest.mark.parametrize("to", [">/dev/full", "1</dev/null"])
def test_an_output_that_takes_nothing_does_not_end_the_job(emulator: EmulatorHandle, to: str) -> None:
    ended = redirected(emulator, [*JOB, "echo begun; sleep 1; echo ended; exit 3"], to)
    assert ended.returncode == 3
    assert "failed on node" in ended.stderr
    assert ended.stderr.count("output can't be shown") == (1 if "full" in to else 0)


@pytest.mark.parametrize("columns", [40, 100])
def test_an_interrupt_says_at_once_that_the_machine_is_being_stopped(emulator: EmulatorHandle, columns: int) -> None:
    with in_terminal(emulator, columns, *JOB, "echo begun; sleep 300") as terminal:
        terminal.read_until("the command runs")
        emulator.faults({"kind": "delay", "seconds": 3, "method": "POST", "path": "^/services/[^/]+/stop$"})
        terminal.process.send_signal(signal.SIGINT)
        terminal.read_until("interrupted: stopping")
        # While it still runs: nobody is left to wonder.
        assert emulator.ledger()["running"] == 1
        assert terminal.status() == 130
    assert emulator.ledger()["running"] == 0
    assert "runs any more" in " ".join(terminal.text.split())
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM")], ids=["INT", "TERM"]
)
@pytest.mark.parametrize("via", ["container", "ssh"])
def test_a_signal_is_told_in_three_lines_and_no_more(
    emulator: EmulatorHandle, number: signal.Signals, said: str, via: str
) -> None:
    words = ("--via", via, "--ssh-key", emulator.ssh_private_key, "--", "echo begun; sleep 300")
    with start_python(
        [*PROGRAM, *JOB[:-1], *words],
        env=os.environ | emulator.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        _, told = process.communicate(timeout=LONG_S)
    after = told[told.index(said) :].splitlines()
    assert after[0] == f"{said}: stopping the machine, which takes a moment"
    assert after[1].endswith("runs any more")
    assert after[2:] == (["octa-provider: interrupted"] if number == signal.SIGINT else [])
