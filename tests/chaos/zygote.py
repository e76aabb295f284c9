"""A warmed-up process that forks one child for each try: a fresh process without the second that an import takes.

It reads one JSON object a line, `{"module": ..., "tries": [{...}, ...]}`, runs the tries at the same time, and answers
with one line: a list of what became of each. A try may name another module. Standard library only: it also runs where
our package is not installed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import logging
import os
import random
import resource
import select
import signal
import sys
import time
import traceback
from typing import Any

from tests.chaos.boundaries import Boundaries

HANG_S = 300.0


def serve() -> None:
    """Answer until standard input closes."""
    for line in sys.stdin:
        order = json.loads(line)
        # Imported here, before the fork: the children have it for nothing.
        for module in {order["module"], *(options.get("module", order["module"]) for options in order["tries"])}:
            if module not in sys.modules:
                importlib.import_module(module)
                # What is loaded is never collected: a child would copy every page that its collection touches.
                gc.collect()
                gc.freeze()
        print(json.dumps(run_tries(order["module"], order["tries"])), flush=True)


def run_tries(module: str, tries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run tries at the same time, each in a child of its own."""
    children: dict[int, tuple[int, int]] = {}
    for number, options in enumerate(tries):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _live(options.get("module", module), options, writer)
        os.close(writer)
        children[reader] = (number, pid)
    outcomes: list[dict[str, Any]] = [{} for _ in tries]
    texts = dict.fromkeys(children, b"")
    deadline = time.monotonic() + HANG_S
    hung = False
    while children:
        ready, _, _ = select.select(list(children), [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            hung = True
            for _, pid in children.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + HANG_S
        for reader in ready:
            piece = os.read(reader, 65536)
            texts[reader] += piece
            if not piece:
                number, pid = children.pop(reader)
                os.close(reader)
                os.waitpid(pid, 0)
                outcomes[number] = _outcome(texts[reader].decode(), hung)
    return outcomes


def _outcome(text: str, hung: bool) -> dict[str, Any]:
    """What a child reported: the boundary at which it got its signal, and, if it lived on, how it ended."""
    outcome: dict[str, Any] = {}
    for line in text.splitlines():
        outcome |= json.loads(line) if line.startswith("{") else {"killed_at": line}
    if hung:
        return outcome | {"hung": True}
    return outcome or {"error": "the process ended without a word"}


def _live(module: str, options: dict[str, Any], report: int) -> None:
    """The whole life of a child."""
    boundaries: Boundaries | None = None
    outcome: dict[str, Any]
    try:
        with contextlib.suppress(OSError):
            # What it prints must not get between the answers.
            os.dup2(2, 1)
        if not options.get("trace"):
            logging.disable()
        random.seed(options["seed"])
        os.environ.update(options.get("environment", {}))
        # SIGQUIT would leave a file of all memory.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for ignored in options.get("ignored", ()):
            # As `nohup` does.
            signal.signal(signal.Signals[ignored], signal.SIG_IGN)
        time.sleep(options.get("delay_s", 0.0))
        kill = options.get("kill") or {}
        boundaries = Boundaries(
            kill.get("point"),
            kill.get("occurrence", 1),
            kill.get("number"),
            report,
            kill.get("signal", "SIGKILL"),
            kill.get("again"),
        )
        boundaries.install()
        try:
            outcome = {"result": importlib.import_module(module).work(options, boundaries)}
        except Exception as error:  # noqa: BLE001 - a try that failed is an outcome
            outcome = {"error": f"{type(error).__name__}: {error}"[:2000]}
            if options.get("trace"):
                outcome["trace"] = traceback.format_exc()
        outcome |= {"crossed": dict(boundaries.crossed), "held": boundaries.held}
    except BaseException as error:  # noqa: BLE001 - SystemExit and the like too: the parent waits for a word
        outcome = {"error": f"{type(error).__name__}: {error}"}
        if boundaries is not None:
            outcome["held"] = boundaries.held
    text = json.dumps(outcome).encode()
    if boundaries is not None:
        # From here on nothing is worth dying for.
        boundaries.over = True
    with open(report, "wb", closefd=False) as file:
        file.write(text)
    os._exit(0)


if __name__ == "__main__":
    serve()
