"""What a job is billed beyond its command: start seen until the command begins, and its end until the session is gone.

make bench-billed
python -m benchmarks.billed_seconds --by core --poll 5 --rounds 6

Each job's command tells by the clock when it began and ended; the emulator's ledger tells what was billed. What is left
of it, without the machine's own start-up, is what we make a user pay for nothing. The commands take different times, so
that their ends fall anywhere between two looks. `airflow` is a whole Airflow: scheduler, triggerer, workers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octa_provider import JobSpec, OctaClient
from octa_provider.emulator.testing import EmulatorHandle, start_emulator

if TYPE_CHECKING:
    from demo.airflow_services import AirflowServices

#: Runs jobs on an emulator, with so many seconds between two looks.
By = Callable[[EmulatorHandle, Sequence["Job"], float], None]
#: From the start of a session until its machine is up, which nobody can spare.
START_UP_S = 2.0
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
        begins_after_s: seconds that it is started after the first, so that machines come up anywhere between two looks.
    """

    name: str
    way: Way
    command: str
    folder: Path
    begins_after_s: float


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
        command = f"date +%s.%N > {times}; sleep {seconds:.2f}; date +%s.%N >> {times}"
        if way.has_files:
            command = f"{command}; cp scene.txt out.txt"
        jobs.append(Job(here.name, way, command, here, poll_s * number / rounds))
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
            time.sleep(job.begins_after_s)
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
            begun = time.monotonic()
            for job in jobs:
                time.sleep(max(0.0, begun + job.begins_after_s - time.monotonic()))
                conf = {"command": job.command, "folder": str(job.folder)}
                services.trigger(f"billed-{job.way.name}-{kind}", job.name, conf)
            for job in jobs:
                while (state := services.run_state(f"billed-{job.way.name}-{kind}", job.name)) != "success":
                    assert state != "failed", job.name
                    time.sleep(0.5)

    return run


BY: dict[str, By] = {
    "core": by_core,
    "airflow-worker": by_airflow("worker"),
    "airflow-deferred": by_airflow("deferred"),
}


@dataclass(frozen=True)
class Unused:
    """Billed seconds of a job that neither its command nor the machine's start-up took.

    Attributes:
        before: from when the machine is up until the command begins.
        after: from its end until the session is gone.
    """

    before: float
    after: float


def unused(emulator: EmulatorHandle, jobs: Sequence[Job]) -> list[Unused]:
    """What was billed for nothing, job by job."""
    sessions = emulator.ledger(requests=False)["sessions"]
    found = []
    for job in jobs:
        (session,) = [one for one in sessions if f"/{job.name}" in one["rental_key"]]
        began, ended = map(float, (job.folder / "times").read_text().split())
        up = session["started_ms"] / 1000 + START_UP_S
        found.append(Unused(began - up, session["stopped_ms"] / 1000 - ended))
    return found


def main() -> None:
    """Measure, and print a JSON value for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--by", choices=BY, default="core", help="who runs them")
    parser.add_argument("--ways", nargs="+", choices=[way.name for way in WAYS], default=[way.name for way in WAYS])
    parser.add_argument("--poll", type=float, default=5.0, help="seconds between two looks")
    parser.add_argument("--rounds", type=int, default=6, help="jobs of each way, at once")
    arguments = parser.parse_args()
    for way in WAYS:
        if way.name not in arguments.ways:
            continue
        with (
            tempfile.TemporaryDirectory(prefix="octa-billed-") as folder,
            start_emulator(in_process=False, machines=40, room=4, start_delay_s=START_UP_S) as emulator,
        ):
            jobs = jobs_of(way, arguments.rounds, arguments.poll, Path(folder))
            BY[arguments.by](emulator, jobs, arguments.poll)
            found = unused(emulator, jobs)
        both = [one.before + one.after for one in found]
        row = {
            "by": arguments.by,
            "way": way.name,
            "polls": round(statistics.mean(both) / arguments.poll, 2),
            "worst": round(max(both) / arguments.poll, 2),
            "before": [round(one.before, 1) for one in found],
            "after": [round(one.after, 1) for one in found],
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
