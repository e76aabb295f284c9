"""A Python that has loaded what programs of the tests load, and forks into each of them: see `forked_python`.

That is a process to signal and to kill like any other, without the third of a second that each would load for. The
standard library alone: Blender's Python runs it too.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import select
import socket
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

#: The most that an order may take, with all of its environment.
MOST_BYTES = 150_000
#: What comes with it: standard input, output and error, and where its exit status goes.
DESCRIPTORS = 4


def load(names: list[str]) -> None:
    """Load modules, and shared libraries by their paths: these begin nothing until their module is imported."""
    for name in names:
        if "/" in name:
            ctypes.CDLL(name)
        else:
            importlib.import_module(name)
    # Of the threads of another one nothing is left after a fork, but what they held.
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "what has been loaded began a thread"
    # What is here stays: nobody looks through it again, and its pages stay shared.
    gc.collect()
    gc.freeze()


def serve(orders: socket.socket, parent: int) -> dict[str, Any]:
    """Fork for each order, and tell its status when it has ended. Only what was forked comes back: with its order."""
    parent_gone = os.pidfd_open(parent)
    children: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    for descriptor in (orders.fileno(), parent_gone):
        poll.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in children:
                poll.unregister(descriptor)
                os.close(descriptor)
                pid, tells = children.pop(descriptor)
                os.write(tells, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
                os.close(tells)
                continue
            if descriptor == parent_gone:
                # Whoever runs the tests has ended, though what it had forked may hold its end of the line.
                os._exit(0)
            message, passed, _, _ = socket.recv_fds(orders, MOST_BYTES, DESCRIPTORS)
            if not message:
                os._exit(0)
            order: dict[str, Any] = json.loads(message)
            pid = os.fork()
            if pid == 0:
                become(order, passed[:-1])
                orders.detach()
                return order
            for theirs in passed[:-1]:
                os.close(theirs)
            ended = os.pidfd_open(pid)
            children[ended] = pid, passed[-1]
            poll.register(ended, select.POLLIN)
            orders.send(str(pid).encode())


def become(order: dict[str, Any], streams: list[int]) -> None:
    """Be what was ordered: with its session, its folder, its environment, its streams, and nobody else's files."""
    os.setsid()
    os.chdir(order["folder"])
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    for number in order["closed"]:
        os.close(number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(order["environment"])
    # Where temporary files go, and what time of the day it is, may have been looked up in the environment of before.
    tempfile.tempdir = None
    time.tzset()
    open_streams()


def open_streams() -> None:
    """`sys.stdin` and the others, as Python makes them when it starts."""
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    at_once = bool(os.environ.get("PYTHONUNBUFFERED"))
    # As the locale has it.
    assert sys.__stdin__ is not None
    errors = errors or ("strict" if encoding else str(sys.__stdin__.errors))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream: io.TextIOWrapper | None = None
        try:
            os.fstat(number)
        except OSError:
            pass  # closed
        else:
            unbuffered = at_once and number > 0
            binary = open(number, "rb" if number == 0 else "wb", buffering=0 if unbuffered else -1, closefd=False)  # noqa: SIM115
            getattr(binary, "raw", binary).name = f"<{name}>"
            stream = io.TextIOWrapper(
                binary,
                encoding=encoding or None,
                errors="backslashreplace" if number == 2 else errors,
                newline=None if number == 0 else "\n",
                line_buffering=not unbuffered and (number == 2 or os.isatty(number)),
                write_through=at_once,
            )
            stream.mode = "r" if number == 0 else "w"  # type: ignore[misc]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def run(arguments: list[str]) -> None:
    """What `python` does with its arguments: `-m module ...`, `-c program ...`, or a file and its arguments."""
    sys.orig_argv[1:] = arguments
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=__builtins__, __annotations__={})
    sys.modules["__main__"] = main
    if arguments[0] == "-m":
        # A module that runs as the program is loaded for that; of a package its `__main__` is.
        if not hasattr(sys.modules.get(arguments[1]), "__path__"):
            sys.modules.pop(arguments[1], None)
        sys.argv[:] = ["-m", *arguments[2:]]
        sys.path[0] = str(Path.cwd())
        runpy._run_module_as_main(arguments[1])  # type: ignore[attr-defined]
    elif arguments[0] == "-c":
        sys.argv[:] = ["-c", *arguments[2:]]
        sys.path[0] = ""
        exec(compile(arguments[1], "<string>", "exec"), main.__dict__)
    else:
        sys.argv[:] = arguments
        sys.path[0] = str(Path(arguments[0]).parent)
        main.__file__ = arguments[0]
        exec(compile(Path(arguments[0]).read_bytes(), arguments[0], "exec"), main.__dict__)


if __name__ == "__main__":
    _orders = socket.socket(fileno=int(sys.argv[1]))
    _parent, *_names = sys.argv[2:]
    # As for whom it forks: its own folder is on the path of a file that is run.
    load(_names)
    run(serve(_orders, int(_parent))["arguments"])
