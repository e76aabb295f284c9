"""What a job is and how far it has come, as values: what is refused, what is stored, what is told apart."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from octa_provider import JobOutcome, JobResult, JobSpec, JobState, OctaConfigError
from octa_provider.job.state import JobPhase
from octa_provider.logs.cursor import LogCursor
from octa_provider.rental.terms import Terms

NAN = float("nan")


def spec(**changes: Any) -> JobSpec:
    return JobSpec(**({"image": "ubuntu:24.04", "command": "true"} | changes))


def state(**changes: Any) -> JobState:
    fields: dict[str, Any] = {
        "key": "a/b",
        "rental": Terms("u-1"),
        "nonce": "0123456789abcdef",
        "over_ssh": False,
        "timeout_s": 60.0,
        "appear_by": 1.0,
        "ready_by": 2.0,
    }
    return JobState(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"command": "  "}, "command must not be empty: give the shell command line that is to run"),
        ({"command": []}, "command must not be empty: give the shell command line that is to run"),
        ({"command": "a\0b"}, "command must not hold a NUL character"),
        (
            {"command": ["blender", 5]},
            "command must be a string or a sequence of strings: turn numbers into text",
        ),
        ({"via": "docker"}, "via must be one of auto, container, ssh, not 'docker'"),
        (
            {"via": "container", "inputs": {"a": "a"}},
            "inputs and outputs move over SSH: use via='ssh' or 'auto'",
        ),
        (
            {"via": "container", "outputs": {"a": "a"}},
            "inputs and outputs move over SSH: use via='ssh' or 'auto'",
        ),
        *[({"timeout_s": odd}, "timeout_s must be a number of seconds from") for odd in (0, -1, NAN, True, "1")],
        ({"ready_timeout_s": float("inf")}, "ready_timeout_s must be a number of seconds from"),
        ({"max_cost_usd": 0}, "max_cost_usd must be a number above 0, or left out"),
        ({"max_duration_s": NAN}, "max_duration_s must be a number above 0, or left out"),
        ({"image": ""}, "image must name a container image without spaces, such as 'blender:4.5'"),
        ({"entrypoint": None}, "entrypoint must be text"),
        ({"envs": {"OCTA_JOB": "1"}}, "envs must not set OCTA_JOB: it carries the job's nonce"),
        *[
            ({"outputs": {odd: "here"}}, f"{odd!r} is not a path to send to or fetch from: leave out '..'")
            for odd in ("", "..", "a/../b", "../x", "a\0")
        ],
        ({"outputs": {"/data/frames": "here"}}, "outputs: '/data/frames' is absolute"),
        ({"inputs": {"here": "../x"}}, "'../x' is not a path to send to or fetch from: leave out '..'"),
        ({"inputs": {"here": Path("x")}}, "is not a path to send to or fetch from: leave out '..'"),
        ({"image": "a b"}, "image must name a container image without spaces, such as 'blender:4.5'"),
        ({"envs": {"A B": "1"}}, "A B"),
        ({"disk_gb": 0}, "disk"),
        ({"ports": (0,)}, "port"),
    ],
)
def test_what_cannot_work_is_refused_before_any_money_is_spent(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OctaConfigError) as raised:
        spec(**changes)
    assert sentence in str(raised.value)


def test_an_input_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.blend"
    with pytest.raises(OctaConfigError, match=r"missing\.blend does not exist"):
        spec(inputs={missing: "scene.blend"}).check_inputs()


def test_arguments_are_quoted_for_the_shell() -> None:
    assert spec(command=["echo", "it's $HOME"]).command_line == """echo 'it'"'"'s $HOME'"""


@pytest.mark.parametrize(
    ("changes", "over_ssh"),
    [
        ({}, False),
        ({"inputs": {"a": "a"}}, True),
        ({"outputs": {"a": "a"}}, True),
        ({"secret_envs": {"A": "1"}}, True),
        ({"via": "ssh"}, True),
        ({"via": "container"}, False),
    ],
)
def test_auto_takes_ssh_when_there_are_files_to_move_or_secrets_and_the_container_otherwise(
    changes: dict[str, Any], over_ssh: bool
) -> None:
    assert spec(**changes).over_ssh is over_ssh


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "ubuntu:22.04"},
        {"command": "false"},
        {"envs": {"A": "1"}},
        {"via": "ssh"},
        {"timeout_s": 5},
        {"ports": (5000,)},
        {"http_ports": (8080,)},
        {"entrypoint": "env"},
        {"app": "a"},
        {"entrypoint": "a", "app": "a"},
    ],
)
def test_another_job_has_another_fingerprint(changes: dict[str, Any]) -> None:
    assert spec(**changes).fingerprint != spec().fingerprint


def test_other_inputs_are_another_job_wherever_they_lie_here() -> None:
    here, there, other = ({name: remote} for name, remote in (("/a/x", "x"), ("/b/x", "x"), ("/a/x", "y")))
    assert spec(inputs=here).fingerprint == spec(inputs=there).fingerprint != spec(inputs=other).fingerprint


def test_what_changes_nothing_on_the_machine_keeps_the_fingerprint() -> None:
    same = spec(disk_gb=50, max_cost_usd=2, max_duration_s=9000, ready_timeout_s=5, envs={})
    assert same.fingerprint == spec().fingerprint


def test_a_state_survives_json() -> None:
    full = state(
        phase=JobPhase.EXITED,
        end_by=3.5,
        exit_code=124,
        timed_out=True,
        outcome=JobOutcome.TIMED_OUT,
        message="ended",
        log=LogCursor(5, b"a\nb\xff\0", 3, b"a\nb\xff\0", 1, 2),
        host_key="ssh-ed25519 AAAA",
        outputs={"out": "here"},
        collected=("a", "b"),
        attempts=2,
    )
    for one in (state(), full):
        assert JobState.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_a_state_of_the_release_before_is_read_with_its_place_in_the_log() -> None:
    log = {"seen": 6, "tail": "b25lCnR3", "held": 2, "head": "b25lCnR3", "stale": 0, "gaps": 1}
    told = state().to_dict() | {"log": log}
    read = JobState.from_dict(json.loads(json.dumps(told)))
    assert read.log == LogCursor(seen=6, tail=b"one\ntw", held=2, head=b"one\ntw", gaps=1)
    assert read.to_dict() == told | {"log": log | {"of_file": False}}


def test_a_state_of_a_newer_version_is_read() -> None:
    assert JobState.from_dict(state().to_dict() | {"novelty": 1}) == state()


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"key": "a"},
        *(
            state().to_dict() | {name: value}
            for name, value in [
                ("phase", "flying"),
                ("outcome", "fine"),
                ("rental", {"key": "k"}),
                ("rental", "u-1"),
                ("ready_by", "soon"),
                ("over_ssh", 7),
                ("outputs", ["out"]),
                ("exit_code", "none"),
                ("ready_by", math.nan),
                ("end_by", math.inf),
                ("timeout_s", -1),
                ("attempts", 0),
                ("log", "from the start"),
                ("log", {"seen": 1}),
                ("log", {"seen": 3, "tail": "b25l", "held": 4}),
                ("log", {"seen": 3, "tail": "!"}),
            ]
        ),
    ],
)
def test_what_is_no_state_is_said_to_be_none(odd: dict[str, Any]) -> None:
    with pytest.raises(OctaConfigError, match="this is not the state of a job"):
        JobState.from_dict(odd)


def test_only_exit_code_0_with_its_outputs_is_a_success() -> None:
    def result(outcome: JobOutcome) -> JobResult:
        return JobResult(0, outcome, "", None, ("a",), 10**21, 1.0, 1.0, 7, "u", "k", 1)

    assert [outcome for outcome in JobOutcome if result(outcome).succeeded] == [JobOutcome.SUCCEEDED]
    told = json.loads(json.dumps(result(JobOutcome.LOST).to_dict()))
    assert (told["outcome"], told["outputs"], told["cost_wei"]) == ("lost", ["a"], 10**21)
