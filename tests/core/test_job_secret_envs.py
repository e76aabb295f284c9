"""`secret_envs`: environment variables that reach the command over SSH, and nobody and nothing else on the way."""

from __future__ import annotations

import base64
import json
import logging
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from job_bench import Bench, LeapingClock, bench, emulator, eventually

from octa_provider import JobOutcome, JobSpec, JobState, OctaConfigError, OctaSshError
from octa_provider.job.over_ssh import begin_detached
from octa_provider.job.script import DetachedStatus, begin_command
from octa_provider.job.secret_envs import LONGEST_BYTES, without_values
from octa_provider.job.state import JobPhase
from octa_provider.remote.command import CommandResult
from octa_provider.remote.machine import RemoteMachine

__all__ = ["bench", "emulator"]

SECRET = "hunter2-5b1f0c9e"
#: All that a shell, a here-document or a line could trip over.
ODD = {
    "EMPTY": "",
    "QUOTES": 'it\'s "quoted" `true` $(true) $HOME \\n \\',
    "LINES": "\n-----BEGIN KEY-----\r\nabc'\n.\n# whole\nEOF\n\n",
    "WIDE": "".join(map(chr, [*range(1, 0x180), 0x20AC, 0xFFFD, 0x1F600])),
    "LONG": "0123456789'" * 9_000,
    # What the shell around the command calls its own.
    **dict.fromkeys(
        [
            "n",
            "h",
            "d",
            "g",
            "s",
            "p",
            "c",
            "w",
            "t",
            "m",
            "r",
            "octa_n",
            "octa_r",
            "octa_g",
            "LD_LIBRARY_PATH",
            "TMPDIR",
        ],
        "mine",
    ),
}


def spec(command: str, **changes: Any) -> JobSpec:
    return JobSpec(**({"image": "ubuntu:24.04", "command": command, "timeout_s": 600} | changes))


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every record at DEBUG, those of libraries too; asyncssh has a level of its own."""
    before = logging.getLogger("asyncssh").level
    caplog.set_level(logging.DEBUG)
    asyncssh.set_log_level(logging.DEBUG)
    yield caplog
    asyncssh.set_log_level(before)


def forms(secret: str) -> list[bytes]:
    """A secret as it may stand somewhere, as bytes."""
    return [secret.encode(), base64.b64encode(secret.encode()), secret.encode().hex().encode()]


def files_with(folder: Path, secret: str) -> list[Path]:
    held = []
    for path in folder.rglob("*"):
        if path.is_file() and any(form in path.read_bytes() for form in forms(secret)):
            held.append(path)
    return held


def test_any_value_arrives_as_it_is(bench: Bench, tmp_path: Path) -> None:
    job = spec("cat /proc/self/environ > environ", secret_envs=ODD, outputs={"environ": tmp_path / "environ"})
    result = bench.client.jobs.run(job, bench.key, private_key=bench.ssh_key, poll_s=0.05)
    assert result.outcome is JobOutcome.SUCCEEDED, result
    environ = dict(pair.split(b"=", 1) for pair in (tmp_path / "environ").read_bytes().split(b"\0") if pair)
    assert {name: environ[name.encode()].decode() for name in ODD} == ODD


@pytest.mark.parametrize("command", ["", "exit 3", "sleep 60"], ids=["success", "failure", "deadline"])
def test_a_secret_reaches_the_command_and_nothing_else(
    bench: Bench,
    everything: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
) -> None:
    """Neither the API, nor a log, a state, a result, a file there or here, nor what `ps` shows there."""
    states: list[JobState] = []
    lines: list[str] = []
    cmdlines = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' > cmdlines"
    job = spec(
        f'test "${{#TOKEN}}" -eq 16 || exit 99; {cmdlines}; cd; find . -type f -exec grep -l "$TOKEN" {{}} + > files; '
        f"find . -name started >> files; mv files octa-job/work; {command}",
        envs={"PLAIN": "seen-by-all"},
        secret_envs={"TOKEN": SECRET},
        timeout_s=10 if command == "sleep 60" else 600,
        outputs={"cmdlines": tmp_path / "cmdlines", "files": tmp_path / "files"},
    )
    result = bench.client.jobs.run(
        job,
        bench.key,
        private_key=bench.ssh_key,
        on_state=states.append,
        on_line=lines.append,
        log_path=tmp_path / "job.log",
        poll_s=0.05,
    )
    assert result.exit_code == {"": 0, "exit 3": 3, "sleep 60": 124}[command], result
    (session,) = bench.sessions()
    assert files_with(tmp_path, SECRET) == []
    assert files_with(bench.emulator.state, SECRET) == []
    assert "octa-job" in (tmp_path / "cmdlines").read_text()
    assert (tmp_path / "files").read_text().split() == ["./octa-job/started"]
    ledger = json.dumps(bench.emulator.ledger())
    assert session["uuid"] in ledger
    shown = [ledger, repr(job), repr(result), json.dumps(result.to_dict()), *map(repr, states), *lines]
    shown += [json.dumps(state.to_dict()) for state in states] + list(capfd.readouterr())
    shown += [f"{record.getMessage()} {record.__dict__}" for record in everything.records]
    assert any("asyncssh" in record.name for record in everything.records)
    for text in shown:
        for form in forms(SECRET):
            assert form.decode() not in text


def test_no_request_to_the_api_holds_a_secret_or_its_name(bench: Bench) -> None:
    state = bench.running_state(spec("sleep 60", envs={"PLAIN": "seen-by-all"}, secret_envs={"TOKEN": SECRET}))
    (listed,) = [one for one in bench.client.sessions.list() if one.uuid == state.rental.uuid]
    assert listed.user_envs is not None
    assert listed.user_envs["PLAIN"] == "seen-by-all"
    assert "TOKEN" not in listed.user_envs
    stored = b"".join(path.read_bytes() for path in bench.emulator.state.glob("*") if path.is_file())
    assert b"seen-by-all" in stored
    assert SECRET.encode() not in stored


@pytest.mark.parametrize("via", ["container", "ssh"])
def test_a_session_shows_what_the_readme_says_also_when_it_has_ended(bench: Bench, via: str) -> None:
    """To whoever holds the account's key; a command over SSH is none of it."""
    secrets = {"TOKEN": SECRET} if via == "ssh" else {}
    state = bench.running_state(
        spec(f"sleep 60 # by {via}", envs={"PLAIN": "seen-by-all"}, secret_envs=secrets, via=via)
    )
    bench.client.rentals.restore(state.rental).stop()
    (ended,) = [one for one in bench.client.sessions.list(recent=True) if one.uuid == state.rental.uuid]
    assert ended.user_envs is not None
    assert set(ended.user_envs) == {"PLAIN", "OCTA_RENTAL_KEY", "OCTA_RENTAL", "OCTA_JOB"}
    assert ended.user_envs["PLAIN"] == "seen-by-all"
    assert bench.key in ended.user_envs["OCTA_RENTAL_KEY"]
    stored = b"".join(path.read_bytes() for path in bench.emulator.state.glob("*") if path.is_file())
    assert (f"sleep 60 # by {via}".encode() in stored) == (via == "container")


def test_the_private_folder_keeps_nothing_of_what_was_sent_while_the_command_runs(bench: Bench) -> None:
    state = bench.running_state(spec("touch runs; sleep 60", secret_envs={"TOKEN": SECRET}))
    folder = bench.folder(state.rental.uuid) / "octa-job"
    eventually((folder / "work" / "runs").exists, "it runs")
    assert {path.name for path in folder.iterdir()} == {"started", "pid", "job.log", "work", "sent"}
    assert (folder / "sent").read_text() == "{}\n"
    assert files_with(folder, SECRET) == []


def test_a_try_that_carries_on_sends_nothing_to_a_command_that_has_begun(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it knows of the secrets: the names alone tell the job."""
    job = spec(
        "echo start >> starts; touch runs; sleep 1; echo $TOKEN > got; cat starts", secret_envs={"TOKEN": SECRET}
    )
    state = bench.running_state(job)
    folder = bench.folder(state.rental.uuid) / "octa-job" / "work"
    eventually((folder / "runs").exists, "it runs")
    sent: list[str] = []
    run = RemoteMachine.run

    def recorded(machine: RemoteMachine, command: str, **options: Any) -> CommandResult:
        sent.append(f"{command} {options.get('stdin', '')}")
        return run(machine, command, **options)

    monkeypatch.setattr(RemoteMachine, "run", recorded)
    lines: list[str] = []
    again = spec(job.command_line, secret_envs={"TOKEN": "another-value"})
    result = bench.client.jobs.run(again, bench.key, private_key=bench.ssh_key, on_line=lines.append, poll_s=0.05)
    assert (result.outcome, result.uuid, lines) == (JobOutcome.SUCCEEDED, state.rental.uuid, ["start"])
    assert sent
    assert not any("another-value" in one or SECRET in one for one in sent)


def test_two_workers_that_begin_at_once_hand_over_one_value(bench: Bench) -> None:
    """The second has looked before the first began: what it sends is thrown away."""
    job = spec("printf %s $TOKEN > got; sleep 60", secret_envs={"TOKEN": SECRET})
    state = bench.running_state(job)
    folder = bench.folder(state.rental.uuid) / "octa-job"
    eventually(lambda: (folder / "work" / "got").exists() and (folder / "work" / "got").read_text(), "it runs")
    session = bench.client.services.session(state.rental.uuid).info()
    late = spec(job.command_line, secret_envs={"TOKEN": "another-value"})
    with pytest.MonkeyPatch.context() as patch:
        absent = DetachedStatus("absent")
        patch.setattr("octa_provider.job.over_ssh.read_status", lambda said, nonce: absent)
        begin_detached(session, state, late, bench.ssh_key)
    assert (folder / "work" / "got").read_text() == SECRET
    assert files_with(folder, "another-value") == []


@pytest.mark.parametrize("said", ["{script}", "sh: bad: {script}", "{lines}"])
def test_a_machine_that_repeats_what_it_was_sent_does_not_put_it_into_the_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, everything: pytest.LogCaptureFixture, said: str
) -> None:
    secrets = {"TOKEN": SECRET, "KEY": "-----BEGIN-----\nit's-a-line\r\nanother\n"}
    run = RemoteMachine.run

    def echoing(machine: RemoteMachine, command: str, *, stdin: str = "", **options: Any) -> CommandResult:
        if not stdin:
            return run(machine, command, **options)
        return CommandResult(1, said.format(script=stdin[:400], lines=secrets["KEY"].replace("\n", "\r\n")))

    monkeypatch.setattr(RemoteMachine, "run", echoing)
    result = bench.client.jobs.run(spec("true", secret_envs=secrets), bench.key, private_key=bench.ssh_key, poll_s=0.05)
    assert result.outcome is JobOutcome.FAILED
    assert "the machine could not begin the command (exit code 1)" in result.message
    shown = [result.message, *(record.getMessage() for record in everything.records)]
    for text in shown:
        for part in (SECRET, "s-a-line", "another", "-----BEGIN"):
            assert part not in text


def test_a_machine_that_can_not_be_reached_costs_no_secret(
    emulator: Any, everything: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(other))
    bench = Bench(emulator, "secret_envs/unreached", LeapingClock())
    job = spec("true", secret_envs={"TOKEN": SECRET}, ready_timeout_s=2)
    result = bench.client.jobs.run(job, bench.key, private_key=other, poll_s=0.05)
    assert result.outcome is JobOutcome.NOT_READY
    assert SECRET not in repr(result)
    assert not any(SECRET in f"{record.getMessage()} {record.__dict__}" for record in everything.records)
    bench.stop()


# -- the value -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret_envs", "sentence"),
    [
        ([("TOKEN", SECRET)], "secret_envs must be a mapping of names to texts, not list"),
        (SECRET, "secret_envs must be a mapping of names to texts, not str"),
        *[
            ({name: "x"}, "secret_envs: one of the names is not a name of an environment variable")
            for name in (f"TOKEN={SECRET}", SECRET, "1A", "A B", "", "A\n", "Ä", 5, None)
        ],
        *[
            ({"TOKEN": value}, "secret_envs: the value of TOKEN must be text, without NUL characters and halves")
            for value in (f"{SECRET}\0", f"{SECRET}\udcff", f"\ud800{SECRET}", SECRET.encode(), 5, None)
        ],
        ({"TOKEN": SECRET * 10_000}, "the value of TOKEN is longer than the 128 kB that a program can be given"),
        ({"BOTH": SECRET}, "BOTH is in envs and in secret_envs: give it in one of them"),
        *[
            ({name: SECRET}, f"secret_envs must not set {name}: it carries the job's nonce or its rental key")
            for name in ("OCTA_JOB", "OCTA_RENTAL", "OCTA_RENTAL_KEY")
        ],
    ],
)
def test_what_can_not_be_handed_over_is_refused_in_a_sentence_without_it(secret_envs: Any, sentence: str) -> None:
    with pytest.raises(OctaConfigError) as raised:
        spec("true", envs={"BOTH": "1"}, secret_envs=secret_envs)
    assert sentence in str(raised.value)
    assert SECRET not in f"{raised.value!r}"
    assert "\n" not in str(raised.value)


def test_the_longest_value_that_is_taken_is_one_that_a_program_can_be_given(bench: Bench) -> None:
    longest = "x" * (LONGEST_BYTES - len("TOKEN=") - 1)
    job = spec(f'test "${{#TOKEN}}" -eq {len(longest)} && ls / > ls', secret_envs={"TOKEN": longest})
    assert bench.client.jobs.run(job, bench.key, private_key=bench.ssh_key, poll_s=0.05).exit_code == 0


def test_secrets_make_a_job_one_over_ssh_and_are_refused_for_the_containers_own_command() -> None:
    assert spec("true", secret_envs={"A": "1"}).over_ssh
    assert spec("true", secret_envs={"A": "1"}, via="ssh").over_ssh
    assert not spec("true", secret_envs={}).over_ssh
    with pytest.raises(OctaConfigError, match="secret_envs needs SSH, which keeps it from the API: use via='ssh'"):
        spec("true", secret_envs={"A": "1"}, via="container")


def test_the_fingerprint_knows_the_names_of_secrets_alone() -> None:
    def fingerprint(secret_envs: Mapping[str, str]) -> str:
        return spec("true", via="ssh", secret_envs=secret_envs).fingerprint

    assert fingerprint({"A": "1", "B": "2"}) == fingerprint({"B": "3", "A": ""})
    assert len({fingerprint({}), fingerprint({"A": "1"}), fingerprint({"B": "1"})}) == 3


def test_a_job_without_secrets_has_the_fingerprint_that_it_had_before_there_were_any() -> None:
    """Else the try after an upgrade would stop what runs, and start it anew."""
    assert spec("true", envs={"A": "1"}, timeout_s=30).fingerprint == "b3f4b5a0fbf1e5a7"


def test_a_spec_does_not_show_its_secrets_and_keeps_them_as_they_were_checked() -> None:
    given = {"TOKEN": SECRET}
    job = spec("true", secret_envs=given)
    given["TOKEN"] = "changed\0"
    assert job.secret_envs == {"TOKEN": SECRET}
    for text in (repr(job), str(job), repr(job.request("x")), json.dumps(job.request("x").payload(1))):
        assert SECRET not in text
    assert pickle.loads(pickle.dumps(job)) == job


def test_masking_takes_every_piece_of_a_value_and_leaves_the_rest() -> None:
    text = "sh: 'it'\"'\"'s'\r\nsecond line: not found"
    assert (
        without_values(text, {"A": "it's\nsecond line", "B": "", "C": "\n"})
        == "***h: '***'\"'\"'***'\r\n***: not found"
    )


def test_begin_detached_raises_without_the_secret(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    job = spec("true", secret_envs={"TOKEN": SECRET})
    began = bench.client.jobs.start(job, bench.key)
    state = bench.polled(began, lambda one: one.phase is not JobPhase.STARTING)
    session = bench.client.services.session(state.rental.uuid).info()
    # A login shell that is none.
    monkeypatch.setattr(
        "octa_provider.job.over_ssh.begin_command", lambda *args: ("cat; exit 90", begin_command(*args)[1])
    )
    with pytest.raises(OctaSshError, match=r"could not begin the command \(exit code 90\)") as raised:
        begin_detached(session, state, job, bench.ssh_key)
    assert SECRET not in repr(raised.value)


@pytest.mark.parametrize(
    "weather",
    [
        {"round_trip_s": 0.2},
        {"listens_after_s": 1.5},
        {"knows_key_after_s": 1.5},
        {"refusals": 2},
        {"direct_is_closed": True},
        {"writes": "full"},
    ],
    ids=str,
)
def test_a_secret_arrives_whatever_the_way_is_like_and_is_told_to_nobody(
    bench: Bench, weather: dict[str, Any], everything: pytest.LogCaptureFixture
) -> None:
    bench.emulator.ssh(**weather)
    try:
        result = bench.client.jobs.run(
            spec('[ "$TOKEN" = "$WANTED" ] || exit 9', secret_envs={"TOKEN": SECRET, "WANTED": SECRET}),
            bench.key,
            private_key=bench.ssh_key,
            poll_s=0.2,
        )
    finally:
        bench.emulator.ssh()
    assert (result.outcome, result.message) == (JobOutcome.SUCCEEDED, "")
    assert SECRET not in everything.text
    assert SECRET not in json.dumps(bench.emulator.ledger())
