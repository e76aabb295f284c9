"""Thousands of waits in one process: what a look at the account costs, how much a wait keeps, and when it is noticed.

PYTHONPATH=. python -m benchmarks.many_waits                    10,000 waits, a list call every five seconds
PYTHONPATH=. python -m benchmarks.many_waits --waits 1000

The watcher, the client and the connection are real. The account is a server of its own process that answers every
list call with a session for each wait, in the emulator's form; in the last look one of them is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from octa_provider import OctaClient
from octa_provider.models import Session, SessionPhase
from octa_provider.watch.watcher import Watcher

POLL_S = 5.0

SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
body, calls = Path(sys.argv[1]), Path(sys.argv[2])
class Account(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        sent = body.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)
        with calls.open("a") as told:
            told.write(self.path + "\\n")
    def log_message(self, *arguments):
        pass
server = HTTPServer(("127.0.0.1", 0), Account)
print(server.server_port, flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Measured:
    """What so many waits came to.

    Attributes:
        waits: how many there were.
        calls_per_interval: list calls, by looks that the interval has room for.
        cpu_share: of one core, at a look every `POLL_S` seconds.
        bytes_a_wait: memory that a wait keeps while it waits, its task on the event loop with it.
        noticed_s: from the moment that the account tells of a session's being ready to the wait's end, in intervals.
    """

    waits: int
    calls_per_interval: float
    cpu_share: float
    bytes_a_wait: float
    noticed_s: float

    def goals(self) -> list[tuple[str, float, float]]:
        """Each figure with its name and what it may be at most."""
        return [
            ("list calls per interval", self.calls_per_interval, 1.0),
            (f"share of a core at {POLL_S:g} s", self.cpu_share, 0.05),
            ("bytes a wait", self.bytes_a_wait, 2048.0),
            ("ready to noticed, in intervals", self.noticed_s / POLL_S, 1.0),
        ]

    @property
    def is_reached(self) -> bool:
        """Whether every goal is."""
        return all(figure <= most for _, figure, most in self.goals())

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        goals = [{"name": name, "figure": figure, "goal": most} for name, figure, most in self.goals()]
        return {"title": f"{self.waits:,} waits in one process", "figures": goals, "reached": self.is_reached}

    def table(self) -> str:
        """For a person."""
        lines = [f"{self.waits:,} waits in one process, one look every {POLL_S:g} s"]
        for name, figure, most in self.goals():
            lines.append(f"  {name:<34}{figure:>10.3f}   goal at most {most:g}: {_verdict(figure, most)}")
        return "\n".join(lines)


def _verdict(figure: float, most: float) -> str:
    return "reached" if figure <= most else "missed"


#: A session that comes up, in the emulator's form, without the oddities that it can show.
STARTING: dict[str, object] = {
    "service": "mr",
    "kind": "mr",
    "app_name": None,
    "app_logo": None,
    "node_id": 1017,
    "progress": "starting container",
    "is_ready": False,
    "duration": 61,
    "started_at": 1_790_000_000_000,
    "ports_matrix": {},
    "urls": {},
    "tx": 125_000,
    "rx": 480_000,
    "charge_amount": 1_230_000_000_000_000,
    "container_id": ["6d1f3c2a9b7e"],
    "prices": {"base_usd": 3400, "currency_usd": True, "market_price": 0.42},
    "public_ip": "198.51.100.7",
    "ip": "10.0.0.7",
    "country": "Germany",
    "country_iso": "DE",
    "city": "Berlin",
    "node_hw": {"cpu": "AMD EPYC 7402P", "cpu_cores": 24, "total_memory": 128_000_000_000, "gpus": []},
}


@contextmanager
def account(waits: int) -> Iterator[tuple[str, Path, Path, list[dict[str, object]]]]:
    """A server with so many sessions: its URL, the file that it answers with, that of its calls, the records."""
    records = [
        STARTING
        | {"uuid": f"{number:08d}-0000-4000-8000-000000000000", "user_envs": {"OCTA_RENTAL_KEY": f"r/{number}"}}
        for number in range(waits)
    ]
    with tempfile.TemporaryDirectory(prefix="octa-many-") as folder:
        body, calls = Path(folder, "body"), Path(folder, "calls")
        body.write_text(json.dumps(records))
        calls.touch()
        server = subprocess.Popen([sys.executable, "-c", SERVER, body, calls], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}", body, calls, records
        finally:
            server.terminate()
            server.wait()


def measure(waits: int = 10_000, looks: int = 3) -> Measured:
    """Wait for so many sessions.

    Args:
        waits: sessions, each with a wait of its own.
        looks: list calls whose CPU is counted.
    """
    with account(waits) as (url, body, calls, records), OctaClient("benchmark", base_url=url) as client:
        return asyncio.run(_measured(client, body, calls, records, looks))


async def _measured(
    client: OctaClient, body: Path, calls: Path, records: list[dict[str, object]], looks: int
) -> Measured:
    def is_ready(session: Session) -> bool:
        return session.phase is SessionPhase.READY

    async def made() -> int:
        return await asyncio.to_thread(lambda: len(calls.read_text().splitlines()))

    # The first look takes a while to come: what the waits keep is counted before there is a list beside them.
    watcher = Watcher(client, POLL_S)
    watcher._poll_at += 1e9
    gc.collect()
    before = _resident()
    uuids = [str(record["uuid"]) for record in records]
    tasks = [asyncio.create_task(watcher.wait_async(uuid, is_ready, 86_400.0)) for uuid in uuids]
    await asyncio.sleep(1.0)
    gc.collect()
    kept = (_resident() - before) / len(uuids)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    watcher = Watcher(client, POLL_S)
    tasks = [asyncio.create_task(watcher.wait_async(uuid, is_ready, 86_400.0)) for uuid in uuids]
    while await made() < 2:
        await asyncio.sleep(0.05)
    await asyncio.sleep(POLL_S / 2)
    first, used, begun = await made(), time.process_time(), time.monotonic()
    await asyncio.sleep(looks * POLL_S)
    used, took = time.process_time() - used, time.monotonic() - begun
    listed = await made() - first
    ready = records[len(records) // 2] | {"is_ready": True, "progress": "service configured"}
    answer = json.dumps([ready if one["uuid"] == ready["uuid"] else one for one in records])
    staged = body.with_suffix(".new")
    staged.write_text(answer)
    told = time.monotonic()
    staged.replace(body)
    session = await tasks[len(records) // 2]
    noticed = time.monotonic() - told
    assert session.uuid == ready["uuid"]
    assert sum(task.done() for task in tasks) == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # By the look and not by the clock: a busy machine looks less often.
    per_look = used / max(listed, 1)
    return Measured(len(records), listed / round(took / POLL_S), per_look / POLL_S, kept, noticed)


def _resident() -> float:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return float(pages * resource.getpagesize())


def main() -> int:
    """Measure, print, and return the exit status: 0 when every goal is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waits", type=int, default=10_000)
    measured = measure(parser.parse_args().waits)
    print(measured.table())
    return 0 if measured.is_reached else 1


if __name__ == "__main__":
    sys.exit(main())
