"""What a job is billed beyond its command: start seen until the command begins, and its end until the session is gone.

make bench-billed
python -m benchmarks.billed_seconds --by core --poll 5 --rounds 6

Each job's command tells by the clock when it began and ended; the emulator's ledger tells when its machine was up and
when it was gone. What is left of that without the command is what we make a user pay for nothing. Machines take
different times to come up, and commands to end, so that both fall anywhere between two looks. `airflow-...` is a whole
Airflow: scheduler, triggerer, workers. `prefect-flow` is `run_job` in a flow; `prefect-worker` is a worker of type
`octa`, with the command in the place of the flow run's own process, whose start nobody can spare.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from octa_provider import JobSpec, OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator

if TYPE_CHECKING:
    from demo.airflow_services import AirflowServices

#: Runs jobs on an emulator, with so many seconds between two looks.
By = Callable[[EmulatorHandle, Sequence["Job"], float], None]
#: From the start of a session until its machine is up, at least; each next one of a round takes longer. A real one
#: takes minutes, in which a task has long been handed over to the triggerer.
START_UP_S = 12.0
#: The goal: in all, in pauses between two looks, on average.
GOAL = 1.0
#: Seconds of the shortest command; each next one of a round is longer by a part of the pause between two looks.
SHORTEST_S = 4.0


@dataclass(frozen=True)
class Way:
    """How a job is run.

    Attributes:
        name: for the table.
        via: as of `JobSpec`.
        has_files: whether a file goes in and one comes out.
    """

    name: str
    via: str
    has_files: bool = False


WAYS = (Way("container", "container"), Way("ssh", "ssh"), Way("ssh-files", "ssh", has_files=True))


@dataclass(frozen=True)
class Job:
    """A job to run.

    Attributes:
        name: part of its rental key.
        way: how.
        command: what it runs; tells when it began and ended in the file `times` of its folder.
        folder: where its files are.
    """

    name: str
    way: Way
    command: str
    folder: Path


def jobs_of(way: Way, rounds: int, poll_s: float, folder: Path) -> list[Job]:
    """The jobs of a way; no two commands take the same time.

    Args:
        way: how they run.
        rounds: how many.
        poll_s: seconds between two looks.
        folder: for their files.
    """
    jobs = []
    for number in range(rounds):
        # In another order than they begin.
        seconds = SHORTEST_S + poll_s * (number * 7 % rounds) / rounds
        here = folder / f"{way.name}-{number}"
        here.mkdir()
        (here / "scene.txt").write_text("scene\n")
        times = here / "times"
        # A session's home folder is named after it.
        begin = f"date +%s.%N > {times}; echo $HOME > {here / 'home'}"
        command = f"{begin}; sleep {seconds:.2f}; date +%s.%N >> {times}"
        if way.has_files:
            command = f"{command}; cp scene.txt out.txt"
        jobs.append(Job(here.name, way, command, here))
    return jobs


def by_core(emulator: EmulatorHandle, jobs: Sequence[Job], poll_s: float) -> None:
    """`Jobs.run`, in threads."""
    with OctaClient(emulator.api_key, base_url=emulator.base_url) as octa, ThreadPoolExecutor(len(jobs)) as pool:

        def run(job: Job) -> None:
            files: dict[str, dict[str, str]] = {}
            if job.way.has_files:
                files = {
                    "inputs": {str(job.folder / "scene.txt"): "scene.txt"},
                    "outputs": {"out.txt": str(job.folder / "out.txt")},
                }
            spec = JobSpec(image="ubuntu:24.04", command=job.command, timeout_s=600, via=job.way.via, **files)
            result = octa.jobs.run(spec, f"billed/{job.name}", private_key=emulator.ssh_private_key, poll_s=poll_s)
            assert result.succeeded, result.message

        list(pool.map(run, jobs))


@contextmanager
def airflow(emulator: EmulatorHandle) -> Iterator[AirflowServices]:
    """A whole Airflow with the DAGs of `dags/billed.py`."""
    from demo.airflow_services import AirflowServices
    from demo.child_processes import ChildProcesses

    class Services(AirflowServices):
        def environment(self, connections: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
            return super().environment(connections) | {"AIRFLOW__CORE__PARALLELISM": "16"}

    connection = {
        "conn_type": "octa",
        "host": emulator.base_url,
        "password": emulator.api_key,
        "extra": {"ssh_key_file": str(emulator.ssh_private_key)},
    }
    dags = Path(__file__).parent / "dags" / "billed.py"
    with tempfile.TemporaryDirectory(prefix="octa-billed-") as folder, ChildProcesses() as children:
        home = Path(folder)
        services = Services(children, home / "home", dags, "", {"octa_default": connection}, home / "logs")
        services.prepare()
        services.start("billed-container-worker")
        yield services


def by_airflow(kind: str) -> By:
    """A whole Airflow, where jobs run on a worker, or are deferred."""

    def run(emulator: EmulatorHandle, jobs: Sequence[Job], poll_s: float) -> None:
        with airflow(emulator) as services:
            for job in jobs:
                conf = {"command": job.command, "folder": str(job.folder)}
                services.trigger(f"billed-{job.way.name}-{kind}", job.name, conf)
            for job in jobs:
                state = ""
                while state != "success":
                    assert state != "failed", job.name
                    time.sleep(0.5)
                    # A busy server takes its time.
                    with suppress(requests.RequestException):
                        state = services.run_state(f"billed-{job.way.name}-{kind}", job.name)

    return run


def by_prefect_flow(emulator: EmulatorHandle, jobs: Sequence[Job], poll_s: float) -> None:
    """`run_job`, each in a task of one flow; with a real Prefect server."""
    from benchmarks.prefect_jobs import run_in_a_flow

    run_in_a_flow(emulator, jobs, poll_s)


def by_prefect_worker(emulator: EmulatorHandle, jobs: Sequence[Job], poll_s: float) -> None:
    """A worker process, whose machines run the command in the place of a flow run's process."""
    from benchmarks.prefect_jobs import run_by_a_worker

    run_by_a_worker(emulator, jobs, poll_s)


BY: dict[str, By] = {
    "core": by_core,
    "airflow-worker": by_airflow("worker"),
    "airflow-deferred": by_airflow("deferred"),
    "prefect-flow": by_prefect_flow,
    "prefect-worker": by_prefect_worker,
}


@dataclass(frozen=True)
class Unused:
    """Billed seconds of a job that neither its command nor the machine's start-up took.

    Attributes:
        before: from when the machine is up until the command begins; at least 0.
        after: from its end until the session is gone.
    """

    before: float
    after: float


def unused(emulator: EmulatorHandle, jobs: Sequence[Job]) -> list[Unused]:
    """What was billed for nothing, job by job."""
    sessions = emulator.ledger(requests=False)["sessions"]
    found = []
    for job in jobs:
        home = (job.folder / "home").read_text()
        (session,) = [one for one in sessions if one["uuid"] in home]
        began, ended = map(float, (job.folder / "times").read_text().split())
        found.append(
            Unused(max(0.0, began - session["ready_ms"] / 1000), max(0.0, session["stopped_ms"] / 1000 - ended))
        )
    return found


def slow_starts(rounds: int, poll_s: float) -> list[dict[str, object]]:
    """The faults by which no two machines of a round take the same time to come up.

    Args:
        rounds: how many machines.
        poll_s: seconds between two looks.
    """
    return [{"kind": "slow_start", "after": number, "seconds": poll_s * number / rounds} for number in range(rounds)]


def measure(by: str, way: Way, rounds: int, poll_s: float) -> dict[str, object]:
    """What jobs of one way are billed for nothing, in pauses between two looks.

    Args:
        by: who runs them.
        way: how.
        rounds: how many, at once.
        poll_s: seconds between two looks.
    """
    with (
        tempfile.TemporaryDirectory(prefix="octa-billed-") as folder,
        start_emulator(in_process=False, machines=40, room=4, start_delay_s=START_UP_S) as emulator,
    ):
        emulator.faults(*slow_starts(rounds, poll_s))
        jobs = jobs_of(way, rounds, poll_s, Path(folder))
        BY[by](emulator, jobs, poll_s)
        found = unused(emulator, jobs)
    both = [one.before + one.after for one in found]
    polls = statistics.mean(both) / poll_s
    return {
        "by": by,
        "way": way.name,
        "polls": round(polls, 2),
        "goal": GOAL,
        "reached": polls <= GOAL,
        "worst": round(max(both) / poll_s, 2),
        "before": [round(one.before, 1) for one in found],
        "after": [round(one.after, 1) for one in found],
    }


def main() -> None:
    """Measure, and print a JSON value for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--by", choices=BY, default="core", help="who runs them")
    parser.add_argument("--ways", nargs="+", choices=[way.name for way in WAYS], default=[way.name for way in WAYS])
    parser.add_argument("--poll", type=float, default=5.0, help="seconds between two looks")
    parser.add_argument("--rounds", type=int, default=6, help="jobs of each way, at once")
    parser.add_argument("--json", type=Path, help="a file that gets the rows too, behind those that it has")
    arguments = parser.parse_args()
    for way in WAYS:
        # A worker's flow run fetches what it needs itself.
        if way.name not in arguments.ways or (way.has_files and arguments.by == "prefect-worker"):
            continue
        row = json.dumps(measure(arguments.by, way, arguments.rounds, arguments.poll))
        print(row, flush=True)
        if arguments.json is not None:
            with arguments.json.open("a") as rows:
                rows.write(f"{row}\n")


if __name__ == "__main__":
    main()
