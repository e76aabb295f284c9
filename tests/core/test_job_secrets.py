"""What must not show: the values of environment variables, the private key, the API key."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from job_bench import Bench

from octa_provider import JobSpec, JobState, OctaConfigError
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from octa_provider.remote.target import SshTarget

SECRET = "hunter2-5b1f0c9e"


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorHandle]:
    with start_emulator(start_delay_s=0.05) as emulator:
        yield emulator


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every record at DEBUG, those of libraries too; asyncssh has a level of its own."""
    before = logging.getLogger("asyncssh").level
    caplog.set_level(logging.DEBUG)
    asyncssh.set_log_level(logging.DEBUG)
    yield caplog
    asyncssh.set_log_level(before)


@pytest.mark.parametrize("via", ["container", "ssh"])
@pytest.mark.parametrize("command", ['test "${#TOKEN}" -eq 16', "exit 3"])
def test_neither_variables_nor_keys_show_in_logs_states_or_results(
    emulator: EmulatorHandle,
    everything: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    via: str,
    command: str,
) -> None:
    bench = Bench(emulator, f"secrets/{via}-{len(command)}")
    key = bench.ssh_key.read_text()
    states: list[JobState] = []
    spec = JobSpec(image="ubuntu", command=command, envs={"TOKEN": SECRET}, via=via, timeout_s=30)
    result = bench.client.jobs.run(spec, bench.key, private_key=key, on_state=states.append, poll_s=0.05)
    assert result.exit_code == (3 if command == "exit 3" else 0)
    shown = [repr(result), json.dumps(result.to_dict()), *map(repr, states), *capfd.readouterr()]
    shown += [json.dumps(state.to_dict()) for state in states]
    shown += [f"{record.getMessage()} {record.__dict__}" for record in everything.records]
    assert any("asyncssh" in record.name for record in everything.records) is (via == "ssh")
    body = key.splitlines()[2]
    for text in shown:
        assert SECRET not in text
        assert body not in text
        assert "PRIVATE KEY" not in text
        assert bench.emulator.api_key not in text


def test_the_wrapper_over_ssh_leaves_no_secret_in_the_machines_process_list(emulator: EmulatorHandle) -> None:
    bench = Bench(emulator, "secrets/ps")
    spec = JobSpec(image="ubuntu", command="cat /proc/[0-9]*/cmdline | tr '\\0' ' '", envs={"TOKEN": SECRET}, via="ssh")
    lines: list[str] = []
    bench.client.jobs.run(spec, bench.key, private_key=bench.ssh_key, on_line=lines.append, poll_s=0.05)
    assert lines
    assert not any(SECRET in line for line in lines)


def test_a_broken_private_key_is_not_quoted(emulator: EmulatorHandle) -> None:
    bench = Bench(emulator, "secrets/broken")
    broken = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----\n"
    with pytest.raises(OctaConfigError) as raised:
        bench.client.jobs.run(
            JobSpec(image="ubuntu", command="true", via="ssh"), bench.key, private_key=broken, poll_s=0.05
        )
    assert SECRET not in repr(raised.value)
    assert bench.running() == 0


def test_neither_a_spec_nor_a_target_shows_its_secrets() -> None:
    assert SECRET not in repr(JobSpec(image="a", command="b", envs={"TOKEN": SECRET}))
    assert SECRET not in repr(SshTarget("host", 22, private_key=SECRET))


@pytest.mark.parametrize("via", ["container", "ssh"])
def test_the_place_in_the_log_holds_no_key_that_the_command_printed(emulator: EmulatorHandle, via: str) -> None:
    """The state travels through an orchestrator's database, with the last 4 KB of the log in it."""
    states: list[JobState] = []
    bench = Bench(emulator, f"secrets/cursor/{via}")
    key = emulator.api_key
    half = len(key) // 2
    lines: list[str] = []
    # In one piece, without a line's end, and in two that are seen apart.
    said = (
        f"echo the key is {key}; printf 'again {key}'; sleep 1; echo; printf {key[:half]}; sleep 1; echo {key[half:]}"
    )
    spec = JobSpec(image="ubuntu", command=said, via=via)
    bench.client.jobs.run(
        spec, bench.key, on_state=states.append, on_line=lines.append, poll_s=0.05, private_key=bench.ssh_key
    )
    logs = [state.log for state in states if state.log is not None]
    assert len(logs) > 2
    assert any(b"the key is ***" in log.tail for log in logs)
    for log in logs:
        assert key.encode() not in log.tail
        assert key.encode() not in log.head
    assert key not in "\n".join(lines)
    assert "*" * len(key) in lines
