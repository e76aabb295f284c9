"""`octa-provider run`: a job from a shell."""

from __future__ import annotations

import getpass
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from octa_provider.cli.commands import run as run_command
from octa_provider.cli.options.new_key import new_key
from octa_provider.emulator.testing import EmulatorHandle
from octa_provider.job.result import JobOutcome, JobResult
from tests.forked_python import start_python

Cli = Callable[..., Any]
#: An app of the emulator's.
UBUNTU = "406c0b3f-6726-4169-a3b4-6322995cd755"
QUICK = ("run", "ubuntu:24.04", "--poll", "0.1s")


@pytest.mark.parametrize(("command", "status"), [("echo hello", 0), ("echo hello; exit 3", 3)])
def test_the_exit_status_is_the_jobs_and_the_machine_is_stopped(
    cli: Cli, emulator: EmulatorHandle, command: str, status: int
) -> None:
    shown = cli(*QUICK, "--", command)
    assert shown.status == status
    assert shown.out.splitlines()[0] == "hello"
    assert "rental key: cli/" in shown.err.splitlines()[0]
    assert emulator.ledger()["running"] == 0


def test_several_words_are_a_command_and_its_arguments(cli: Cli) -> None:
    assert cli(*QUICK, "--", "printf", "%s\\n", "a b; exit 7").out.splitlines()[0] == "a b; exit 7"


def test_an_organization_pays_that_the_line_or_the_shell_names(
    cli: Cli, emulator: EmulatorHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli(*QUICK, "--organization-id", "77", "--project-id", "art", "--", "true").status == 0
    session = emulator.ledger()["sessions"][-1]
    assert (session["organization_id"], session["project_id"]) == (77, "art")
    monkeypatch.setenv("OCTA_ORGANIZATION_ID", "78")
    assert cli(*QUICK, "--", "true").status == 0
    assert emulator.ledger()["sessions"][-1]["organization_id"] == 78
    refused = cli(*QUICK, "--organization-id", "my org", "--", "true")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "--organization-id is no id: copy it again, without spaces" in refused.err


def test_labels_travel_with_the_session(cli: Cli) -> None:
    shown = cli(*QUICK, "--json", "--label", "project=atlas", "--label", "formula=a=b", "--", "true")
    uuid = json.loads(shown.out)["uuid"]
    listed = {one["uuid"]: one["labels"] for one in json.loads(cli("sessions", "--recent", "--json").out)}
    assert listed[uuid] == {"project": "atlas", "formula": "a=b"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--label", "project"), "'project' must be NAME=VALUE"),
        (("--label", "=x"), "--label '' is no name of a label"),
        (("--label", "a=b\nc"), "--label the value of a must be text of at most 128 printable characters"),
        (("--label", "a=b", "--label", "a=c"), "--label gives a twice"),
        (("--env", "OCTA_LABELS={}"), "--env must not set OCTA_LABELS"),
    ],
)
def test_what_can_be_no_label_is_refused(cli: Cli, emulator: EmulatorHandle, words: tuple[str, ...], said: str) -> None:
    before = len(emulator.ledger()["sessions"])
    shown = cli(*QUICK, *words, "--", "true")
    assert shown.status == 2
    assert said in shown.err
    assert len(emulator.ledger()["sessions"]) == before


def test_ports_are_published_and_told_while_the_command_runs(cli: Cli, emulator: EmulatorHandle) -> None:
    shown = cli(*QUICK, "--http-port", "8188", "--port", "5000", "--port", "5001", "--", "sleep 1")
    assert shown.status == 0
    told = [line for line in shown.err.splitlines() if line.startswith("port ")]
    assert [line.partition(":")[0] for line in told] == ["port 8188", "port 5000", "port 5001"]
    assert told[0].startswith("port 8188: http")
    assert not any(line.startswith("port ") for line in cli(*QUICK, "--", "true").err.splitlines())
    sessions = len(emulator.ledger()["sessions"])
    for option in ("--http-port", "--port"):
        refused = cli(*QUICK, option, "99999", "--", "true")
        assert (refused.status, refused.err.count("\n")) == (2, 1)
        assert f" {option} must be port numbers from 1 to 65535, not 99999" in refused.err
    assert len(emulator.ledger()["sessions"]) == sessions


def test_an_app_an_entrypoint_and_a_cap_on_time_are_those_of_the_job(cli: Cli, emulator: EmulatorHandle) -> None:
    options = ("--app", UBUNTU, "--entrypoint", "env MARK=here", "--max-duration", "1h")
    shown = cli("run", "", "--poll", "0.1s", *options, "--", "echo $MARK")
    assert (shown.status, shown.out.splitlines()[0]) == (0, "here")
    sessions = len(emulator.ledger()["sessions"])
    refused = cli(*QUICK, "--max-duration", "300d", "--", "true")
    assert (refused.status, refused.err.count("does not pay for")) == (1, 1)
    assert len(emulator.ledger()["sessions"]) == sessions


def test_another_machine_is_tried_when_one_never_comes_up(cli: Cli, emulator: EmulatorHandle) -> None:
    emulator.faults({"kind": "never_ready", "times": 1})
    shown = cli(*QUICK, "--start-attempts", "2", "--ready-timeout", "1s", "--json", "--", "true")
    result = json.loads(shown.out)
    assert (shown.status, result["outcome"], len(result["tried"])) == (0, "succeeded", 1)
    first, second = emulator.ledger()["sessions"][-2:]
    assert result["tried"][0]["node_id"] == first["node_id"] != second["node_id"] == result["node_id"]
    assert int(result["cost_wei"]) == first["charge_wei"] + second["charge_wei"]
    refused = cli(*QUICK, "--start-attempts", "11", "--", "true")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "--start-attempts must be a whole number from 1 to 10" in refused.err


def test_the_machine_of_a_command_that_failed_is_kept_and_told(cli: Cli, emulator: EmulatorHandle) -> None:
    assert cli(*QUICK, "--keep-failed", "30m", "--", "true").status == 0
    assert emulator.ledger()["running"] == 0
    shown = cli(*QUICK, "--keep-failed", "30m", "--json", "--", "exit 3")
    result = json.loads(shown.out)
    assert (shown.status, emulator.ledger()["running_uuids"]) == (3, [result["uuid"]])
    assert 0 < result["kept_until"] - time.time() <= 1800
    assert f"it is kept and bills on, until {time.strftime('%Y')}" in shown.err
    assert f"octa-provider stop {result['uuid']}" in shown.err
    assert cli("reap", "--prefix", "cli", "--yes").status == 0
    assert emulator.ledger()["running_uuids"] == [result["uuid"]]
    assert cli("stop", result["uuid"]).status == 0
    assert emulator.ledger()["running"] == 0


def test_what_the_command_returns_is_told_and_in_the_json(cli: Cli, emulator: EmulatorHandle) -> None:
    options = (*QUICK, "--ssh-key", emulator.ssh_private_key, "--result-file", "r.json")
    shown = cli(*options, "--", """printf '{"loss": "\\\\u001b[31m"}' > r.json""")
    assert shown.status == 0
    assert 'returned {"loss": "\\u001b[31m"}' in shown.err
    long = cli(*options, "--json", "--", "(printf '[1'; for i in $(seq 999); do printf ,1; done; printf ']') > r.json")
    assert json.loads(long.out)["value"] == [1] * 1000
    assert "... (3000 characters: see --json)" in long.err
    none = cli(*options, "--", "true")
    assert (none.status, "returned" in none.err) == (1, False)
    assert "the command succeeded, but left no result file r.json" in none.err
    refused = cli(*options, "--via", "container", "--", "true")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "--result-file is read over SSH: use --via ssh or --via auto" in refused.err


def test_environment_variables_come_from_the_line_or_from_the_shell(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_SHELL", "two")
    shown = cli(*QUICK, "--env", "ONE=one=1", "--env", "FROM_SHELL", "--", "echo $ONE $FROM_SHELL")
    assert shown.out.splitlines()[0] == "one=1 two"
    missing = cli(*QUICK, "--env", "NOT_SET_ANYWHERE", "--", "true")
    assert missing.status == 2
    assert "NOT_SET_ANYWHERE is not set in this shell" in missing.err


@pytest.fixture
def of_the_shell(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], None]:
    """Sets a variable of the own environment, which may hold any bytes."""

    def of_the_shell(name: str, value: bytes) -> None:
        monkeypatch.setenv(name, os.fsdecode(value))

    return of_the_shell


def test_a_secret_comes_from_the_own_environment_and_the_api_never_gets_it(
    cli: Cli, emulator: EmulatorHandle, of_the_shell: Callable[[str, bytes], None]
) -> None:
    secret = "hunter2 it's\nWärme".encode()
    of_the_shell("TOKEN", secret)
    of_the_shell("SECOND", b"")
    options = ("--ssh-key", emulator.ssh_private_key, "--secret-env", "TOKEN", "--secret-env", "SECOND", "--verbose")
    shown = cli(*QUICK, *options, "--", 'printf %s "$TOKEN" | cksum; echo "[${SECOND-unset}]"; env | grep -c SECOND')
    assert (shown.status, shown.out.split()[1:]) == (0, [str(len(secret)), "[]", "1"])
    assert "hunter2" not in shown.out + shown.err
    assert "hunter2" not in json.dumps(emulator.ledger())
    assert not any(b"hunter2" in file.read_bytes() for file in emulator.state.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--secret-env", "NOT_SET_ANYWHERE"), "--secret-env: NOT_SET_ANYWHERE is not set in this shell: export it."),
        (("--secret-env=NOT_SET_ANYWHERE",), "--secret-env: NOT_SET_ANYWHERE is not set in this shell: export it."),
        *[
            (words, "--secret-env: write the name alone: a value on the command line is shown to everybody by ps")
            for words in (("--secret-env", "TOKEN=hidden"), ("--secret-env=TOKEN=hidden",), ("--secret-env", "=hidden"))
        ],
        (("--secret-env", "TOKEN="), "--secret-env: write the name alone"),
        (("--secret-env", "hidden-key"), "--secret-env: what is given is not a name of an environment variable"),
        (("--secret-env", ""), "--secret-env: what is given is not a name of an environment variable"),
        (("--secret-env", "TORN"), "--secret-env the value of TORN must be text"),
        (("--secret-env", "TOKEN", "--env", "TOKEN=1"), "TOKEN is given with --env and with --secret-env"),
        (("--secret-env", "TOKEN", "--via", "container"), "use --via ssh or --via auto"),
    ],
)
def test_a_secret_that_can_not_be_handed_over_is_refused_in_one_line_before_any_money(
    cli: Cli, emulator: EmulatorHandle, of_the_shell: Callable[[str, bytes], None], words: tuple[str, ...], said: str
) -> None:
    of_the_shell("TOKEN", b"hidden too")
    of_the_shell("TORN", b"hidden \xff")
    before = len(emulator.ledger()["requests"])
    shown = cli(*QUICK, *words, "--", "true")
    assert (shown.status, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert said in shown.err
    assert "hidden" not in shown.err
    # The ledger itself is no request to the API.
    assert len(emulator.ledger()["requests"]) == before


def test_files_go_up_and_come_down(cli: Cli, emulator: EmulatorHandle, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("data\n")
    shown = cli(
        *(*QUICK, "--ssh-key", emulator.ssh_private_key, "--input", f"{tmp_path}/a.txt:in/a.txt"),
        *(
            "--output",
            f"out.txt:{tmp_path}/out.txt",
            "--log",
            tmp_path / "log",
            "--",
            "tr a-z A-Z < in/a.txt > out.txt",
        ),
    )
    assert (shown.status, shown.err.count("fetched ")) == (0, 1)
    assert (tmp_path / "out.txt").read_text() == "DATA\n"


def test_the_result_is_json_and_the_output_goes_to_standard_error(cli: Cli) -> None:
    shown = cli(*QUICK, "--json", "--key", "cli/json", "--", "echo to stderr; exit 4")
    result = json.loads(shown.out)
    assert (shown.status, result["exit_code"], result["outcome"], result["key"]) == (4, 4, "failed", "cli/json")
    assert isinstance(result["cost_wei"], str)
    assert "to stderr" in shown.err


def test_a_command_that_takes_too_long_is_a_failure(cli: Cli) -> None:
    shown = cli(*QUICK, "--timeout", "1s", "--", "sleep 60")
    assert shown.status == 124
    assert "timed out" in shown.err


def test_a_terminal_sees_a_bar(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    shown = cli(*QUICK, "--", "echo '[b]1/2'; sleep 0.3; echo 2/2")
    assert shown.status == 0
    assert "[b]1/2" in shown.err
    assert "100%" in shown.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tool", "blender", "--", "true"), "can't be told from this command, so there is no bar: add --total N"),
        (("--", "echo blender -b scene.blend -a"), "can't be told from this command"),
        (("--total", "30", "--", "echo nothing"), "--total had no effect: no line of the output told"),
        (("--tool", r"at (?P<percent>\d+)", "--", "echo 5%"), "--tool had no effect: no line of the output told"),
        (("--tool", "blender", "--total", "4", "--", "echo nothing"), "--total had no effect"),
        (("--", "echo nothing"), None),
        (("--", "echo blender --version"), None),
        (("--", "echo blender -b scene.blend -e 10 -a"), None),
        (("--total", "30", "--", "echo 10%"), None),
    ],
)
def test_what_leaves_the_bar_without_meaning_gets_a_hint(cli: Cli, words: tuple[str, ...], said: str | None) -> None:
    shown = cli(*QUICK, *words)
    assert shown.status == 0
    assert shown.err.count("hint: ") == (said is not None)
    assert (said or "") in shown.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "there is no command"),
        (("--",), "there is no command"),
        (("--timeout", "soon", "--", "true"), "is not a duration"),
        (("--input", "only", "--", "true"), "must be LOCAL:REMOTE"),
        (("--output", ":x", "--", "true"), "must be REMOTE:LOCAL"),
        (("--input", "missing.txt:x", "--", "true"), "does not exist"),
        (("--output", "x:y", "--via", "container", "--", "true"), "move over SSH"),
        (("--ssh-key", "missing", "--", "true"), "is not a file"),
        (("--ssh-key", "~no-such-user/key", "--", "true"), "there is no home folder ~no-such-user"),
        (("--input", "~no-such-user/a:x", "--", "true"), "there is no home folder ~no-such-user"),
        (("--output", "x:~no-such-user/a", "--", "true"), "there is no home folder ~no-such-user"),
        (("--log", "missing/log", "--", "true"), "is not a folder"),
        (("--key", "with space", "--", "true"), "printable ASCII"),
        (("--max-cost", "0", "--", "true"), "--max-cost-usd must"),
        (("--total", "0", "--tool", "(", "--", "true"), "progress pattern"),
        (("--disk", "0", "--", "true"), "--disk-gb must"),
    ],
)
def test_what_can_not_work_is_refused_before_anything_is_rented(
    cli: Cli, emulator: EmulatorHandle, words: tuple[str, ...], said: str
) -> None:
    before = len(emulator.ledger()["sessions"])
    shown = cli("run", "ubuntu:24.04", *words)
    assert shown.status == 2
    assert said in shown.err
    assert len(emulator.ledger()["sessions"]) == before


@pytest.mark.parametrize("image", ["", " "])
def test_an_image_without_a_name_is_refused_before_anything_is_rented(
    cli: Cli, emulator: EmulatorHandle, image: str
) -> None:
    before = len(emulator.ledger()["sessions"])
    shown = cli("run", image, "--", "true")
    assert (shown.status, len(emulator.ledger()["sessions"])) == (2, before)
    assert "IMAGE is empty" in shown.err


def test_files_without_ssh_installed_are_refused_before_anything_is_rented(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_command, "find_spec", lambda name: None)
    shown = cli(*QUICK, "--output", "x:y", "--", "true")
    assert shown.status == 2
    assert "pip install 'octa-provider[ssh]'" in shown.err


def test_no_machine_that_fits_is_a_failure_with_the_reasons(cli: Cli) -> None:
    shown = cli(*QUICK, "--max-price-usd", 0.0001, "--disk", 20, "--", "true")
    assert shown.status == 1
    assert "no machine fits" in shown.err


def test_a_run_waits_for_a_machine_and_says_so_once(cli: Cli, emulator: EmulatorHandle) -> None:
    emulator.faults({"kind": "garbage", "method": "GET", "path": "^/services/mr$", "body": "[]", "times": 1})
    shown = cli(*QUICK, "--wait-for-machine", "10s", "--", "true")
    assert shown.status == 0
    told = [line for line in shown.err.splitlines() if "for a machine" in line]
    assert len(told) == 2
    assert "waits up to 10s for a machine: no machine fits: the catalogue is empty" in told[0]
    assert "for a machine and has session" in told[1]


def test_a_run_that_waited_in_vain_says_how_long(cli: Cli) -> None:
    shown = cli(*QUICK, "--max-price-usd", 0.0001, "--wait-for-machine", "1s", "--", "true")
    assert shown.status == 1
    assert re.search(r"Waited \d+s for one \(--wait-for-machine\)", shown.err)


def test_a_user_without_a_name_has_a_key_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("no name")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert new_key().startswith(f"cli/{os.getuid()}@")


@pytest.mark.parametrize(
    ("outcome", "code", "status"),
    [
        (JobOutcome.SUCCEEDED, 0, 0),
        (JobOutcome.FAILED, 300, 1),
        (JobOutcome.FAILED, 0, 1),
        (JobOutcome.LOST, None, 1),
        (JobOutcome.FAILED, 137, 137),
    ],
)
def test_an_unknown_outcome_is_never_a_success(outcome: JobOutcome, code: int | None, status: int) -> None:
    result = JobResult(code, outcome, "", None, (), None, None, None, None, "u", "k", 1)
    assert run_command.exit_status(result) == status


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_run_leaves_nothing_running(emulator: EmulatorHandle, number: int, status: int) -> None:
    key = f"cli/signal/{number}"
    with start_python(
        [sys.executable, "-m", "octa_provider", *QUICK, "--key", key, "--", "echo begun; sleep 300"],
        env=os.environ | emulator.env() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert [s["rental_key"] for s in emulator.ledger()["sessions"] if s["stopped_ms"] is None] == [key]
        process.send_signal(number)
        _, err = process.communicate(timeout=600)
    assert process.returncode == status
    assert emulator.ledger()["running"] == 0
    assert "Traceback" not in err
    assert emulator.api_key not in err
    assert f"nothing of {key} runs any more" in err


def test_a_run_that_was_killed_is_carried_on_by_the_next_one_under_the_same_key(
    cli: Cli, emulator: EmulatorHandle
) -> None:
    words = (*QUICK, "--key", "cli/again", "--", "echo begun; sleep 2; echo ended")
    with start_python(
        [sys.executable, "-m", "octa_provider", *words],
        env=os.environ | emulator.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.kill()
    assert emulator.ledger()["running"] == 1
    time.sleep(0.1)
    shown = cli(*words)
    assert shown.status == 0
    assert "ended" in shown.out
    assert emulator.ledger()["max_running_by_key"]["cli/again"] == {"max_running": 1, "overlap_ms": 0, "sessions": 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--output", "r.txt:plain/frames"), "plain is in the way"),
        (("--output", "r.txt:plain/"), "plain is a file, no folder to put the output r.txt into"),
        (("--output", "a:x", "--output", "a:y"), "--output names a twice"),
        (("--input", "plain:x", "--input", "plain:y"), "--input names plain twice"),
        (("--input", "plain:x", "--input", "other:x"), "would both be sent as x"),
        (("--input", "pipe:x"), "pipe is a pipe, socket or device"),
        (("--input", "nowhere:x"), "nowhere does not exist"),
        (("--input", "plain:~/x"), "begins with '~'"),
        (("--via", "ssh", "--log", "folder"), "folder is a folder: --log needs the name of a file"),
    ],
)
def test_files_that_cannot_move_are_refused_before_anything_is_rented(
    cli: Cli,
    emulator: EmulatorHandle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("plain", "other"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to("missing")
    os.mkfifo(tmp_path / "pipe")
    before = len(emulator.ledger()["sessions"])
    shown = cli(*QUICK, "--ssh-key", emulator.ssh_private_key, *words, "--", "true")
    assert shown.status == 2
    assert said in " ".join(shown.err.split())
    assert len(emulator.ledger()["sessions"]) == before


def test_inputs_without_outputs_get_a_hint(cli: Cli, emulator: EmulatorHandle, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    shown = cli(*QUICK, "--ssh-key", emulator.ssh_private_key, "--input", f"{tmp_path}/a:.", "--", "cat a")
    assert (shown.status, shown.out.splitlines()[0]) == (0, "a")
    assert "hint: files are sent, and none is fetched" in shown.err


def test_a_missing_output_says_that_the_command_succeeded_and_which_of_the_users_paths_is_missing(
    cli: Cli, emulator: EmulatorHandle, tmp_path: Path
) -> None:
    shown = cli(
        *(*QUICK, "--ssh-key", emulator.ssh_private_key, "--output", f"renders/final:{tmp_path}/final"),
        *("--", "mkdir renders; touch renders/other"),
    )
    assert shown.status != 0
    assert "the command succeeded but left no renders/final" in shown.err
    assert not (tmp_path / "final").exists()
