"""How much later a flow's process asks Prefect's API for the first time when the flow imports our blocks.

Each run is a fresh process. It executes a flow that does nothing, against a server in this process that notes when the
first request comes and answers nothing useful; what is measured ends there. The runs with and without are interleaved.

    python benchmarks/prefect_first_request.py [--runs 15]
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FLOW = """
from prefect import flow
{imports}

@flow
def nothing() -> None:
    pass

nothing()
"""
SCRIPTS = {
    "without our blocks": FLOW.format(imports=""),
    "import prefect_blocks": FLOW.format(imports="import prefect_blocks"),
    "import the tasks": FLOW.format(imports="from prefect_blocks import tasks"),
    "import the flows": FLOW.format(imports="from prefect_blocks import flows"),
}
DEADLINE_S = 60.0


class FirstRequest:
    """Serves, and notes when it was first asked."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self.at = 0.0
        noting = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                noting.note()
                self.send_error(418)

            do_POST = do_GET

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def note(self) -> None:
        if not self.came.is_set():
            self.at = time.perf_counter()
            self.came.set()

    def forget(self) -> None:
        self.came.clear()


def seconds_to_first_request(script: Path, first: FirstRequest, home: Path) -> float:
    """From the process's start to its first request.

    Raises:
        RuntimeError: none came.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "OCTA_"))}
    env = own | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{first.server.server_port}/api",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLIENT_MAX_RETRIES": "0",
        "NO_PROXY": "127.0.0.1",
    }
    first.forget()
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, script], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=home
    )
    try:
        if not first.came.wait(DEADLINE_S):
            raise RuntimeError(f"{script.name} asked nothing within {DEADLINE_S:g} s")
        return first.at - started
    finally:
        process.kill()
        process.wait()


def main(arguments: list[str]) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=15, help="of each kind")
    runs = parser.parse_args(arguments).runs
    first = FirstRequest()
    measured: dict[str, list[float]] = {name: [] for name in SCRIPTS}
    with tempfile.TemporaryDirectory() as folder:
        scripts = {name: Path(folder) / f"{number}.py" for number, name in enumerate(SCRIPTS)}
        for name, script in scripts.items():
            script.write_text(SCRIPTS[name])
            # Once before it counts: files get into memory, and are compiled.
            seconds_to_first_request(script, first, Path(folder))
        for _ in range(runs):
            # In another order each time: whatever else runs here must not always meet the same one.
            for name, script in random.sample(sorted(scripts.items()), len(scripts)):
                measured[name].append(seconds_to_first_request(script, first, Path(folder)))
    first.server.shutdown()
    medians = {name: statistics.median(values) for name, values in measured.items()}
    plain = medians["without our blocks"]
    print(f"process start to first API request, {runs} fresh processes each, interleaved")
    print(f"{'flow':<24}{'median s':>10}{'min s':>8}{'max s':>8}{'ratio':>8}")
    for name, values in measured.items():
        print(f"{name:<24}{medians[name]:>10.2f}{min(values):>8.2f}{max(values):>8.2f}{medians[name] / plain:>8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
