"""A thousand deferred jobs in a real triggerer of Airflow: requests, CPU and memory, beside triggers that poll alone.

make bench-triggerer
python -m benchmarks.triggerer_jobs --jobs 1000 --windows 5 --json rows.json

Three triggerers run at once, each with as many triggers: ours, whose jobs run on the emulator and print nothing; ones
that ask for their session's state, each alone and as often as ours look; and ones that sleep, which shows what Airflow
itself takes. Their database is a PostgreSQL of the bench's own where one is installed, else SQLite. The tasks are
written into it as deferred: no scheduler and no worker takes part. Ratios are of the same windows of time.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.interleaved import Goal, Row
from benchmarks.measured_process import cpu_s, of_session, requests_of, shared_mb
from octa_provider.emulator.testing import EmulatorHandle, start_emulator

POLL_S = 5.0
OURS, ALONE, ASLEEP = "ours", "a poll each", "asleep"
QUEUES = {OURS: "ours", ALONE: "alone", ASLEEP: "asleep"}
CPU_GOAL = Goal(OURS, ALONE, 0.1)
REQUESTS_GOAL = Goal(OURS, None, 60)
#: All triggers run by then.
PATIENCE_S = 1800.0
#: From when all triggers have looked until the first window begins.
WARM_UP_S = 30.0


def measure(count: int, windows: int, seconds: float) -> tuple[dict[str, Row], dict[str, float]]:
    """A row each for CPU and requests, and the megabytes that each triggerer has in the end.

    Args:
        count: how many triggers of each kind.
        windows: how many windows of time, 2 or more.
        seconds: how long each is.
    """
    from benchmarks.deferred_tasks import airflow_database, defer, triggerer

    with ExitStack() as stack:
        room = max(50, count)
        emulators = {
            name: stack.enter_context(start_emulator(in_process=False, machines=40, room=room, start_delay_s=0.1))
            for name in (OURS, ALONE)
        }
        connections = {f"octa_{QUEUES[name]}": _connection(emulator) for name, emulator in emulators.items()}
        home = stack.enter_context(airflow_database(connections))
        defer(_triggers(emulators, count))
        _told(f"{count} jobs run and are deferred")
        pids = {name: stack.enter_context(triggerer(queue, count, home)) for name, queue in QUEUES.items()}
        # The first look at each of our jobs reads its log without a turn.
        routes = {OURS: "GET /services/{uuid}/logs", ALONE: "GET /services/{uuid}/info"}
        for name, route in routes.items():
            _until(lambda name=name, route=route: requests_of(emulators[name]).get(route, 0) >= count, name, home)
        time.sleep(WARM_UP_S)
        _told("all are watched")
        cpu: dict[str, list[float]] = {name: [] for name in QUEUES}
        asked: dict[str, list[float]] = {OURS: [], ALONE: []}
        for _ in range(windows):
            begun = time.monotonic()
            before = {name: _cpu_s(pid) for name, pid in pids.items()}
            made = {name: sum(requests_of(emulator).values()) for name, emulator in emulators.items()}
            time.sleep(seconds)
            took_s = time.monotonic() - begun
            for name, pid in pids.items():
                cpu[name].append((_cpu_s(pid) - before[name]) / took_s)
            for name, emulator in emulators.items():
                asked[name].append((sum(requests_of(emulator).values()) - made[name]) * 60 / took_s)
        memory = {name: shared_mb(of_session(pid)) for name, pid in pids.items()}
        running = emulators[OURS].ledger(requests=False)["running"]
    assert running == count, f"{running} of {count} jobs ran while it was counted"
    title = f"{count:,} deferred jobs in a triggerer, the jobs quiet, a look due every {POLL_S:.0f} s"
    rows = {
        "cpu": Row(f"{title}: CPU of a second", ALONE, cpu, CPU_GOAL, "CPU s/s"),
        "requests": Row(f"{title}: requests a minute", ALONE, asked, REQUESTS_GOAL, "a minute"),
    }
    return rows, memory


def _connection(emulator: EmulatorHandle) -> dict[str, object]:
    return {"conn_type": "octa", "host": emulator.base_url, "password": emulator.api_key}


def _triggers(emulators: dict[str, EmulatorHandle], count: int) -> dict[str, list[object]]:
    from benchmarks.deferred_waits import running_jobs, start_sessions
    from benchmarks.rival_triggers import PollsAloneTrigger, SleepsTrigger

    ours = running_jobs(emulators[OURS], count, "sleep 14400", f"octa_{QUEUES[OURS]}")
    uuids = start_sessions(emulators[ALONE], count)[:count]
    alone = f"octa_{QUEUES[ALONE]}"
    return {
        QUEUES[OURS]: ours,
        QUEUES[ALONE]: [PollsAloneTrigger(octa_conn_id=alone, uuid=uuid, poll_interval=POLL_S) for uuid in uuids],
        QUEUES[ASLEEP]: [SleepsTrigger(number=number) for number in range(count)],
    }


def _told(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _until(is_so: Callable[[], bool], name: str, home: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > until:
            log = (home / f"{QUEUES[name]}.log").read_text()
            raise SystemExit(f"the triggers of {name!r} do not all run:\n{log[-3000:]}")
        time.sleep(1.0)


def _cpu_s(leader: int) -> float:
    # A triggerer's loop is its child.
    return sum(cpu_s(pid, with_ended=True) for pid in of_session(leader))


def main() -> int:
    """Measure, print, and return the exit status: 0 when every goal is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000, help="triggers of each kind")
    parser.add_argument("--windows", type=int, default=5, help="windows of time that are counted, 2 or more")
    parser.add_argument("--seconds", type=float, default=60.0, help="the length of each")
    parser.add_argument("--json", type=Path, help="write every figure into this file")
    arguments = parser.parse_args()
    # The triggerers are ended with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows, memory = measure(arguments.jobs, max(2, arguments.windows), arguments.seconds)
    for row in rows.values():
        print(row.table() + "\n", flush=True)
    ours, alone, asleep = (statistics.median(rows["cpu"].seconds[name]) for name in (OURS, ALONE, ASLEEP))
    # Of a few triggers it can't be told.
    if alone > asleep:
        print(f"CPU beyond Airflow's own, ours over {ALONE}: {(ours - asleep) / (alone - asleep):.3f}")
    print("memory: " + ", ".join(f"{name} {megabytes:.0f} MB" for name, megabytes in memory.items()))
    if arguments.json:
        told: dict[str, object] = {name: row.to_dict() for name, row in rows.items()}
        arguments.json.write_text(json.dumps(told | {"memory_mb": memory}, indent=1) + "\n")
    return 0 if all(row.is_reached for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
