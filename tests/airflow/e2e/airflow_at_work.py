"""A real Airflow with every process, and what a test does to it."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from airflow import __version__ as airflow_version

from demo.child_processes import ChildProcesses
from octa_provider.emulator.testing import EmulatorHandle
from tests.airflow.e2e.airflow_processes import PATIENCE_S, Services
from tests.core.batch.run.quick_renderer import write_scene

T = TypeVar("T")

VERSION = tuple(int(part) for part in airflow_version.split(".")[:3])
IS_TWO = VERSION < (3,)
#: 3.0 fails a task whose process is killed, whatever its retries are (apache/airflow#55753).
RETRIES_KILLED = IS_TWO or VERSION >= (3, 1, 1)
#: In 3.0 a task that is cleared while it runs stays `restarting` for ever (apache/airflow#55045).
RESTARTS_CLEARED = IS_TWO or VERSION >= (3, 1, 0)
#: In 3.0 the retry of a deferred task takes the first try's end for its own (apache/airflow#56704).
TRIES_AGAIN = IS_TWO or VERSION >= (3, 1, 1)
#: Before, Airflow takes no success from a task that was marked as one meanwhile: an error in its log, whatever it does.
TAKES_THE_SAME_STATE = VERSION >= (3, 3)
#: `task_state_store`: what tells a retry how far the log was read.
KEEPS_STATE = VERSION >= (3, 3)

#: Goes on for as long as the test likes: until it has made the file `go`. Each session that runs it is noted in `runs`.
UNTIL_TOLD = "echo run >> $F/runs; echo begun; until [ -e $F/go ]; do sleep 0.2; done; echo whole > $F/output"

DAGS = Path(__file__).parent / "dags"
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")


@dataclass(frozen=True)
class Work:
    """One run of one of the DAGs in `dags`, with the folder that its job writes to."""

    services: Services
    emulator: EmulatorHandle
    dag_id: str
    run_id: str
    folder: Path

    @property
    def path(self) -> str:
        return f"dags/{self.dag_id}/dagRuns/{self.run_id}"

    @property
    def state(self) -> str:
        """The task's state; asked of the database, as an API server that answers all the time slows all others down."""
        return self.services.read("SELECT state FROM task_instance WHERE dag_id = ? AND run_id = ?", *self.names)

    @property
    def names(self) -> tuple[str, str]:
        return self.dag_id, self.run_id

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """Every session that was started for it."""
        sessions = self.emulator.ledger(requests=False)["sessions"]
        return [one for one in sessions if self._is_ours(one["rental_key"])]

    @property
    def running(self) -> list[str]:
        running = set(self.emulator.ledger(requests=False)["running_uuids"])
        return [one["uuid"] for one in self.sessions if one["uuid"] in running]

    @property
    def most_at_once(self) -> int:
        """How many of its sessions ever ran at the same time."""
        overlaps = self.emulator.ledger(requests=False)["max_running_by_key"]
        return max((int(one["max_running"]) for key, one in overlaps.items() if self._is_ours(key)), default=0)

    def _is_ours(self, key: str | None) -> bool:
        # Behind the namespace.
        return f"/airflow/{self.dag_id}/{self.run_id}/" in (key or "")

    @property
    def tries(self) -> list[list[str]]:
        """Of each process that worked on it: time, pid, parent's pid, number of the try."""
        path = self.folder / "processes"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def log(self) -> str:
        """All that the task and its triggers logged."""
        folder = self.services.home / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.run_id}"
        return "\n".join(path.read_text() for path in sorted(folder.rglob("*.log*")))

    @property
    def triggers_begun(self) -> int:
        """How often a trigger of it began."""
        begun = rf"trigger {self.dag_id}/{self.run_id}/\S+ \(ID \d+\) starting"
        return len(re.findall(begun, self.log + self.services.triggerers_log))

    @property
    def triggers_ended(self) -> int:
        """How often a trigger of it ended, by itself or cancelled."""
        ended = rf"trigger completed|trigger {self.dag_id}/{self.run_id}/\S+ \(ID \d+\) completed"
        return len(re.findall(ended, self.log + self.services.triggerers_log))

    def until(self, what: str, ask: Callable[[], T]) -> T:
        """Wait until something is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not (answer := ask()):
            self.services.children.check()
            assert time.monotonic() < deadline, (
                f"{what}, but state {self.state}, tries {self.tries}:\n{self.log[-6000:]}"
            )
            time.sleep(0.2)
        return answer

    def until_running(self) -> str:
        """Wait until its session runs; returns the uuid."""
        return self.until("a session should run", lambda: self.running)[0]

    def until_deferred(self) -> None:
        """Until its trigger runs: before that, Airflow calls nobody when a user acts."""
        self.until("the task should be deferred", lambda: self.state == "deferred" and self.running)
        self.until("its trigger should run", lambda: self.triggers_begun)

    def until_begun(self) -> None:
        """Wait until the command of `UNTIL_TOLD` runs."""
        self.until("its command should have begun", (self.folder / "runs").exists)

    @property
    def runs(self) -> int:
        """How often the command of `UNTIL_TOLD` has begun."""
        return len((self.folder / "runs").read_text().splitlines())

    @property
    def is_whole(self) -> bool:
        """Whether the job has written what it should, at its end."""
        return (self.folder / "output").read_text() == "whole\n"

    def let_go(self) -> None:
        """Let the command of `UNTIL_TOLD` end."""
        (self.folder / "go").touch()

    def until_next_try(self) -> None:
        """Wait until a process works on a second try."""
        self.until("a second try should come", lambda: len({one[3] for one in self.tries}) == 2)

    def until_triggered(self, more_than: int) -> None:
        """Wait until triggers of it have begun more often than that."""
        self.until("its trigger should run once more", lambda: self.triggers_begun > more_than)

    def until_stopped(self) -> None:
        self.until(f"nothing should run, not {self.running}", lambda: not self.running)

    def until_deleted_and_stopped(self) -> None:
        """As `until_stopped`, of a run that Airflow no longer knows."""
        deadline = time.monotonic() + PATIENCE_S
        while self.running:
            self.services.children.check()
            assert time.monotonic() < deadline, f"{self.running} run on"
            time.sleep(0.2)

    def ended(self) -> str:
        """Wait until the run has ended; returns the task's state."""
        self.until("the run should end", lambda: self.state in ENDED)
        return self.state

    def until_tried_again(self) -> None:
        """As `until_next_try`, after a kill of its process; where Airflow does not try again, a person clears it."""
        if not RETRIES_KILLED:
            self.clear_failed()
        self.until_next_try()

    def clear_failed(self) -> None:
        """Wait until it has failed, and have it tried again."""
        assert self.ended() == "failed"
        # A scheduler that ends the run at the same time forgets the clear.
        self.until("the run should have failed", lambda: self.services.run_state(*self.names) == "failed")
        self.clear()
        self.until("it should be tried again", lambda: self.state not in ENDED)

    def kill_process(self) -> None:
        """Kill -9 of the process that runs the task."""
        os.kill(int(self.tries[-1][1]), signal.SIGKILL)

    def kill_worker(self) -> None:
        """Kill -9 of that process and of the one that watches it, as when a worker's machine is gone."""
        _, pid, watcher, _ = self.tries[-1]
        os.kill(int(watcher), signal.SIGKILL)
        os.kill(int(pid), signal.SIGKILL)
        self.services.lose_worker(*self.names)

    def mark(self, state: str) -> None:
        """As a user does in the browser."""
        self.services.ask("PATCH", f"{self.path}/taskInstances/job", {"new_state": state}, also_fine=409)

    def clear(self) -> None:
        """As a user does in the browser."""
        self.services.clear(self.dag_id, self.run_id)

    def put_off(self) -> None:
        """Let it wait for its retry, as Airflow leaves a try that failed."""
        self.services.write(
            "UPDATE task_instance SET state = 'up_for_retry', end_date = start_date, next_method = NULL, "
            "next_kwargs = NULL WHERE dag_id = ? AND run_id = ? AND task_id = 'job'",
            *self.names,
        )

    def pause(self, is_paused: bool = True) -> None:
        """Pause the DAG, or let it go on."""
        self.services.ask("PATCH", f"dags/{self.dag_id}", {"is_paused": is_paused})
        if is_paused:
            # What it had begun to schedule is scheduled.
            self.services.until_scheduled()

    def fail_run(self) -> None:
        self.services.ask("PATCH", self.path, {"state": "failed"})

    def delete(self) -> None:
        self.services.ask("DELETE", self.path, also_fine=404)


def noted_scene(folder: Path) -> None:
    """A scene whose frames are noted when they have been rendered, each as often as it was; quick ones once told so."""
    script = write_scene(folder / "scene") / "shot.py"
    whole = "time.sleep(seconds)"
    told = f"end = time.time() + seconds\nwhile time.time() < end and not os.path.exists({str(folder / 'go')!r}):"
    text = script.read_text()
    assert whole in text
    text = text.replace(whole, f"{told}\n    time.sleep(0.1)")
    script.write_text(text + f"open({str(folder / 'drawn')!r}, 'a').write(sys.argv[1] + '\\n')\n")


class Airflow:
    """What a test starts its work with."""

    def __init__(self, services: Services, emulator: EmulatorHandle, folder: Path) -> None:
        self.services = services
        self.emulator = emulator
        self.folder = folder
        self._count = 0

    def work(self, dag_id: str, command: str | None = None, given: str | None = None) -> Work:
        """Start a run, in whose folder there is an `input` of that text."""
        self._count += 1
        run_id = f"run_{self._count}"
        folder = self.folder / run_id
        folder.mkdir()
        if dag_id.startswith("batch"):
            noted_scene(folder)
        if given is not None:
            (folder / "input").write_text(given)
        conf = {"folder": str(folder)} | ({} if command is None else {"command": command})
        self.services.trigger(dag_id, run_id, {} if dag_id == "reap" else conf)
        return Work(self.services, self.emulator, dag_id, run_id, folder)


def services_of_this_version() -> type[Services]:
    """The processes of the Airflow that is installed."""
    if not IS_TWO:
        return Services
    from tests.airflow.e2e.airflow_two import ServicesOfTwo

    return ServicesOfTwo


@contextmanager
def airflow_at_work(
    emulator: EmulatorHandle, folder: Path, dag_file: str = "left_behind.py", first_dag: str = "reap"
) -> Iterator[Airflow]:
    """A real Airflow for a `with` block: API server, scheduler, DAG processor, triggerer.

    Args:
        emulator: the marketplace.
        folder: for all of it.
        dag_file: which of `dags` it has.
        first_dag: one of that file's DAGs.
    """
    connection = {
        "conn_type": "octa",
        "host": emulator.base_url,
        "password": emulator.api_key,
        "extra": {"timeout": 60, "retries": 1, "ssh_key_file": str(emulator.ssh_private_key)},
    }
    (folder / "work").mkdir()
    with ChildProcesses() as children:
        connections = {"octa_default": connection}
        services = services_of_this_version()(
            children, folder / "home", DAGS / dag_file, "", connections, folder / "logs"
        )
        services.prepare()
        services.start(first_dag)
        dags, written = "SELECT count(*) FROM dag", "SELECT count(DISTINCT dag_id) FROM serialized_dag"
        services.wait("every DAG of the file", lambda: services.read(dags) == services.read(written))
        yield Airflow(services, emulator, folder / "work")
