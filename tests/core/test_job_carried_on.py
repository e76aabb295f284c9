"""Jobs whose worker dies: the next try carries on with the same machine and the same running command."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from job_bench import Bench, bench, emulator, in_fork, kill_9

from octa_provider import JobOutcome, JobSpec, JobState
from octa_provider.job.state import JobPhase
from tests.forked_python import run_python

__all__ = ["bench", "emulator"]

#: Each start leaves a line; the end waits for nobody.
COMMAND = "echo start >> starts; echo began; sleep 0.3; cp starts out; echo ended; exit 0"
PART = """
import json, sys
from pathlib import Path
from octa_provider import JobSpec, JobState, OctaClient
from octa_provider.job.state import JobPhase
options = json.loads(sys.argv[1])
file, key = Path(options["state"]), options["ssh_key"]
with OctaClient(options["api_key"], base_url=options["base_url"]) as client:
    jobs, spec = client.jobs, JobSpec(**options["spec"])
    state = JobState.from_dict(json.loads(file.read_text())) if file.exists() else None
    if options["part"] == "start":
        state = jobs.start(spec, options["key"])
    elif options["part"] == "poll":
        while not state.ended:
            state = jobs.poll(state, private_key=key, on_line=lambda line: print(line, flush=True))
            if state.phase is JobPhase.READY:
                state = jobs.begin(state, spec, private_key=key)
            client.clock.sleep(0.05)
    elif options["part"] == "collect":
        state = jobs.collect(state, private_key=key)
    else:
        print(json.dumps(jobs.finish(state).to_dict()))
    file.write_text(json.dumps(state.to_dict()))
"""


def spec(via: str, out: Path, **changes: Any) -> JobSpec:
    outputs = {"out": str(out)} if via == "ssh" else {}
    return JobSpec(
        **({"image": "ubuntu:24.04", "command": COMMAND, "timeout_s": 600, "via": via, "outputs": outputs} | changes)
    )


def starts(bench: Bench, uuid: str, via: str) -> str:
    folder = bench.folder(uuid) / ("octa-job/work" if via == "ssh" else ".")
    return (folder / "starts").read_text()


@pytest.mark.parametrize("stored", [True, False], ids=["state stored", "state lost"])
@pytest.mark.parametrize("phase", list(JobPhase))
@pytest.mark.parametrize("via", ["container", "ssh"])
def test_a_worker_that_is_killed_in_any_phase_is_followed_by_one_that_carries_on(
    bench: Bench, tmp_path: Path, via: str, phase: JobPhase, stored: bool
) -> None:
    if via == "container" and phase is JobPhase.READY:
        phase = JobPhase.STARTING
    job, file = spec(via, tmp_path / "out"), tmp_path / "state.json"
    seen = tmp_path / "seen"

    def see(line: str) -> None:
        with seen.open("a") as lines:
            lines.write(f"{line}\n")

    def die(state: JobState) -> None:
        file.write_text(json.dumps(state.to_dict()))
        if state.phase is phase:
            kill_9()

    def work() -> None:
        bench.connect().jobs.run(job, bench.key, private_key=bench.ssh_key, on_state=die, on_line=see, poll_s=0.05)

    assert in_fork(work) == -signal.SIGKILL
    (tmp_path / "out").unlink(missing_ok=True)
    if not stored:
        seen.unlink(missing_ok=True)
    earlier = JobState.from_dict(json.loads(file.read_text())) if stored else None
    result = bench.client.jobs.run(job, bench.key, private_key=bench.ssh_key, earlier=earlier, on_line=see, poll_s=0.05)
    assert (result.outcome, result.exit_code, result.attempts) == (JobOutcome.SUCCEEDED, 0, 2)
    (session,) = bench.sessions()
    assert (session["uuid"], session["charge_wei"]) == (result.uuid, result.cost_wei)
    assert starts(bench, result.uuid, via) == "start\n"
    assert bench.running() == 0
    if via == "ssh":
        assert (tmp_path / "out").read_text() == "start\n"
    # With the state the lines go on where they were; without it they come again from the start.
    assert seen.read_text() == "began\nended\n"


@pytest.mark.parametrize("via", ["container", "ssh"])
def test_the_parts_can_be_called_from_different_processes(bench: Bench, tmp_path: Path, via: str) -> None:
    options = {
        "state": str(tmp_path / "state.json"),
        "ssh_key": str(bench.ssh_key),
        "api_key": bench.emulator.api_key,
        "base_url": bench.emulator.base_url,
        "key": bench.key,
        "spec": {
            "image": "ubuntu:24.04",
            "command": COMMAND,
            "via": via,
            "outputs": {"out": str(tmp_path / "out")} if via == "ssh" else {},
        },
    }
    said = {}
    for part in ("start", "poll", "collect", "finish"):
        command = [sys.executable, "-c", PART, json.dumps({**options, "part": part})]
        said[part] = run_python(command, check=True, capture_output=True, text=True, timeout=600).stdout
    result = json.loads(said["finish"])
    assert said["poll"] == "began\nended\n"
    assert (result["outcome"], result["exit_code"]) == ("succeeded", 0)
    assert result["outputs"] == ([str(tmp_path / "out")] if via == "ssh" else [])
    (session,) = bench.sessions()
    assert result["cost_wei"] == session["charge_wei"]
    assert bench.running() == 0


def test_a_state_of_a_session_that_is_gone_starts_anew(bench: Bench, tmp_path: Path) -> None:
    job = spec("container", tmp_path)
    earlier = bench.client.jobs.start(job, bench.key)
    bench.emulator.end_session(earlier.rental.uuid)
    state = bench.client.jobs.start(job, bench.key, earlier=earlier)
    assert state.rental.uuid != earlier.rental.uuid
    assert (state.attempts, state.phase) == (1, JobPhase.STARTING)


def test_the_pinned_host_key_is_handed_on_with_the_state(bench: Bench, tmp_path: Path) -> None:
    job = spec("ssh", tmp_path / "out", command="sleep 60")
    earlier = bench.running_state(job)
    again = bench.client.jobs.start(job, bench.key, earlier=earlier)
    assert (again.host_key, again.attempts, again.end_by) == (earlier.host_key, 2, earlier.end_by)
    assert bench.client.jobs.start(job, bench.key, earlier=again).attempts == 3


def test_a_session_that_goes_while_it_is_adopted_is_replaced(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = spec("container", tmp_path)
    first = bench.client.jobs.start(job, bench.key)
    real = type(bench.client.rentals).start

    def start(self: Any, *args: Any, **options: Any) -> Any:
        rental = real(self, *args, **options)
        if rental.uuid == first.rental.uuid:
            bench.emulator.end_session(rental.uuid)
        return rental

    monkeypatch.setattr(type(bench.client.rentals), "start", start)
    second = bench.client.jobs.start(job, bench.key)
    assert second.rental.uuid != first.rental.uuid
    assert bench.running() == 1


def test_an_outage_while_a_job_is_adopted_does_not_end_it(bench: Bench, tmp_path: Path) -> None:
    job = spec("container", tmp_path)
    first = bench.client.jobs.start(job, bench.key)
    bench.emulator.faults({"kind": "status", "status": 503, "path": "/services/*/info", "times": 3})
    second = bench.client.jobs.start(job, bench.key)
    assert (second.rental.uuid, second.nonce) == (first.rental.uuid, first.nonce)
