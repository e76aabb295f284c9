"""`octa-provider render`: an animation over many machines, asked for once, with the number."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from a_terminal import LONG_S, in_terminal
from small_picture import write_picture

from octa_provider.emulator.testing import EmulatorHandle
from tests.forked_python import start_python

Cli = Callable[..., Any]
ARGUMENTS = ("--frames", "1-6", "--seconds-per-frame", "1", "--max-machines", "2", "--poll", "0.2s")


class Work:
    """A scene that a shell script renders, and the words that ask for it."""

    def __init__(self, folder: Path, key: Path) -> None:
        self.scene, self.out, self.key = folder / "scene", folder / "out", key
        self.scene.mkdir()
        write_picture(self.scene / "picture.png")
        self.script("cp picture.png $2")

    def script(self, text: str) -> None:
        """What renders the frame $1 into the file $2."""
        (self.scene / "draw.sh").write_text(f"{text}\n")

    @property
    def words(self) -> tuple[str, ...]:
        """Of the command line, without --yes."""
        return (
            *("render", str(self.scene), "--main", "draw.sh", "--output", str(self.out), "--image", "ubuntu:24.04"),
            *("--command", "sh {scene} {frame} {output}/frame_{frame:04d}.png", "--ssh-key", str(self.key), *ARGUMENTS),
        )

    @property
    def frames(self) -> list[str]:
        """The frames that are there."""
        return sorted(path.name for path in self.out.glob("frame_*.png"))


@pytest.fixture
def work(tmp_path: Path, emulator: EmulatorHandle) -> Work:
    return Work(tmp_path, emulator.ssh_private_key)


def names(first: int, last: int) -> list[str]:
    return [f"frame_{number:04d}.png" for number in range(first, last + 1)]


def posts(emulator: EmulatorHandle) -> int:
    return sum(request["method"] == "POST" for request in emulator.ledger()["requests"])


def test_every_frame_comes_and_no_machine_is_left(cli: Cli, emulator: EmulatorHandle, work: Work) -> None:
    # Machines that tell their price in USD.
    shown = cli(*work.words, "--yes", "--max-price-usd", "3", "--label", "project=atlas")
    assert (shown.status, work.frames) == (0, names(1, 6)), shown.out + shown.err
    lines = shown.out.splitlines()
    assert any(line.startswith("6 frames on ") and "nine times in ten no more than" in line for line in lines)
    assert any(" is rented" in line for line in lines)
    assert any(line.startswith(f"whole: 6 of 6 frames in {work.out}, 6 rendered now by ") for line in lines)
    assert any(line.startswith("cost of the batch: ") and "; planned " in line for line in lines)
    assert "rental key: cli/" in shown.err
    assert cli("sessions", "--recent", "--label", "project=atlas").out.count("project=atlas") >= 1
    assert emulator.ledger()["running"] == 0


def test_a_program_gets_the_result_alone_on_standard_output(cli: Cli, work: Work) -> None:
    shown = cli(*work.words, "--yes", "--json")
    told = json.loads(shown.out)
    assert (shown.status, told["outcome"], told["done"], told["missing"]) == (0, "whole", 6, "")
    assert int(told["cost_wei"]) > 0
    assert " is rented" in shown.err


def test_a_folder_that_is_whole_rents_nothing_and_one_that_lacks_a_frame_renders_that_one(
    cli: Cli, emulator: EmulatorHandle, work: Work
) -> None:
    assert cli(*work.words, "--yes").status == 0
    before = posts(emulator)
    again = cli("render", "--resume", work.out, "--ssh-key", work.key, "--yes")
    assert (again.status, posts(emulator)) == (0, before), again.err
    assert "6 of 6 frames" in again.out
    (work.out / "frame_0004.png").unlink()
    shown = cli("render", "--resume", work.out, "--ssh-key", work.key, "--yes", "--poll", "0.2s")
    assert (shown.status, work.frames) == (0, names(1, 6)), shown.err
    assert ", 1 rendered now by 1 machine" in shown.out


def test_frames_that_cant_be_rendered_end_with_3_and_are_named_with_what_goes_on(
    cli: Cli, emulator: EmulatorHandle, work: Work
) -> None:
    work.script('if [ "$1" = 4 ]; then : > $2; else cp picture.png $2; fi')
    shown = cli(*work.words, "--yes", "--tries-per-frame", "1")
    assert (shown.status, work.frames) == (3, [name for name in names(1, 6) if "0004" not in name]), shown.err
    lines = shown.out.splitlines()
    assert "missing: 4" in lines
    assert lines[-1] == f"go on with: octa-provider render --resume {work.out}"
    assert emulator.ledger()["running"] == 0


def test_a_resume_renders_what_is_missing_on_other_terms(
    cli: Cli, emulator: EmulatorHandle, work: Work, tmp_path: Path
) -> None:
    mended = tmp_path / "mended"
    work.script(f'if [ "$1" = 4 ] && [ ! -e {mended} ]; then : > $2; else cp picture.png $2; fi')
    assert cli(*work.words, "--yes", "--tries-per-frame", "1").status == 3
    mended.write_bytes(b"")
    terms = ("--max-machines", "1", "--tries-per-frame", "3", "--order", "backward", "--poll", "0.2s")
    shown = cli("render", "--resume", work.out, "--ssh-key", work.key, "--yes", *terms)
    assert (shown.status, work.frames) == (0, names(1, 6)), shown.out + shown.err
    assert ", 1 rendered now by 1 machine" in shown.out
    assert emulator.ledger()["running"] == 0


def test_a_budget_that_nothing_meets_ends_with_4_and_rents_nothing(
    cli: Cli, emulator: EmulatorHandle, work: Work
) -> None:
    before = posts(emulator)
    shown = cli(*work.words, "--yes", "--max-cost-usd", "0.000001")
    assert shown.status == 4
    assert "no plan meets what is asked for" in shown.err
    assert posts(emulator) == before


def test_a_changed_scene_is_refused_and_named(cli: Cli, emulator: EmulatorHandle, work: Work) -> None:
    assert cli(*work.words, "--yes").status == 0
    work.script("cp picture.png $2 # other")
    before = posts(emulator)
    shown = cli(*work.words, "--yes")
    assert (shown.status, posts(emulator)) == (2, before)
    assert "draw.sh" in shown.err


def test_in_a_terminal_it_asks_once_and_no_is_no(emulator: EmulatorHandle, work: Work) -> None:
    before = posts(emulator)
    with in_terminal(emulator, 100, *work.words) as terminal:
        terminal.read_until("Rent? [y/N]")
        terminal.type("n\n")
        assert terminal.status() == 1
    assert "cancelled" in terminal.text
    assert posts(emulator) == before


def test_in_a_terminal_yes_renders_with_a_bar(emulator: EmulatorHandle, work: Work) -> None:
    work.script("sleep 1; cp picture.png $2")
    with in_terminal(emulator, 80, *work.words) as terminal:
        terminal.read_until("Rent? [y/N]")
        terminal.type("y\n")
        terminal.read_until(" of 6 frames, ")
        assert terminal.status() == 0
    assert "whole: 6 of 6 frames" in terminal.text.replace("\n", " ")
    assert work.frames == names(1, 6)
    assert emulator.ledger()["running"] == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_with_every_machine_stopped(
    emulator: EmulatorHandle, work: Work, number: signal.Signals, status: int
) -> None:
    work.script('[ "$1" = 1 ] || sleep 300; cp picture.png $2')
    process = started(emulator, work)
    wait_for(process, " is ready")
    until = time.monotonic() + LONG_S
    while not work.frames:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=LONG_S)
    assert process.returncode == status, err
    assert "stopping the machines, which takes a moment" in err
    assert "none of the batch's machines runs any more" in err
    assert f"1 of 6 frames are there; go on with: octa-provider render --resume {work.out}\n" in err
    assert emulator.ledger()["running"] == 0
    assert work.frames == names(1, 1)


def test_more_signals_while_the_machines_are_stopped_change_nothing(emulator: EmulatorHandle, work: Work) -> None:
    """A hasty person, a terminal that closes, a host that shuts down: the first signal's status, nothing running."""
    work.script('[ "$1" = 1 ] || sleep 300; cp picture.png $2')
    process = started(emulator, work)
    wait_for(process, " is ready")
    emulator.faults(
        {"kind": "status", "status": 503, "times": None, "method": "POST", "path": "^/services/[^/]+/stop$"}
    )
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    while "stopping the machines" not in process.stderr.readline():
        assert process.poll() is None
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
        time.sleep(0.3)
    emulator.clear_faults()
    _, err = process.communicate(timeout=LONG_S)
    assert process.returncode == 143, err
    assert emulator.ledger()["running"] == 0


def test_a_pipe_that_nobody_reads_ends_it_with_every_machine_stopped(emulator: EmulatorHandle, work: Work) -> None:
    work.script('[ "$1" = 1 ] || sleep 300; cp picture.png $2')
    process = started(emulator, work, "--poll", "0.2s")
    wait_for(process, " is rented")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(LONG_S) == 1
    assert emulator.ledger()["running"] == 0


def test_where_nothing_tells_what_a_frame_takes_the_machine_that_has_measured_waits_for_the_answer(
    emulator: EmulatorHandle, work: Work
) -> None:
    words = list(work.words)
    at = words.index("--seconds-per-frame")
    with in_terminal(emulator, 100, *words[:at], *words[at + 2 :]) as terminal:
        terminal.read_until("Rent? [y/N]")
        assert "one machine has measured this, and waits for the answer, which costs" in terminal.text
        assert emulator.ledger()["running"] == 1
        terminal.type("\n")
        assert terminal.status() == 1
    assert emulator.ledger()["running"] == 0
    assert work.frames == ["frame_0001.png", "frame_0004.png", "frame_0006.png"]
    assert "missing: 2-3,5" in terminal.text


def test_ctrl_c_at_the_question_stops_the_machine_that_waits(emulator: EmulatorHandle, work: Work) -> None:
    words = list(work.words)
    at = words.index("--seconds-per-frame")
    with in_terminal(emulator, 100, *words[:at], *words[at + 2 :]) as terminal:
        terminal.read_until("Rent? [y/N]")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.status() == 130
    assert "none of the batch's machines runs any more" in terminal.text
    assert emulator.ledger()["running"] == 0


def test_a_scene_that_no_machine_can_render_ends_with_5(cli: Cli, emulator: EmulatorHandle, work: Work) -> None:
    work.script("echo rock.png is missing >&2; exit 3")
    shown = cli(*work.words, "--yes")
    assert shown.status == 5, shown.out + shown.err
    assert "the scene can't be rendered: exit code 3: rock.png is missing (the same on nodes " in shown.out
    assert "go on with" not in shown.out
    assert emulator.ledger()["running"] == 0


def test_a_changed_scene_is_rendered_anew_where_that_is_asked_for(cli: Cli, work: Work) -> None:
    assert cli(*work.words, "--yes").status == 0
    work.script("cp picture.png $2 # other")
    shown = cli(*work.words, "--yes", "--on-changed", "replace")
    assert shown.status == 0, shown.err
    assert ", 6 rendered now by " in shown.out


def started(emulator: EmulatorHandle, work: Work, *more: str) -> subprocess.Popen[str]:
    return start_python(
        [sys.executable, "-m", "octa_provider", *work.words, "--yes", *more],
        env=os.environ | emulator.env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read what it says until it says this."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    assert process.stderr is not None
    raise AssertionError(f"it ended without saying {text!r}: {process.stderr.read()}")


@pytest.fixture
def quiet(cli: Cli, emulator: EmulatorHandle) -> Callable[..., str]:
    """Runs a command that must be refused with 2 before any request, and gives the one line that it says."""

    def quiet(*words: object) -> str:
        before = len(emulator.ledger()["requests"])
        shown = cli(*words)
        assert (shown.status, shown.out, shown.err.count("\n")) == (2, "", 1), shown.err
        assert len(emulator.ledger()["requests"]) == before
        return str(shown.err)

    return quiet


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "say what to render, as in: octa-provider render shot.blend --frames 1-240 --output out"),
        (("SCENE",), "say which folder gets the frames: --output OUT"),
        (("SCENE", "--output", "OUT"), "say which frames: --frames 1-240"),
        (("SCENE", "--output", "OUT", "--frames", "1-9", "--ssh-key", "none"), "the SSH key none is not a file"),
        (("SCENE", "--output", "OUT", "--frames", "1-9", "--key", "a b"), "a rental key must be"),
        (("--resume", "OUT", "--frames", "1-9"), "--resume OUT knows --frames: leave it out"),
        (("SCENE", "--resume", "OUT"), "--resume OUT knows SCENE: leave it out"),
        (("--resume", "OUT", "--command", "x {frame}"), "--resume OUT knows --command: leave it out"),
        (("--resume", "OUT", "--key", "k"), "--resume OUT knows --key: leave it out"),
        (("--resume", "OUT"), "is not the output folder of a batch: no batch was begun there"),
    ],
)
def test_what_cant_work_is_refused_before_any_request(
    quiet: Callable[..., str], work: Work, words: tuple[str, ...], why: str
) -> None:
    places = {"SCENE": str(work.scene / "draw.sh"), "OUT": str(work.out)}
    given = [places.get(word, word) for word in words]
    login = () if "--ssh-key" in words else ("--ssh-key", work.key)
    assert why in quiet("render", *given, *login, "--yes")


def test_without_a_terminal_and_without_yes_it_ends_before_any_request(
    quiet: Callable[..., str], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = quiet(*work.words)
    assert "nobody can be asked, as there is no terminal: add --yes" in said
    assert not work.out.exists()
