"""The CPU of a server for a small GET: the emulator, moto's server, and a handler of aiohttp that does nothing else.

What moto is asked is what comes nearest to the list of the sessions: EC2's DescribeInstances, with one that runs. Its
server closes each connection.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from benchmarks.interleaved import Goal, Row, in_turn
from benchmarks.measured_process import cpu_s

#: A turn asks so often, on one connection where it stays.
REQUESTS = 2000
#: And moto so often, which takes its time.
REQUESTS_TO_MOTO = 200
GOAL = Goal("ours", None, REQUESTS / 5000)
PATIENCE_S = 120.0

PLAIN = """
import sys
from aiohttp import web
body = sys.argv[1].encode()

async def answer(request):
    return web.Response(body=body, content_type="application/json")

app = web.Application()
app.router.add_get("/sessions", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=None, print=None)
"""


#: No signature is looked at; it says which service is asked, in which region.
MOTO = "Authorization: AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/ec2/aws4_request, Signature=0\r\n"
RUN_ONE = "/?Action=RunInstances&Version=2016-11-15&ImageId=ami-12c6146b&MinCount=1&MaxCount=1"
DESCRIBE = "/?Action=DescribeInstances&Version=2016-11-15"


def measure(rounds: int, moto_python: str | None = None) -> Row:
    """Ask each.

    Args:
        rounds: how often each takes its turn.
        moto_python: of an environment with moto's server; None leaves it out.
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
            "plain aiohttp": _asked(*stack.enter_context(_server(sys.executable, "-c", PLAIN, body)), "/sessions"),
            "ours": _asked(emulator.pid, port, "/sessions", f"Authorization: {emulator.api_key}\r\n"),
        }
        if moto_python is not None:
            moto = stack.enter_context(_server(moto_python, "-m", "moto.server", "-H", "127.0.0.1", "-p"))
            _asked(*moto, RUN_ONE, MOTO, times=1)()
            subjects["moto"] = _asked(*moto, DESCRIBE, MOTO, times=REQUESTS_TO_MOTO)
        seconds = in_turn(subjects, rounds)
        for uuid in emulator.ledger(requests=False)["running_uuids"]:
            emulator.end_session(uuid)
    title = f"emulator: {REQUESTS:,} times GET /sessions, the server's CPU"
    return Row(title, "plain aiohttp", seconds, GOAL)


@contextmanager
def _server(*command: str) -> Iterator[tuple[int, int]]:
    """A server that gets its port as the last argument; yields its process id and its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([*command, str(port)], stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        until = time.monotonic() + PATIENCE_S
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[:3]} does not answer")
            time.sleep(0.1)
        yield process.pid, port
    finally:
        process.kill()
        process.wait()


def _asked(pid: int, port: int, path: str, headers: str = "", times: int = REQUESTS) -> Callable[[], float]:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n".encode()

    def turn() -> float:
        before, asked = cpu_s(pid), 0
        while asked < times:
            with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as answers:
                stays = True
                while stays and asked < times:
                    connection.sendall(request)
                    stays = _read_answer(answers.readline, answers.read)
                    asked += 1
        return (cpu_s(pid) - before) * REQUESTS / times

    return turn


def _read_answer(line: Callable[[], bytes], read: Callable[[int], bytes]) -> bool:
    """Read one; whether the connection stays."""
    status, length, stays = line(), 0, True
    if b" 200 " not in status:
        raise RuntimeError(f"answered {status!r}")
    while (header := line()) not in {b"\r\n", b""}:
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        if name.lower() == b"connection":
            stays = value.strip().lower() != b"close"
    read(length)
    return stays
