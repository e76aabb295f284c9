"""Starts programs of Python from one that has loaded ours already: a third of a second of a core less for each.

As `subprocess.Popen` and `subprocess.run`, of `[sys.executable, "-m", ...]`, `[sys.executable, "-c", ...]` and a file
of Blender's Python. Where the start itself is what is shown, in a shell or with options of Python's, use those.
"""

from __future__ import annotations

import inspect
import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: What programs of ours load, now or when it is first used.
OURS = (
    "octa_provider.cli.program",
    "octa_provider.client",
    "octa_provider.batch.batches",
    "octa_provider.cli.output.run_display",
    "asyncssh",
    "fileseq",
    "requests",
    "rich.progress",
)


class ForkedPython(subprocess.Popen[Any]):
    """A `subprocess.Popen` of a process in a session of its own, which is the child of another.

    Args:
        server: what forks it.
        command: its interpreter and arguments.
        closed: which of its standard streams are closed.
        options: those of `subprocess.Popen`.
    """

    def __init__(self, server: ForkServer, command: Sequence[str], closed: Sequence[int], **options: Any) -> None:
        self._server, self._closed = server, closed
        self._told = -1
        super().__init__(command, **options)

    def _execute_child(self, *values: Any) -> None:
        given = inspect.signature(subprocess.Popen._execute_child).bind(self, *values).arguments  # type: ignore[attr-defined]
        pipes = [given[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        of_child = [pipes[0], pipes[3], pipes[5]]
        order = {
            "arguments": [os.fspath(word) for word in given["args"][1:]],
            "environment": dict(os.environ if given["env"] is None else given["env"]),
            "folder": str(Path(given["cwd"] or ".").absolute()),
            "closed": list(self._closed),
        }
        # As ours, unless they are told.
        streams = [number if stream == -1 else stream for number, stream in enumerate(of_child)]
        self.pid, self._told = self._server.fork(order, streams)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _internal_poll(self, *values: Any, **more: Any) -> int | None:
        return self._look(0.0)

    def _wait(self, timeout: float | None) -> int:
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return status

    def _look(self, timeout: float | None) -> int | None:
        """Its exit status, for which it is waited so long."""
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._told, select.POLLIN)
            has_ended = poll.poll(None if timeout is None else timeout * 1000)
            with self._waitpid_lock:  # type: ignore[attr-defined]
                if has_ended and self.returncode is None:
                    told = os.read(self._told, 16)
                    assert told, "the Python that forks has ended"
                    self.returncode = int(told)
                    os.close(self._told)
        return self.returncode


class ForkServer:
    """One Python that forks. It ends with this process: its end of the line is closed then, and it reads so.

    Args:
        interpreter: which one.
        loaded: modules, and paths of shared libraries.
        environment: in which they are loaded.
    """

    def __init__(self, interpreter: str, loaded: Sequence[str], environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [interpreter, "-m", "tests.forking_python", str(theirs.fileno()), str(os.getpid()), *loaded],
                cwd=ROOT,
                env=dict(environment),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def fork(self, order: Mapping[str, Any], streams: Sequence[int]) -> tuple[int, int]:
        """Give it an order; the pid, and where its exit status can be read."""
        told, tells = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._orders, [json.dumps(order).encode()], [*streams, tells])
                answer = self._orders.recv(16)
        finally:
            os.close(tells)
        assert answer, f"the Python that forks has ended: {self._process.wait()}"
        return int(answer), told


_servers: dict[tuple[str, frozenset[tuple[str, str]]], ForkServer] = {}
_starting = threading.Lock()


def start_python(command: Sequence[Any], *, closed: Sequence[int] = (), **options: Any) -> subprocess.Popen[Any]:
    """As `subprocess.Popen`; it is the first of a session.

    Args:
        command: the path of an interpreter, and its arguments.
        closed: which of its standard streams are closed.
        options: those of `subprocess.Popen`: its streams, `text`, `env` and `cwd`.
    """
    if sys.platform != "linux":
        assert not closed
        return subprocess.Popen(command, **{"start_new_session": True, **options})
    interpreter = str(command[0])
    environment = os.environ if options.get("env") is None else options["env"]
    # These Python itself reads as it starts, but for those of its streams.
    read = frozenset(
        (name, value)
        for name, value in environment.items()
        if name.startswith("PYTHON") and name not in ("PYTHONIOENCODING", "PYTHONUNBUFFERED")
    )
    with _starting:
        if (interpreter, read) not in _servers:
            others = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
            # That of numpy begins threads as it is loaded.
            others["OPENBLAS_NUM_THREADS"] = "1"
            loaded = OURS if interpreter == sys.executable else _blenders(interpreter)
            _servers[interpreter, read] = ForkServer(interpreter, loaded, others | dict(read))
    return ForkedPython(_servers[interpreter, read], command, closed, **options)


def run_python(
    command: Sequence[Any], *, timeout: float | None = None, check: bool = False, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """As `subprocess.run`, with the options of `start_python`."""
    if options.pop("capture_output", False):
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start_python(command, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    if check and process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, out, err)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _blenders(interpreter: str) -> list[str]:
    """What Blender's Python can load without beginning a thread: a third of what `import bpy` takes."""
    return ["numpy", *map(str, Path(interpreter).parents[1].glob("lib/python*/site-packages/bpy/__init__*.so"))]
