"""A batch whose task is killed: with a signal, as a user's act does, or with -9, as when a worker's machine is gone."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow_runs import Renting, run
from dag_to_kill import AT, batch_to_kill
from quick_batch import hold_frames, quick_batch, whole_frames
from test_killed_in_dag_test import first_try, process_until
from waited_for import once, time_is_over_once, until

from airflow_provider.hooks.octa import OctaHook
from airflow_provider.kill_switch import KillSwitch
from airflow_provider.operators.render_animation import OctaRenderAnimationOperator
from airflow_provider.stop_on_failure import tell_which_batch_may_run
from airflow_provider.task_memory import TaskMemory
from octa_provider import MachineRequest, OctaClient


class TaskInstance:
    """As much of one as an operator needs that is called directly."""

    dag_id, run_id, task_id, map_index, try_number, start_date = "kill_batch", "manual__1", "render", -1, 1, None

    def __init__(self) -> None:
        self.asked: list[str] = []

    def xcom_push(self, key: str, value: Any) -> None:
        self.asked.append(key)


def noted_frames(folder: Path) -> Callable[[], list[int]]:
    """Have machines note each frame that they have rendered; returns what tells which, each as often as it was."""
    drawn, script = folder / "drawn", folder / "scene" / "shot.py"
    script.write_text(script.read_text() + f"open({str(drawn)!r}, 'a').write(sys.argv[1] + '\\n')\n")
    return lambda: [int(line) for line in drawn.read_text().split()]


@pytest.mark.parametrize("moment", ["while it is rented", "while it renders"])
def test_a_kill_stops_every_machine_and_asks_airflow_for_nothing(
    renting: Renting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """As on Airflow 3: a handler calls `on_kill`, and `execute` goes on behind it."""
    operator = OctaRenderAnimationOperator(task_id="render", **quick_batch(tmp_path, "1-900", frame_s=1.0))
    ti = TaskInstance()
    handled: list[list[str]] = []

    def handler(number: int, frame: object) -> None:
        def refused(self: object, *arguments: Any) -> Any:
            ti.asked.append(type(self).__name__)
            raise RuntimeError("it would wait for ever")

        asked = len(ti.asked)
        with monkeypatch.context() as patch:
            patch.setattr(OctaHook, "get_connection", refused)
            for name in ("mark_of", "keep_mark"):
                patch.setattr(TaskMemory, name, refused)
            operator.on_kill()
        handled.append(ti.asked[asked:])

    before = signal.signal(signal.SIGTERM, handler)
    is_so = renting.running if moment == "while it is rented" else lambda: whole_frames(tmp_path)
    killer = once(is_so, lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        with pytest.raises(AirflowException, match="was killed"):
            operator.execute({"ti": ti})  # type: ignore[arg-type]
    finally:
        killer.join()
        signal.signal(signal.SIGTERM, before)
    assert handled == [[]]
    assert renting.sessions
    assert renting.running() == []


def test_a_kill_that_raises_leaves_nothing(renting: Renting, tmp_path: Path) -> None:
    """As on Airflow 2: the handler raises inside `execute`."""
    operator = OctaRenderAnimationOperator(task_id="render", **quick_batch(tmp_path, "1-900", frame_s=1.0))

    def handler(number: int, frame: object) -> None:
        operator.on_kill()
        raise AirflowException("Task received SIGTERM signal")

    before = signal.signal(signal.SIGTERM, handler)
    killer = once(lambda: whole_frames(tmp_path), lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        with pytest.raises(AirflowException, match="SIGTERM"):
            operator.execute({"ti": TaskInstance()})  # type: ignore[arg-type,typeddict-item]
    finally:
        killer.join()
        signal.signal(signal.SIGTERM, before)
    assert renting.running() == []


def test_on_kill_alone_asks_every_machine_of_the_batch_and_no_other_to_stop(renting: Renting) -> None:
    """Airflow may end the process five seconds later: `execute` is not needed for it."""
    keys = ["airflow/dag/run/render/-1/batch/0a1b2c3d/m1", "airflow/dag/run/render/-1/batch/0a1b2c3d/m2"]
    other = "airflow/dag/run/render/-11/batch/0a1b2c3d/m1"
    hook = OctaHook()
    with hook.get_conn() as client:
        for key in (*keys, other):
            client.rentals.start(MachineRequest(image="alpine:3", start_command="sleep 600"), key=key)
        KillSwitch(hook.settings, "airflow/dag/run/render/-1", is_batch=True).pull()
        until(lambda: len(renting.running()) == 1)
        (left,) = renting.running()
        assert client.services.session(left).info().rental_key.endswith(other)
        client.rentals.stop(other)


def test_a_worker_that_is_gone_loses_no_frame_and_the_next_try_renders_none_twice(
    renting: Renting, tmp_path: Path
) -> None:
    name, log = "batch_worker_gone", tmp_path / "log"
    # One machine: two may both be given a frame at the end, whichever has it first.
    arguments = quick_batch(tmp_path, "1-40", frame_s=0.3, max_machines=1)
    drawn = noted_frames(tmp_path)
    hold_frames(tmp_path, 4, until=tmp_path / "killed")
    with first_try(log, name, kind="batch", **arguments) as process:
        process_until(process, log, lambda: len(whole_frames(tmp_path)) >= 4)
    running, before = renting.running(), whole_frames(tmp_path)
    assert running
    (tmp_path / "killed").touch()
    ended = run(batch_to_kill(name, **arguments), at=AT)
    assert ended.state == "success"
    assert whole_frames(tmp_path) == list(range(1, 41))
    assert set(running) <= {session["uuid"] for session in renting.sessions}
    assert ended.result("render")["rendered"] <= 40 - len(before)
    # What was there, and what the machine went on with alone, was not rendered again; but perhaps the frame that it was
    # at when it was found.
    assert set(drawn()) == set(range(1, 41))
    assert len(drawn()) <= 41
    assert [drawn().count(frame) for frame in before] == [1] * len(before)
    assert renting.running() == []


def test_a_timeout_stops_the_batch_and_the_next_try_goes_on(renting: Renting, tmp_path: Path) -> None:
    again = tmp_path / "again"

    def tried_again(context: Any) -> None:
        if context["ti"].try_number > 1:
            again.touch()

    arguments = quick_batch(tmp_path, "1-12", frame_s=0.3)
    hold_frames(tmp_path, 3, until=again)
    dag = batch_to_kill(
        "batch_timeout",
        **arguments,
        execution_timeout=timedelta(hours=1),
        retries=1,
        retry_delay=timedelta(0),
        pre_execute=tried_again,
    )
    with time_is_over_once(lambda: len(whole_frames(tmp_path)) >= 3, deferred=False):
        ended = run(dag)
    if ended.state == "running":
        # On Airflow 2 the timeout passes through `dag.test()`, which begins the same run anew when it is asked again.
        again.touch()
        ended = run(dag, at=ended.dag_run.execution_date)
    assert again.exists()
    assert ended.state == "success"
    assert whole_frames(tmp_path) == list(range(1, 13))
    assert len(renting.sessions) >= 2
    assert renting.running() == []


def test_what_can_not_be_stopped_is_named_with_the_command_that_does(
    renting: Renting, caplog: pytest.LogCaptureFixture
) -> None:
    key = "airflow/dag/run/render/-1"
    where = {"base_url": renting.emulator.base_url, "namespace": "-o'brien"}
    with OctaClient(renting.emulator.api_key, **where) as client:
        rental = client.rentals.start(
            MachineRequest(image="alpine:3", start_command="sleep 600"), key=f"{key}/batch/0a1b2c3d/m1"
        )
        tell_which_batch_may_run(key, client.namespace, "the network is gone")
    (line,) = [line for line in caplog.text.splitlines() if "may still run and bill" in line]
    command = line.partition("or stop them: ")[2]
    environment = os.environ | {"OCTA_API_KEY": renting.emulator.api_key, "OCTA_BASE_URL": renting.emulator.base_url}
    program = Path(sys.executable).parent / "octa-provider"
    subprocess.run([program, *shlex.split(command)[1:]], env=environment, check=True, timeout=600)
    assert rental.uuid not in renting.running()
