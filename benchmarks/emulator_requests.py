"""The CPU of a server for a small GET: the emulator, and a handler of aiohttp that does nothing else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks.interleaved import Goal, Row, in_turn

#: A turn asks so often, on one connection that stays.
REQUESTS = 2000
GOAL = Goal("ours", None, REQUESTS / 5000)
PATIENCE_S = 120.0

PLAIN = """
import sys
from aiohttp import web
body = sys.argv[2].encode()

async def answer(request):
    return web.Response(body=body, content_type="application/json")

app = web.Application()
app.router.add_get("/sessions", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""


def measure(rounds: int) -> Row:
    """Ask each.

    Args:
        rounds: how often each takes its turn.
    """
    from octa_provider import MachineRequest, OctaClient
    from octa_provider.emulator.testing import start_emulator

    with ExitStack() as stack:
        emulator = stack.enter_context(start_emulator())
        octa = stack.enter_context(OctaClient(emulator.api_key, base_url=emulator.base_url))
        octa.rentals.start(MachineRequest(image="alpine:3", start_command="sleep 3600"), key="bench/emulator")
        body = json.dumps(emulator.request("GET", "/sessions").json())
        port = int(emulator.base_url.rpartition(":")[2])
        subjects = {
            "plain aiohttp": _asked(*stack.enter_context(_plain_server(body)), "/sessions"),
            "ours": _asked(emulator.pid, port, "/sessions", f"Authorization: {emulator.api_key}\r\n"),
        }
        seconds = in_turn(subjects, rounds)
        for uuid in emulator.ledger(requests=False)["running_uuids"]:
            emulator.end_session(uuid)
    title = f"emulator: {REQUESTS:,} times GET /sessions, the server's CPU"
    return Row(title, "plain aiohttp", seconds, GOAL)


@contextmanager
def _plain_server(body: str) -> Iterator[tuple[int, int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    quiet = subprocess.DEVNULL
    command = [sys.executable, "-c", PLAIN, str(port), body]
    process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        until = time.monotonic() + PATIENCE_S
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the server of aiohttp does not answer")
            time.sleep(0.1)
        yield process.pid, port
    finally:
        process.kill()
        process.wait()


def _asked(pid: int, port: int, path: str, headers: str = "") -> Callable[[], float]:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n".encode()

    def turn() -> float:
        before = _cpu_s(pid)
        with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as answers:
            for _ in range(REQUESTS):
                connection.sendall(request)
                _read_answer(answers.readline, answers.read)
        return _cpu_s(pid) - before

    return turn


def _read_answer(line: Callable[[], bytes], read: Callable[[int], bytes]) -> None:
    status, length = line(), 0
    if b" 200 " not in status:
        raise RuntimeError(f"answered {status!r}")
    while (header := line()) not in {b"\r\n", b""}:
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    read(length)


def _cpu_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
