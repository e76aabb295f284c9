"""A Python that has loaded Prefect already, and forks into what a test starts.

That is a process to kill like any other, without the second and a half that each would load for. Run as a program by
`forked`. Nothing of ours is loaded here: each process loads that by itself, as in real life. What Prefect has read of
the environment is read again after the fork; `test_forked` compares the outcome with that of a Python started anew.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

#: The most that a process's environment and program may take.
MOST_BYTES = 120_000
#: A variable that keeps so much room where /proc shows a process's environment.
ROOM = "TESTS_ROOM_FOR_AN_ENVIRONMENT"

OF_A_RUNNER = (
    "prefect.main",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.deployments.steps.core",
    "prefect.cli.flow_run",
    "prefect.runner",
    # What these load when they are first used.
    "anyio._backends._asyncio",
    "graphviz",
)
LOADED = (
    *OF_A_RUNNER,
    "prefect.cli.worker",
    "prefect.workers.base",
    "pydantic.v1",
    # What ours load.
    "asyncssh",
    "fileseq",
    "msgspec",
    "requests",
)

#: By its file: what is forked has no folder of ours in its path.
_spec = importlib.util.spec_from_file_location("forking_python", Path(__file__).parents[1] / "forking_python.py")
assert _spec is not None
assert _spec.loader is not None
_forking: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_forking)
run = _forking.run


def load(names: tuple[str, ...] = LOADED) -> None:
    """Load what the processes of most tests need."""
    for name in names:
        # Another Prefect may have another module there.
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
    # What is here stays: nobody looks through it again, and its pages stay shared.
    gc.collect()
    gc.freeze()


def serve(control: socket.socket) -> dict[str, Any]:
    """Fork once for each order, and tell what has ended. Comes back only in a process that was forked: its order."""
    awake, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    while True:
        ready, _, _ = select.select([control, awake], [], [])
        if awake in ready:
            os.read(awake, 4096)
            tell_the_ended(control)
        if control not in ready:
            continue
        message, files, _, _ = socket.recv_fds(control, 2 * MOST_BYTES, 2)
        if not message:
            # Whoever runs the tests has ended.
            os._exit(0)
        order: dict[str, Any] = json.loads(message)
        begun, begins = os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            become(order, *files)
            os.write(begins, b"!")
            control.detach()
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            return order
        os.close(begins)
        os.read(begun, 1)
        for fd in (begun, *files):
            os.close(fd)
        control.send(json.dumps({"begun": pid}).encode())


def tell_the_ended(control: socket.socket) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            control.send(json.dumps({"ended": ended[0], "code": os.waitstatus_to_exitcode(ended[1])}).encode())


def become(order: dict[str, Any], output: int) -> None:
    """Be in all that others see of it the process that was ordered: its session, folder, output and environment."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for fd, to in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(fd, to)
    os.chdir(order["folder"])
    show_environment(order["environment"])
    os.environ.clear()
    os.environ.update(order["environment"])


def show_environment(environment: dict[str, str]) -> None:
    """Write it where /proc has it from: by that the emulator, and these tests, find a process and end it."""
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    # See proc_pid_stat(5): env_start and env_end are its fields 50 and 51, of which the first two are cut off.
    start, end = int(fields[47]), int(fields[48])
    block = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in environment.items())
    assert len(block) <= end - start, "there is no room for so large an environment"
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, block, len(block))


def read_environment_again() -> None:
    """What Prefect reads as it is loaded: its settings, and with them its loggers."""
    import prefect.context
    import prefect.logging.configuration as configuration

    # While there are settings it looks for the profiles where these say.
    del prefect.context.GLOBAL_SETTINGS_CONTEXT
    prefect.context.refresh_global_settings_context()
    configuration.PROCESS_LOGGING_CONFIG.clear()
    configuration.setup_logging()


if __name__ == "__main__":
    load()
    _order = serve(socket.socket(fileno=int(sys.argv[1])))
    sys.argv[:] = _order["arguments"]
    if _order["arguments"][1:3] == ["flow-run", "execute"]:
        # Not in the path of those that are to have no more time than users have.
        with suppress(ModuleNotFoundError):
            import warm_children

            warm_children.begin(first_of_path=1)
    read_environment_again()
    run(_order["arguments"])
