"""How much memory following a huge log takes: a server streams it, a child process follows it.

python benchmarks/log_memory.py             1 GB of log
python benchmarks/log_memory.py --mb 64     less

Prints the log's size, the time, and the child's peak resident memory. The log is sent twice as the API does, the second
time with one line more, so that the whole of it is looked at again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MB = 1024 * 1024
_LINES_PER_CHUNK = 8192


def log_lines() -> bytes:
    """A chunk of log as it stands inside the JSON: escapes, quotes and text that is not ASCII."""
    return "".join(
        f'Fra:{i:05d} Mem:12.30M (Peak 14.01M) | \\"Scène\\", ViewLayer | \\u001b[32mSample 12/64\\u001b[0m\\n'
        for i in range(_LINES_PER_CHUNK)
    ).encode()


@contextmanager
def log_server(size: int) -> Iterator[str]:
    """Serves a log of at least `size` bytes at every path; the address. Each answer has one line more."""
    asked = itertools.count()
    chunk = log_lines()
    # Counted without its escapes, as the container printed it.
    chunk_size = len(json.loads(b'"' + chunk + b'"').encode())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            extra = "".join(f"late line {i}\\n" for i in range(next(asked)))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"container": "')
            for number in range(-(-size // chunk_size)):
                self.wfile.write(f"chunk {number}\\n".encode() + chunk)
            self.wfile.write(extra.encode() + b'", "system": [{"ts": 1700000000000, "msg": "started"}]}')

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def measure(size: int) -> dict[str, float]:
    """Follow a log of `size` bytes in a child process; what it took."""
    with log_server(size) as address:
        child = subprocess.run(
            [sys.executable, __file__, "--follow", address], stdout=subprocess.PIPE, check=True, text=True
        )
    measured: dict[str, float] = json.loads(child.stdout)
    return measured


def peak_mb() -> float:
    """This process's peak resident memory."""
    status = Path("/proc/self/status")
    if status.exists():
        # `getrusage` of a child on Linux begins with what its parent had when it was started.
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MB if sys.platform == "darwin" else 1024)


def _follow(address: str) -> None:
    from octa_provider import OctaClient
    from octa_provider.logs.session_log import SessionLog

    with OctaClient("key", base_url=address) as client:
        session_log = SessionLog(client, "0f1f7f4e")
        before = peak_mb()
        start = time.perf_counter()
        first = sum(1 for _ in session_log.new_lines())
        size = session_log.cursor.seen
        second = sum(1 for _ in session_log.new_lines())
        seconds = time.perf_counter() - start
    figures = {"lines": first, "new_lines": second, "log_mb": size / MB, "seconds": seconds, "peak_mb": peak_mb()}
    print(json.dumps({**figures, "before_mb": before}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mb", type=int, default=1024, help="size of the log in MB (default: 1024)")
    parser.add_argument("--follow", metavar="ADDRESS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.follow:
        _follow(arguments.follow)
        return
    measured = measure(arguments.mb * MB)
    print(
        f"log {measured['log_mb']:.0f} MB, {measured['lines']:.0f} lines, fetched twice in {measured['seconds']:.1f} s"
    )
    print(f"new lines the second time: {measured['new_lines']:.0f}")
    print(f"peak RSS {measured['peak_mb']:.1f} MB ({measured['before_mb']:.1f} MB before the first byte)")


if __name__ == "__main__":
    main()
