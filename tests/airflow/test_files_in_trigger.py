"""Who moves the files of a deferred job: the triggerer where it sees the worker's, a worker everywhere else."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from airflow.providers.common.compat.sdk import DAG, Context, mask_secret, task
from airflow_runs import Renting, run
from on_a_loop import cancelled, event_of, on_a_loop

from airflow_provider import fetched_there
from airflow_provider.decorators.octa import _OctaDecoratedOperator
from airflow_provider.job_json import job_to_json
from airflow_provider.operators.job import OctaRunJobOperator
from airflow_provider.running_job import RunsJob
from airflow_provider.shared_files import claims_marks, files_to_share, spec_to_begin
from airflow_provider.triggers.job import OctaJobTrigger
from octa_provider import JobSpec, JobState, OctaCancelledError
from octa_provider.job.return_value import MOST_VALUE_BYTES
from octa_provider.remote.machine import RemoteMachine
from octa_provider.rental.terms import Terms

PATIENCE_S = 800.0
HERE, BY_WORKERS = ["ended"], ["ready", "exited"]


class Noting(OctaRunJobOperator):
    """Notes what it came back for."""

    came_back_for: ClassVar[list[str]] = []

    def execute_resumed(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        assert event is not None
        self.came_back_for.append(event["what"])
        return super().execute_resumed(context, event)


def run_with_files(folder: Path, **arguments: Any) -> Any:
    """Run a deferred job that has files; returns how it ended, when every file has been seen to be right."""
    Noting.came_back_for.clear()
    (folder / "in.txt").write_text("forty-two")
    with DAG("files", schedule=None) as dag:
        Noting(
            **{
                "task_id": "job",
                "image": "alpine:3",
                "command": "tr a-z A-Z < in.txt > out.txt; echo done",
                "inputs": {str(folder / "in.txt"): "in.txt"},
                "outputs": {"out.txt": str(folder / "results" / "out.txt")},
                "log_path": str(folder / "logs" / "job.log"),
                "poll_interval": 0.2,
                "deferrable": True,
            }
            | arguments
        )
    ended = run(dag)
    assert ended.state == "success"
    assert (folder / "results" / "out.txt").read_text() == "FORTY-TWO"
    assert (folder / "logs" / "job.log").read_text() == "done\n"
    result = ended.result("job")
    assert [Path(one).name for one in result["outputs"]] == ["out.txt"]
    assert (result["outputs_count"], result["logs_path"]) == (1, str(folder / "logs" / "job.log"))
    assert list(folder.rglob(".octa-mark-*")) == []
    return ended


def test_a_triggerer_that_sees_the_files_moves_them(
    renting: Renting, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_with_files(tmp_path)
    # Nobody waited for a worker while the machine was billed.
    assert Noting.came_back_for == HERE
    log = capfd.readouterr().out
    steps = ["Ready: sent 1 input and began the command", "Fetched 1 file within", "Stopped session"]
    places = [log.index(step) for step in steps]
    assert places == sorted(places)
    assert renting.running() == []


@pytest.mark.parametrize(
    ("arguments", "came_back_for"),
    [
        ({"files_in_trigger": False}, BY_WORKERS),
        ({"secret_envs": {"TOKEN": "s3cret"}}, ["ready", "ended"]),
        # What Airflow hides of a rendered template is not hidden of a trigger.
        ({"envs": {"MY_API_TOKEN": "s3cret"}}, ["ready", "ended"]),
        ({"on_event": print}, BY_WORKERS),
    ],
    ids=["not wanted", "secrets", "hidden", "callback"],
)
def test_a_worker_moves_what_the_triggerer_must_not(
    renting: Renting, tmp_path: Path, arguments: dict[str, Any], came_back_for: list[str]
) -> None:
    run_with_files(tmp_path, **arguments)
    assert Noting.came_back_for == came_back_for
    assert renting.running() == []


def test_a_worker_moves_what_lies_where_its_process_runs(
    renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_with_files(tmp_path, inputs={"in.txt": "in.txt"}, outputs={"out.txt": "results/out.txt"})
    assert Noting.came_back_for == BY_WORKERS


def test_a_worker_moves_what_the_triggerer_does_not_see(
    renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_trigger = OctaJobTrigger.run

    async def on_another_computer(self: OctaJobTrigger) -> Any:
        hidden = [(mark, mark.with_name("hidden")) for mark in tmp_path.rglob(".octa-mark-*")]
        for mark, elsewhere in hidden:
            mark.rename(elsewhere)
        (tmp_path / "in.txt").rename(tmp_path / "not_here")
        async for event in run_trigger(self):
            (tmp_path / "not_here").rename(tmp_path / "in.txt")
            for mark, elsewhere in hidden:
                elsewhere.rename(mark)
            yield event

    monkeypatch.setattr(OctaJobTrigger, "run", on_another_computer)
    run_with_files(tmp_path)
    assert Noting.came_back_for == BY_WORKERS
    assert renting.running() == []


def test_a_worker_that_does_not_see_what_was_fetched_fails_and_says_where_it_is(
    renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Another disk than the one that was marked: the machine is gone, and so is whatever was on it."""
    run_trigger = OctaJobTrigger.run

    async def on_another_disk(self: OctaJobTrigger) -> Any:
        async for event in run_trigger(self):
            (tmp_path / "results" / "out.txt").rename(tmp_path / "elsewhere.txt")
            # Of an earlier run, say.
            (tmp_path / "results" / "out.txt").write_text("old")
            yield event

    monkeypatch.setattr(OctaJobTrigger, "run", on_another_disk)
    monkeypatch.setattr(fetched_there, "LOOK_S", 0.5)
    monkeypatch.setattr(fetched_there, "PAUSE_S", 0.1)
    outputs = {"out.txt": str(tmp_path / "results" / "out.txt")}
    with DAG("unseen", schedule=None) as dag:
        OctaRunJobOperator(
            task_id="job",
            image="alpine:3",
            command="echo whole > out.txt",
            outputs=outputs,
            poll_interval=0.2,
            deferrable=True,
            retries=1,
        )
    ended = run(dag)
    # Another try would pay for all of it once more.
    assert (ended.state, len(renting.sessions)) == ("failed", 1)
    said = f"does not see 1 of them, such as {outputs['out.txt']}: fetch them there"
    log = capfd.readouterr().out
    assert f"triggerer on host {socket.gethostname()} has fetched 1 file" in log
    assert said in log
    assert int(ended.result("job", "cost")["cost_wei"]) > 0
    assert renting.running() == []


def test_what_comes_a_moment_later_is_not_missing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("whole")
    fetched = fetched_there.fetched_here([str(out)], None)
    out.unlink()
    assert fetched_there.missing_text([str(out)], fetched, pause=lambda seconds: out.write_text("whole")) is None


@pytest.mark.parametrize(
    ("size", "arguments", "came_back_for"),
    [
        (3, {}, HERE),
        (MOST_VALUE_BYTES, {}, ["exited"]),
        (3, {"files_in_trigger": False}, BY_WORKERS),
        (3, {"secret_envs": {"TOKEN": "s3cret"}}, ["ready", "ended"]),
    ],
    ids=["small", "large", "not wanted", "secrets"],
)
def test_a_functions_machine_waits_for_no_worker(
    renting: Renting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    arguments: dict[str, Any],
    came_back_for: list[str],
) -> None:
    came: list[str] = []
    resumed = RunsJob.execute_resumed

    def noting(self: Any, context: Context, event: dict[str, Any] | None = None) -> Any:
        assert event is not None
        came.append(event["what"])
        # What is stopped there, nobody waits for.
        assert (renting.running() == []) == (event["what"] == "ended")
        return resumed(self, context, event)

    monkeypatch.setattr(RunsJob, "execute_resumed", noting)
    with DAG("function_in_trigger", schedule=None) as dag:

        @task.octa(
            image="python:3.12",
            poll_interval=0.2,
            deferrable=True,
            outputs={"out.txt": str(tmp_path / "out.txt")},
            **arguments,
        )
        def writes(letters: int, *, also: Any) -> list[Any]:
            with open("out.txt", "w") as file:
                file.write("written")
            return ["x" * letters, also]

        writes(size, also={"ü": None})
    ended = run(dag)
    assert ended.state == "success"
    assert ended.result("writes") == ["x" * size, {"ü": None}]
    assert (tmp_path / "out.txt").read_text() == "written"
    assert came == came_back_for
    assert list(tmp_path.glob(".octa-mark-*")) == []
    assert renting.running() == []


@pytest.mark.parametrize(
    ("size", "arguments"), [(MOST_VALUE_BYTES, {}), (3, {"files_in_trigger": False})], ids=["large", "by workers"]
)
def test_a_function_whose_arguments_are_others_when_it_comes_back_has_its_result_all_the_same(
    renting: Renting,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    size: int,
    arguments: dict[str, Any],
) -> None:
    operator = cast("type[Any]", _OctaDecoratedOperator)
    resumed = operator.execute_resumed

    def rendered_anew(self: Any, context: Context, event: dict[str, Any] | None = None) -> Any:
        # As a template of the time is, or a DAG's file that was edited.
        self.op_args = ("later", size)
        return resumed(self, context, event)

    monkeypatch.setattr(operator, "execute_resumed", rendered_anew)
    with DAG("other_arguments", schedule=None) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2, deferrable=True, **arguments)
        def writes(when: str, letters: int) -> list[str]:
            return [when, "x" * letters]

        writes("first", size)
    ended = run(dag)
    # As they were when the command began.
    assert ended.result("writes") == ["later" if arguments else "first", "x" * size]
    log = capfd.readouterr()
    assert "are not what they were when this job was started" in log.out + log.err
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.parametrize("refused", ["folder", "file"])
def test_a_value_that_is_here_needs_no_room_on_a_full_disk(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def full(*arguments: Any, **options: Any) -> Any:
        raise OSError(28, "No space left on device")

    operator = cast("type[Any]", _OctaDecoratedOperator)
    resumed = operator.execute_resumed

    def on_full_disk(self: Any, context: Context, event: dict[str, Any] | None = None) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(*((tempfile, "mkdtemp", full) if refused == "folder" else (Path, "write_text", full)))
            return resumed(self, context, event)

    monkeypatch.setattr(operator, "execute_resumed", on_full_disk)
    with DAG(f"full_disk_{refused}", schedule=None) as dag:

        @task.octa(image="python:3.12", poll_interval=0.2, deferrable=True)
        def gives() -> dict[str, int]:
            return {"frames": 240}

        gives()
    ended = run(dag)
    assert (ended.state, ended.result("gives")) == ("success", {"frames": 240})
    assert len(renting.sessions) == 1
    assert renting.running() == []


@pytest.mark.parametrize(
    ("says", "is_sent"),
    [({"kwargs": {"number": 1}}, True), ({"kwargs": {"password": "s3cret"}}, False), ({"args": ["x" * 20_000]}, False)],
    ids=["plain", "secret", "long"],
)
def test_source_and_arguments_travel_where_they_may(tmp_path: Path, says: dict[str, Any], is_sent: bool) -> None:
    gone = str(tmp_path / "gone" / "arguments.json")
    spec = JobSpec(image="python:3", command="true", inputs={gone: "f/arguments.json"})
    shared = files_to_share(spec, state_of(spec), None, texts={gone: {"text": json.dumps(says), "says": says}})
    begun = spec_to_begin(shared, tmp_path)
    assert (begun is not None) == is_sent
    if begun is None:
        assert "s3cret" not in repr(shared)
    else:
        ((path, remote),) = begun.inputs.items()
        assert (json.loads(Path(path).read_text()), remote) == (says, "f/arguments.json")


@pytest.mark.parametrize(
    "arguments",
    [{"secret_envs": {"TOKEN": "s3cret"}}, {"envs": {"PASSWORD": "s3cret"}}, {"command": "login masked-s3cret"}],
)
def test_no_secret_travels_with_the_trigger(tmp_path: Path, arguments: dict[str, Any]) -> None:
    mask_secret("masked-s3cret")
    spec = JobSpec(**{"image": "alpine:3", "command": "true", "via": "ssh"} | arguments)
    shared = files_to_share(spec, state_of(spec), None)
    assert "s3cret" not in repr(shared)
    assert spec_to_begin(shared) is None


def state_of(spec: JobSpec) -> JobState:
    return JobState("k", Terms("u"), "nonce", True, 60.0, 0.0, 0.0, outputs=dict(spec.outputs))  # type: ignore[arg-type]


@pytest.fixture
def spec(tmp_path: Path) -> JobSpec:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "scene.txt").write_text("scene")
    outputs = {"a": str(tmp_path / "a"), "b": str(tmp_path / "in" / "b"), "c": str(tmp_path / "new" / "c")}
    return JobSpec(image="alpine:3", command="true", inputs={str(tmp_path / "in"): "in"}, outputs=outputs)


def shared_by(spec: JobSpec) -> Mapping[str, Any]:
    shared = files_to_share(spec, state_of(spec), None)
    assert shared is not None
    return shared


def test_of_two_triggers_of_a_task_one_fetches(spec: JobSpec) -> None:
    shared = shared_by(spec)
    assert [claims_marks(shared), claims_marks(shared)] == [True, False]


def test_a_mark_is_never_sent_nor_makes_another_job(spec: JobSpec, tmp_path: Path) -> None:
    before = spec.fingerprint_of(spec.check_inputs())
    shared_by(spec)
    assert list((tmp_path / "in").glob(".octa-mark-*"))
    (placed,) = spec.check_inputs()
    assert [file.name for file in placed.tree.files] == [b"scene.txt"]
    assert spec.fingerprint_of([placed]) == before


def test_one_folder_that_is_not_shared_is_enough_for_a_worker(spec: JobSpec, tmp_path: Path) -> None:
    shared = shared_by(spec)
    (mark,) = (tmp_path / "in").glob(".octa-mark-*")
    mark.unlink()
    assert not claims_marks(shared)


def test_a_mark_that_an_earlier_worker_has_left_proves_nothing_of_the_folder_of_a_later_one(
    spec: JobSpec, tmp_path: Path
) -> None:
    """Of two computers whose folders have the same name: the triggerer's is that of the worker before."""
    theirs = shared_by(spec)
    (mark,) = (tmp_path / "in").glob(".octa-mark-*")
    before = mark.read_bytes()
    ours = shared_by(spec)
    assert ours["marks"] == theirs["marks"]
    mark.write_bytes(before)
    assert not claims_marks(ours)


def test_the_nonce_does_not_show_in_a_marks_name(spec: JobSpec) -> None:
    assert not any("nonce" in Path(mark).name for mark in shared_by(spec)["marks"])


def test_where_nothing_can_be_marked_a_worker_fetches(tmp_path: Path) -> None:
    spec = JobSpec(image="alpine:3", command="true", outputs={"a": "/proc/a", "b": str(tmp_path / "b")})
    shared = shared_by(spec)
    assert shared["marks"] is None
    assert not claims_marks(shared)
    assert list(tmp_path.iterdir()) == []


def test_inputs_that_look_otherwise_are_the_workers(spec: JobSpec, tmp_path: Path) -> None:
    shared = shared_by(spec)
    begun = spec_to_begin(shared)
    assert begun is not None
    assert (begun.command_line, begun.inputs) == ("true", spec.inputs)
    (tmp_path / "in" / "scene.txt").write_text("another scene")
    assert spec_to_begin(shared) is None
    (tmp_path / "in" / "scene.txt").unlink()
    assert spec_to_begin(shared) is None


def test_another_users_files_are_the_workers(spec: JobSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = shared_by(spec)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert spec_to_begin(shared) is None
    assert not claims_marks(shared)


@pytest.fixture(params=["send", "get"])
def stuck(
    renting: Renting, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Set once files move over a connection on which nothing arrives, and once they are given up."""
    begun, given_up, move = threading.Event(), threading.Event(), getattr(RemoteMachine, request.param)

    def moves(self: RemoteMachine, *arguments: Any, **options: Any) -> Any:
        renting.emulator.ssh(**{"send": {"writes": "stuck"}, "get": {"reads": "stuck"}}[request.param])
        begun.set()
        try:
            return move(self, *arguments, **options)
        except OctaCancelledError:
            given_up.set()
            raise

    monkeypatch.setattr(RemoteMachine, request.param, moves)
    yield begun, given_up
    renting.emulator.ssh()


def started_with_files(renting: Renting, folder: Path, **arguments: Any) -> OctaJobTrigger:
    """The trigger of a job that has files to move."""
    (folder / "in.bin").write_bytes(b"\0" * 4_000_000)
    spec = JobSpec(
        image="alpine:3",
        command="cat in.bin in.bin > out.bin",
        inputs={str(folder / "in.bin"): "in.bin"},
        outputs={"out.bin": str(folder / "out.bin")},
    )
    with renting.client() as client:
        key_file = renting.emulator.ssh_private_key
        state = client.jobs.start(spec, f"tests/files/{folder.name}", private_key=key_file)
    return OctaJobTrigger(
        octa_conn_id="octa_default",
        job=job_to_json(state),
        latest_end=time.time() + 7200,
        poll_interval=0.3,
        collects=True,
        shared=files_to_share(spec, state, None),
        **arguments,
    )


def test_a_trigger_that_is_ended_moves_no_more_files(
    renting: Renting, tmp_path: Path, stuck: tuple[threading.Event, threading.Event]
) -> None:
    async def main() -> None:
        task = asyncio.create_task(event_of(trigger))
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        await cancelled([task])
        assert await asyncio.to_thread(given_up.wait, PATIENCE_S)
        # A triggerer that shuts down stops nothing: another one takes over.
        assert len(renting.running()) == 1

    begun, given_up = stuck
    trigger = started_with_files(renting, tmp_path)
    on_a_loop(main)
    assert not (tmp_path / "out.bin").exists()
    for uuid in renting.running():
        renting.emulator.end_session(uuid)


def test_a_tasks_time_is_over_also_while_a_trigger_moves_files(
    renting: Renting, tmp_path: Path, stuck: tuple[threading.Event, threading.Event]
) -> None:
    async def main() -> dict[str, Any]:
        task = asyncio.create_task(event_of(trigger))
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        trigger.deadline_at = time.time()
        return await task

    begun, given_up = stuck
    trigger = started_with_files(renting, tmp_path, deadline_at=time.time() + 3600)
    assert on_a_loop(main)["what"] == "deadline"
    assert given_up.is_set()
    assert renting.running() == []
    assert not (tmp_path / "out.bin").exists()
