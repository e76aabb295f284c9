"""What dies under a batch of a real Airflow, and when: plan, approval and render through each of it.

`python -m tests.chaos.airflow_batch_kills [--only worker octa]`, in Airflow's environment. Each fault happens once, to
four runs at a time, each of which is at another point then: it is being measured, waits for its approval, is rendered
by a worker, or is rendered while its task is deferred. The script gives the approvals. A row a run says how it ended,
how many frames were lost, accepted twice and rendered twice, what runs still, and whether the bill is the ledger's.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from demo.airflow_services import AirflowError
from demo.child_processes import send
from octa_provider.emulator.testing import EmulatorHandle, start_emulator
from tests.airflow.e2e.airflow_at_work import Services, airflow_at_work, noted_scene
from tests.core.batch.run.quick_renderer import command

#: So long the platform's API is away, in seconds.
AWAY_S = 60.0
#: A run that takes so long has hung.
PATIENCE_S = 300.0
_ENDED = ("success", "failed")
#: Airflow fails an approval that is given before its scheduler has heard that the asking process ended.
_THINKS_S = 3.0


@dataclass(frozen=True)
class Moment:
    """Where a run is when the fault comes.

    Attributes:
        name: in the table.
        dag_id: of the two DAGs.
        frames: so many are asked for.
        frame_s: what each takes.
    """

    name: str
    dag_id: str
    frames: int
    frame_s: float


MOMENTS = (
    Moment("render deferred", "approved_deferred", 70, 1.0),
    Moment("render on a worker", "approved_on_worker", 60, 1.0),
    Moment("waits for approval", "approved_on_worker", 9, 1.0),
    Moment("plan measures", "approved_on_worker", 5, 8.0),
)


class KilledBatch:
    """One run: a cell of the table."""

    def __init__(self, services: Services, emulator: EmulatorHandle, moment: Moment, run_id: str, folder: Path) -> None:
        self.services = services
        self.emulator = emulator
        self.moment = moment
        self.run_id = run_id
        self.folder = folder
        self._is_approved = False
        folder.mkdir()
        noted_scene(folder)
        told = {"folder": str(folder), "frames": f"1-{moment.frames}", "command": command(moment.frame_s)}
        services.trigger(moment.dag_id, run_id, told)

    @property
    def states(self) -> dict[str, str]:
        """The state of each task."""
        return {one["task_id"]: str(one["state"]) for one in self.services.tasks(self.moment.dag_id, self.run_id)}

    @property
    def state(self) -> str:
        return self.services.run_state(self.moment.dag_id, self.run_id)

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """Every session that was started for it."""
        sessions = self.emulator.ledger(requests=False)["sessions"]
        return [one for one in sessions if f"/{self.run_id}/" in (one["rental_key"] or "")]

    @property
    def running(self) -> int:
        """How many of them run."""
        running = set(self.emulator.ledger(requests=False)["running_uuids"])
        return sum(one["uuid"] in running for one in self.sessions)

    @property
    def drawn(self) -> Counter[int]:
        """How often machines have rendered each frame."""
        path = self.folder / "drawn"
        return Counter(int(line) for line in path.read_text().split()) if path.exists() else Counter()

    def processes(self, task_id: str) -> list[list[str]]:
        """Of each process that worked on a task: time, pid, its parent's, number of the try."""
        path = self.folder / "processes"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if line[4] == task_id]

    def kill_worker(self, task_id: str) -> None:
        """Kill -9 of the process that runs a task and of the one that watches it, as when a machine is gone."""
        _, pid, watcher, *_ = self.processes(task_id)[-1]
        send(int(watcher), signal.SIGKILL)
        send(int(pid), signal.SIGKILL)
        self.services.lose_worker(self.moment.dag_id, self.run_id)

    def is_there(self) -> bool:
        """Whether the run is where the fault is to meet it; approves it where it has to go on first."""
        states = self.states
        if self.state in _ENDED:
            raise RuntimeError(f"{self.run_id} has ended before the fault came: {states}")
        if self.moment.name == "plan measures":
            return states["plan"] == "running" and self.running == 1 and sum(self.drawn.values()) >= 1
        if states["approve"] == "awaiting_input":
            if self.moment.name == "waits for approval":
                return True
            self.approve()
        if self.moment.name == "render deferred":
            return states["render"] == "deferred"
        # Three were measured.
        return states["render"] == "running" and self.running == 1 and sum(self.drawn.values()) >= 6

    def approve(self) -> None:
        """As the button does, pressed by a person: not at once."""
        if not self._is_approved:
            time.sleep(_THINKS_S)
            self.services.approve(self.moment.dag_id, self.run_id, "approve")
            self._is_approved = True

    def is_over(self) -> bool:
        """Whether it has ended; approves it where it waits for that."""
        if self.state in _ENDED:
            return True
        if self.states["approve"] == "awaiting_input":
            self.approve()
        return False

    def row(self) -> str:
        """What became of it."""
        out = self.folder / "out"
        lines = [json.loads(line) for line in (out / ".octa" / "journal.jsonl").read_text().splitlines()]
        accepted = Counter(line["frame"] for line in lines if line["t"] == "frame")
        there = {int(path.stem.removeprefix("frame_")) for path in out.glob("frame_*.png")}
        sessions = self.sessions
        charged = sum(int(one["charge_wei"]) for one in sessions)
        told = next(iter(self.services.results(self.moment.dag_id, self.run_id, "render")), {"cost_wei": "no bill"})
        tries = {task_id: len({line[3] for line in self.processes(task_id)}) for task_id in ("plan", "render")}
        bill = "= ledger" if str(told["cost_wei"]) == str(charged) else f"{told['cost_wei']}, ledger {charged}"
        return (
            f"{self.state}, plan in {tries['plan']}, render in {tries['render']} tries | "
            f"lost {self.moment.frames - len(there)} of {self.moment.frames} | "
            f"accepted twice {sum(count - 1 for count in accepted.values())} | "
            f"rendered twice {sum(count - 1 for count in self.drawn.values())} | "
            f"sessions {len(sessions)}, left {self.running} | "
            f"bill {bill}"
        )


class Faults:
    """What happens, to all runs at once."""

    def __init__(self, services: Services, emulator: EmulatorHandle, runs: list[KilledBatch]) -> None:
        self.services = services
        self.emulator = emulator
        self.runs = runs

    def worker(self) -> None:
        """What runs the tasks, and what watches it; of the deferred one, the worker that comes back for it.

        While an approval is waited for no worker runs. Idle ones are let alone: when they were killed too, Airflow's
        LocalExecutor began nothing more.
        """
        for run in self.runs:
            if run.moment.name == "render on a worker":
                run.kill_worker("render")
            elif run.moment.name == "plan measures":
                run.kill_worker("plan")
        for run in self.runs:
            if run.moment.name == "render deferred":
                known = len(run.processes("render"))
                until("a worker should come back", lambda run=run, known=known: len(run.processes("render")) > known)
                run.kill_worker("render")

    def triggerer(self) -> None:
        """It is gone for some seconds."""
        self._restart("triggerer")

    def scheduler(self) -> None:
        """It is gone with all workers: they are its children."""
        self._restart("scheduler")

    def server(self) -> None:
        """The API server, by which also the workers and the triggerer tell what they do."""
        self._restart("api-server")
        self.services.wait("the API server", self.services.log_in)

    def octa(self) -> None:
        """Every request to the platform is answered by 503, for a minute."""
        self.emulator.faults({"kind": "status", "status": 503, "times": None})
        time.sleep(AWAY_S)
        self.emulator.clear_faults()

    def _restart(self, name: str) -> None:
        self.services.kill(name)
        time.sleep(3.0)
        self.services.begin(name)


FAULTS: dict[str, Callable[[Faults], None]] = {
    "worker": Faults.worker,
    "triggerer": Faults.triggerer,
    "scheduler": Faults.scheduler,
    "server": Faults.server,
    "octa": Faults.octa,
}


def until(what: str, ask: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait until something is so; an API server that does not answer is asked again.

    Raises:
        TimeoutError: it does not become so.
    """
    deadline = time.monotonic() + patience_s
    while True:
        with suppress(requests.RequestException, AirflowError):
            if ask():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.5)


def meet(fault: str, services: Services, emulator: EmulatorHandle, folder: Path) -> list[str]:
    """Have one fault meet a run at each moment.

    Returns:
        A row for each.
    """

    def begin(number: int) -> KilledBatch:
        run_id = f"{fault}_{number}"
        return KilledBatch(services, emulator, MOMENTS[number], run_id, folder / run_id)

    # The one that is measured begins when the others are where they are to be.
    *first, last = range(len(MOMENTS))
    runs = [begin(number) for number in first]
    until("the first runs should be there", lambda: len([run for run in runs if run.is_there()]) == len(runs))
    runs.append(begin(last))
    until("the last run should be measured", runs[-1].is_there)
    # The deferred one comes back now and then.
    with suppress(TimeoutError):
        until("all should be there", lambda: all(run.is_there() for run in runs), 15.0)
    is_met = [run.is_there() for run in runs]
    rows = []
    try:
        FAULTS[fault](Faults(services, emulator, runs))
    except TimeoutError as error:
        rows.append(f"{fault}: !! {error}")
    for run, met in zip(runs, is_met, strict=True):
        try:
            until(f"{run.run_id} should end", run.is_over)
            told = run.row()
        except TimeoutError as error:
            told = f"!! hung: {error}; tasks {run.states}, {run.running} sessions run"
        rows.append(f"{fault} x {run.moment.name}{'' if met else ' (had gone on)'}: {told}")
    return rows


def main() -> int:
    """Run it, and print the table; 1 when a run did not end whole, with its bill right and nothing left."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.airflow_batch_kills")
    parser.add_argument("--only", nargs="+", choices=list(FAULTS), default=list(FAULTS), help="these faults")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="an empty folder for all that is written")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="octa-airflow-", ignore_cleanup_errors=True) as place:
        folder = options.keep or Path(place)
        with (
            start_emulator(machines=12, room=50) as emulator,
            airflow_at_work(emulator, folder, "approved_batch.py", "approved_deferred") as airflow,
        ):
            for fault in options.only:
                began = time.monotonic()
                for row in meet(fault, airflow.services, emulator, airflow.folder):
                    rows.append(row)
                    print(row, flush=True)
                print(f"{fault}: {time.monotonic() - began:.0f} s", flush=True)
            left = emulator.ledger(requests=False)["running"]
            print(f"sessions that run at the end: {left}")
    return 1 if left or any(": success" not in row or "bill = ledger" not in row for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
