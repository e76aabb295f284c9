"""A job's own return value: the JSON file that its command writes, on an emulated machine with real SSH."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from job_bench import Bench, bench, emulator

from octa_provider import JobOutcome, JobResult, JobSpec, JobState, OctaConfigError
from octa_provider.job.return_value import MOST_VALUE_BYTES, read_value
from octa_provider.job.state import JobPhase
from octa_provider.text.carried import carried

__all__ = ["bench", "emulator"]


def spec(command: str, **changes: Any) -> JobSpec:
    given = {"image": "ubuntu:24.04", "command": command, "timeout_s": 600, "result_file": "result.json"}
    return JobSpec(**(given | changes))


def run(bench: Bench, job: JobSpec) -> JobResult:
    result = bench.client.jobs.run(job, bench.key, private_key=bench.ssh_key, poll_s=0.1)
    assert bench.running() == 0
    return result


def test_what_the_command_writes_is_what_the_job_returns(bench: Bench, tmp_path: Path) -> None:
    value = {"loss": 0.25, "best": [1, None, True], "name": "é\u2028"}
    (tmp_path / "value").write_text(json.dumps(value))
    result = run(
        bench,
        spec(
            "mkdir out && cp value out/r.json && echo made > made",
            result_file="out/r.json",
            inputs={tmp_path / "value": "value"},
            outputs={"made": tmp_path / "made"},
        ),
    )
    assert (result.outcome, result.value) == (JobOutcome.SUCCEEDED, value)
    assert result.outputs == (str(tmp_path / "made"),)
    assert json.loads(json.dumps(result.to_dict()))["value"] == value
    assert hash(result) == hash(result)


def test_a_job_without_a_result_file_returns_nothing(bench: Bench) -> None:
    assert run(bench, spec("echo 5 > result.json", result_file=None)).value is None


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("true", "the command succeeded, but left no result file result.json"),
        (": > result.json", "the command succeeded, but its result file result.json is empty"),
        ("echo '{\"a\": ' > result.json", "its result file result.json is no JSON: Expecting value in line"),
        ("echo '[NaN]' > result.json", "its result file result.json holds NaN, which is no JSON"),
        ("mkdir result.json && echo 1 > result.json/x", "its result file result.json is a folder"),
        ("mkfifo result.json", "is a pipe, socket or device, no file or folder: not fetched"),
        ("ln -s nowhere result.json", "the command succeeded, but left no result file result.json"),
        ("head -c 300000 /dev/zero > result.json", "is 300.0 kB, and the limit 256.0 kB: not moved"),
    ],
)
def test_a_success_whose_value_cannot_be_read_is_a_failure_that_says_why(
    bench: Bench, tmp_path: Path, command: str, sentence: str
) -> None:
    result = run(bench, spec(f"echo kept > kept; {command}", outputs={"kept": tmp_path / "kept"}))
    assert (result.outcome, result.exit_code, result.value) == (JobOutcome.FAILED, 0, None)
    assert sentence in result.message
    # What it made is here all the same.
    assert (tmp_path / "kept").read_text() == "kept\n"


@pytest.mark.parametrize(("command", "value"), [("true", None), ("echo 2 > scene/result.json", 2), ("exit 3", None)])
def test_what_an_earlier_run_has_left_among_the_inputs_is_not_what_the_command_returned(
    bench: Bench, tmp_path: Path, command: str, value: object
) -> None:
    scene = tmp_path / "scene"
    scene.mkdir()
    (scene / "result.json").write_text("1\n")
    os.utime(scene / "result.json", (1_000_000, 1_000_000))
    result = run(bench, spec(command, inputs={scene: "./scene"}, result_file="scene/./result.json"))
    assert result.value == value
    assert result.succeeded is (value is not None)
    if command == "true":
        assert "is the one that was sent with the inputs" in result.message


@pytest.mark.parametrize(
    ("command", "value"),
    [("echo 7 > result.json; exit 3", 7), ("exit 3", None), ("echo no > result.json; exit 3", None)],
)
def test_a_command_that_failed_may_have_returned_something_and_its_failure_stays_what_it_was(
    bench: Bench, command: str, value: object
) -> None:
    result = run(bench, spec(command))
    assert (result.outcome, result.value) == (JobOutcome.FAILED, value)
    assert result.message == "the command ended with exit code 3"


def test_the_value_travels_with_the_state_and_is_read_anew_by_the_next_try(bench: Bench) -> None:
    job = spec("echo '{\"a\": [1]}' > result.json")
    state = bench.polled(bench.running_state(job), private_key=bench.ssh_key)
    state = bench.client.jobs.collect(JobState.from_dict(state.to_dict()), private_key=bench.ssh_key)
    state = JobState.from_dict(json.loads(json.dumps(state.to_dict())))
    assert (state.phase, state.value) == (JobPhase.COLLECTED, {"a": [1]})
    later = bench.client.jobs.start(job, bench.key, earlier=state, private_key=bench.ssh_key)
    assert (later.attempts, later.phase, later.value) == (2, JobPhase.EXITED, None)
    later = bench.client.jobs.collect(later, private_key=bench.ssh_key)
    assert bench.client.jobs.finish(later).value == {"a": [1]}
    assert len(bench.sessions()) == 1


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"via": "container"}, "result_file is read over SSH: use via='ssh' or 'auto'"),
        ({"result_file": "/tmp/result.json"}, "must be a file in the command's folder"),
        ({"result_file": "../result.json"}, "must be a file in the command's folder"),
        ({"result_file": "~/result.json"}, "must be a file in the command's folder"),
        ({"result_file": "out/"}, "must be a file in the command's folder"),
        ({"result_file": "."}, "must be a file in the command's folder"),
        ({"result_file": ""}, "must be a path in the command's folder"),
        ({"result_file": 5}, "must be a path in the command's folder"),
        ({"inputs": {"x": "./result.json"}}, "is one of the inputs"),
    ],
)
def test_what_cannot_be_returned_is_refused_when_the_job_is_described(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OctaConfigError, match=sentence.replace("(", r"\(")):
        spec("true", **wrong)


def test_a_result_file_makes_a_job_one_over_ssh() -> None:
    assert spec("true").over_ssh
    assert not spec("true", result_file=None).over_ssh


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        (" 1\n", 1),
        ('\ufeff"a"', "a"),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ('{"a\\ud800": "\\u0000b"}', {"a\ufffd": "\ufffdb"}),
        ("[" * 32 + "]" * 32, json.loads("[" * 32 + "]" * 32)),
    ],
)
def test_values_are_read_as_databases_can_hold_them(text: str, value: object) -> None:
    read = read_value(text.encode())
    assert read == value == carried(read)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "is no UTF-8 text"),
        (b"hello", "is no JSON: Expecting value in line 1, column 1"),
        (b"1 2", "is no JSON: Extra data in line 1, column 3"),
        (b"[Infinity]", "holds Infinity, which is no JSON: write null, or text"),
        (b"-Infinity", "holds -Infinity"),
        (b"1e999", r"holds a number that is too large \(1e999\): write it as text"),
        (b"9223372036854775808", "holds a whole number of more than 64 bits"),
        (b"9" * 200_000, "holds a whole number of more than 64 bits"),
        (b"[" * 33 + b"]" * 33, "is nested deeper than 32 levels"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "is nested deeper than 32 levels"),
        (b"[" * 100_000, "is nested deeper than 32 levels"),
        (b" " * (MOST_VALUE_BYTES + 1), "is 256.0 kB, and a return value at most 256.0 kB"),
    ],
    ids=lambda given: repr(given[:20]),
)
def test_a_text_that_is_no_value_is_refused_in_a_few_words(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        read_value(text)
    assert len(str(raised.value)) < 120
