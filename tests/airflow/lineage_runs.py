"""A DAG run in an Airflow of its own, which tells OpenLineage to a file: `python lineage_runs.py FOLDER`.

It has a task for each way to end, and is run in this process; its events are in the file that the environment names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LABELS = {"project": "atlas", "übung": "1/2"}
SECRET = "a-token-that-nobody-sees"
BEGAN = datetime(2026, 1, 2, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Told:
    """What OpenLineage was told.

    Attributes:
        text: all events, as they were written.
        states: what became of each task.
    """

    text: str
    states: Mapping[str, str]

    def events(self, job: str, kind: str) -> list[dict[str, Any]]:
        """The events of a task, in their order."""
        events = [json.loads(line) for line in self.text.splitlines()]
        told = [event for event in events if event["job"]["name"].rpartition(".")[2] == job]
        return [event for event in told if event["eventType"] == kind]

    def event(self, job: str, kind: str = "COMPLETE") -> dict[str, Any]:
        """The only event of this kind."""
        found = self.events(job, kind)
        assert len(found) == 1, (job, kind, len(found))
        return found[0]

    def rental(self, job: str, kind: str = "COMPLETE") -> dict[str, Any]:
        """The facet with what a task has rented."""
        facet: dict[str, Any] = self.event(job, kind)["run"]["facets"]["octaspace_rental"]
        return facet


def names(datasets: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["namespace"], one["name"]) for one in datasets]


def tell(folder: Path, home: Path, **environment: str) -> Told:
    """Run the DAG of this file in an Airflow of its own.

    Args:
        folder: for its files.
        home: of an Airflow whose database is like new.
        environment: more of its environment, such as the connection.
    """
    from installation import another_airflow

    events = folder / "events.jsonl"
    transport = json.dumps({"type": "file", "log_file_path": str(events), "append": True})
    shutil.copytree(home, folder / "home", ignore=lambda _, names: [name for name in names if name != "airflow.db"])
    airflow = another_airflow(folder / "home", migrated=False, AIRFLOW__OPENLINEAGE__TRANSPORT=transport, **environment)
    done = subprocess.run(
        [sys.executable, str(HERE / "lineage_runs.py"), str(folder)],
        env=dict(airflow.environment),
        capture_output=True,
        text=True,
        timeout=850,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return Told(events.read_text(), json.loads((folder / "states.json").read_text()))


def main(folder: Path) -> None:
    """Run the DAG, and write down what became of its tasks."""
    from airflow.providers.common.compat.sdk import DAG
    from airflow_runs import run
    from waited_for import time_is_over_once

    with DAG("lineage", schedule=None, start_date=BEGAN) as dag:
        for name, make in TASKS.items():
            make(folder, name)
        others = list(dag.tasks)
        _broken() << others
    # Of its own: on Airflow 2 `dag.test()` ends with a task whose time is over.
    with DAG("lineage_late", schedule=None, start_date=BEGAN) as late:
        begun = folder / "late"
        _job("late", f"touch {begun}; sleep 3600", deferrable=True, execution_timeout=timedelta(hours=1))
    with time_is_over_once(begun.exists, deferred=True):
        states = run(late).tasks
    states |= run(dag).tasks
    (folder / "states.json").write_text(json.dumps(states))


def _job(name: str, command: str = "echo hello", **arguments: Any) -> Any:
    from airflow_provider.operators.job import OctaRunJobOperator

    return OctaRunJobOperator(task_id=name, image="alpine:3", command=command, poll_interval=0.2, **arguments)


def _files(folder: Path, name: str) -> None:
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / "a.txt").write_text("a")
    _job(
        name,
        "mkdir frames; for i in $(seq 60); do echo $i > frames/$i; done; cat in/a.txt > one.txt",
        inputs={str(folder / "in"): "in", str(folder / "in/a{{ '.' }}txt"): "b.txt"},
        outputs={"one.txt": str(folder / name / "one.txt"), "frames": str(folder / name / SECRET)},
        log_path=str(folder / name / "job.log"),
        secret_envs={"TOKEN": "{{ 'a-token-that-nobody' }}-sees"},
        deferrable=True,
    )


def _fails(folder: Path, name: str) -> None:
    outputs = {f"{one}.txt": str(folder / name / f"{one}.txt") for one in ("here", "not")}
    _job(name, "echo 1 > here.txt; exit 3", outputs=outputs)


def _function(folder: Path, name: str) -> None:
    from airflow.providers.common.compat.sdk import task

    @task.octa(image="python:3.12", poll_interval=0.2, outputs={"made.txt": str(folder / "made.txt")})
    def function(number: int) -> int:
        with open("made.txt", "w") as file:
            file.write(str(number))
        return number + 1

    function(41)


def _mapped(folder: Path, name: str) -> None:
    from airflow_provider.operators.job import OctaRunJobOperator

    (folder / "each").mkdir()
    for one in "ab":
        (folder / "each" / one).write_text(one)
    job = OctaRunJobOperator.partial(task_id=name, image="alpine:3", command="cat in.txt", poll_interval=0.2)
    job.expand(inputs=[{str(folder / "each" / one): "in.txt"} for one in "ab"])


def _steps(folder: Path, name: str) -> None:
    from airflow_provider.operators.start import OctaStartMachineOperator
    from airflow_provider.operators.stop import OctaStopSessionOperator

    start = OctaStartMachineOperator(task_id="start", image="alpine:3", start_command="sleep 600", labels=LABELS)
    OctaStopSessionOperator(task_id="stop", session=start.output)


def _sensor(folder: Path, name: str) -> None:
    from airflow_provider.sensors.job import OctaJobSensor

    begun = _job("begin", wait_for_completion=False)
    OctaJobSensor(task_id="end", job=begun.output, poke_interval=0.2)


def _batch(folder: Path, name: str, broken: str = "") -> None:
    sys.path.insert(0, str(HERE.parents[1]))
    from quick_batch import break_frames, quick_batch

    from airflow_provider.operators.render_animation import OctaRenderAnimationOperator

    plan = quick_batch(folder / name, "1-4", max_machines=2, tries_per_frame=1)
    if broken:
        break_frames(folder / name, broken, folder / "never")
    OctaRenderAnimationOperator(task_id=name, labels=LABELS, **plan)


def _raising_batch(folder: Path, name: str) -> None:
    from quick_batch import quick_batch

    from airflow_provider.operators.render_animation import OctaRenderAnimationOperator

    class Raises(OctaRenderAnimationOperator):
        """Ends with an error of its own once a frame is there, and so without a result."""

        def run_options(self, on_event: Callable[[Any], object], deadline_at: float | None = None) -> dict[str, Any]:
            def raising(event: Any) -> None:
                on_event(event)
                if event.kind == "frame accepted":
                    raise RuntimeError("nobody has thought of this")

            return super().run_options(raising, deadline_at)

    Raises(task_id=name, **quick_batch(folder / name, "1-4", max_machines=2))


def _broken() -> Any:
    from airflow_provider.lineage import open_lineage
    from airflow_provider.lineage.run_bill import RunBill

    def fails(*arguments: object) -> None:
        raise RuntimeError("no lineage today")

    def at_start(context: object) -> None:
        open_lineage.lineage_of = fails  # type: ignore[assignment]
        RunBill.session = fails  # type: ignore[assignment, method-assign]

    return _job("broken", pre_execute=at_start, trigger_rule="all_done")


TASKS: dict[str, Callable[[Path, str], object]] = {
    "files": _files,
    "deferred": lambda folder, name: _job(name, deferrable=True, labels=LABELS),
    "fails": _fails,
    "deferred_fails": lambda folder, name: _job(name, "exit 3", deferrable=True),
    "skips": lambda folder, name: _job(name, "exit 3", skip_on_exit_code=3),
    "function": _function,
    "mapped": _mapped,
    "steps": _steps,
    "sensor": _sensor,
    "batch": _batch,
    "raising_batch": _raising_batch,
    "broken_batch": lambda folder, name: _batch(folder, name, "3"),
}

if __name__ == "__main__":
    os.chdir(sys.argv[1])
    main(Path(sys.argv[1]))
