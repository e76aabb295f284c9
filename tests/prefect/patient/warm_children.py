"""What `prefect flow-run execute` starts is forked instead, by a process that has Prefect loaded and has done nothing.

Prefect's runner starts three Pythons for a flow run: one that prepares it and then replaces itself by the flow's, and
one for the hooks. Each would load Prefect for two seconds. The process that forks is made before the runner does
anything; what it forks becomes the runner's own child, with what the runner gave it: its session, folder, files and
environment. Linux alone, as `started_ahead`; `test_forked` compares the outcome with that of a Python started anew.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib.util
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

#: What the process that forks is called; it is none of the runner's work.
NAME = "forks-children"
#: Replaces itself by the flow's program when it has prepared it.
REPLACES_ITSELF = ["-m", "prefect.runner._workspace_supervisor"]
MOST_BYTES = 120_000
#: Of prctl(2).
PDEATHSIG, SET_NAME, CHILD_SUBREAPER = 1, 15, 36

_libc = ctypes.CDLL(None, use_errno=True)
_spec = importlib.util.spec_from_file_location("started_ahead", Path(__file__).parents[1] / "started_ahead.py")
assert _spec is not None
assert _spec.loader is not None
started_ahead: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(started_ahead)


def is_runner(arguments: list[str]) -> bool:
    """Whether a Python with these arguments is Prefect's runner of one flow run."""
    for program in (["-m", "prefect"], arguments[:1]):
        if arguments[: len(program) + 2] == [*program, "flow-run", "execute"]:
            return sys.platform == "linux" and Path(program[-1]).name == "prefect"
    return False


def begin(first_of_path: int) -> None:
    """Have a process beside this one that forks its children.

    Args:
        first_of_path: where in `sys.path` that begins which PYTHONPATH says: 1 where the program's folder is before it.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        _serve(theirs, _rest_of_path(first_of_path))
    theirs.close()
    _start_from(ours)


# -- in the process whose children they are ---------------------------------------------------------------------------


def _start_from(line: socket.socket) -> None:
    lock = threading.Lock()
    start_anew = subprocess.Popen._execute_child  # type: ignore[attr-defined]
    names = list(inspect.signature(start_anew).parameters)[1:]
    pythons = {name: value for name, value in os.environ.items() if name.startswith("PYTHON") and name != "PYTHONPATH"}

    def start(self: Any, *values: Any) -> None:
        given = dict(zip(names, values, strict=True))
        environment = dict(os.environ if given["env"] is None else given["env"])
        plain = not (given["shell"] or given["preexec_fn"] or given["pass_fds"] or given["executable"])
        same = {name: environment.get(name) for name in pythons} == pythons
        command = given["args"]
        folder = os.fspath(given["cwd"] or Path.cwd())
        pid = None
        if (
            plain
            and same
            and isinstance(command, list | tuple)
            and command[0] == sys.executable
            and Path(folder).is_dir()
        ):
            order = {
                "arguments": [str(argument) for argument in command[1:]],
                "environment": environment,
                "folder": folder,
                "leads": given["start_new_session"],
            }
            ends = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
            files = [own if end == -1 else end for own, end in enumerate(ends)]
            with lock:
                pid = _ordered(line, order, files)
        if pid is None:
            start_anew(self, *values)
            return
        self.pid, self._child_created = pid, True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[name] for name in pipes))

    subprocess.Popen._execute_child = start  # type: ignore[attr-defined]


def _ordered(line: socket.socket, order: dict[str, Any], files: list[int]) -> int | None:
    """The pid of the child that was forked; None if there is none."""
    # What is nobody's child becomes this process's meanwhile: see `_serve`.
    _libc.prctl(CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        socket.send_fds(line, [json.dumps(order).encode()], files)
        answer = line.recv(32)
    except OSError:
        # The one that forks was killed.
        return None
    finally:
        _libc.prctl(CHILD_SUBREAPER, 0, 0, 0, 0)
    return int(answer) if answer else None


# -- in the process that forks ----------------------------------------------------------------------------------------


def _serve(line: socket.socket, rest_of_path: list[str]) -> NoReturn:
    _libc.prctl(SET_NAME, NAME.encode(), 0, 0, 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    while True:
        message, files, _, _ = socket.recv_fds(line, MOST_BYTES, 3)
        if not message:
            # The runner has ended.
            os._exit(0)
        begun, begins = os.pipe()
        between = os.fork()
        if between == 0:
            # Its own parent ends at once: it becomes a child of the runner.
            if os.fork() != 0:
                os._exit(0)
            os.write(begins, str(os.getpid()).encode())
            _live(json.loads(message), files, rest_of_path)
        os.close(begins)
        pid = os.read(begun, 32)
        os.waitpid(between, 0)
        for fd in (begun, *files):
            os.close(fd)
        line.send(pid)


# -- in the child -----------------------------------------------------------------------------------------------------


def _live(order: dict[str, Any], files: list[int], rest_of_path: list[str]) -> NoReturn:
    _libc.prctl(SET_NAME, b"python", 0, 0, 0)
    for number, fd in enumerate(files):
        os.dup2(fd, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    if order["leads"]:
        os.setsid()
    if order["arguments"][:2] == REPLACES_ITSELF:
        order |= _until_it_replaces_itself(order, rest_of_path)
    _become_program(order, rest_of_path)


def _until_it_replaces_itself(order: dict[str, Any], rest_of_path: list[str]) -> dict[str, Any]:
    """What it replaces itself by. A child does all until then, so that this process is as if it had done nothing."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _libc.prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)

        def execvpe(file: str, arguments: list[str], environment: dict[str, str]) -> NoReturn:
            told = {"command": arguments, "environment": environment, "folder": str(Path.cwd())}
            theirs.sendall(json.dumps(told).encode())
            os._exit(0)

        os.execvpe = execvpe  # type: ignore[assignment]
        _become_program(order, rest_of_path)
    theirs.close()
    with ours, ours.makefile("rb") as file:
        told = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code != 0 or not told:
        _end(code)
    replaced: dict[str, Any] = json.loads(told)
    command = replaced["command"]
    if command[0] != sys.executable:
        os.chdir(replaced["folder"])
        os.execvpe(command[0], command, replaced["environment"])
    return replaced | {"arguments": command[1:]}


def _become_program(order: dict[str, Any], rest_of_path: list[str]) -> NoReturn:
    """What a Python does that was started with this: until its end, which is not that of the one it was forked from."""
    os.chdir(order["folder"])
    with suppress(AssertionError):
        # Where there is no room for it, all that anybody looks for is in that of the runner.
        started_ahead.show_environment(order["environment"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.path[:] = list(dict.fromkeys(["", *_named_in(order["environment"]), *rest_of_path]))
    code = 1
    try:
        started_ahead.read_environment_again()
        started_ahead.run(order["arguments"])
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except KeyboardInterrupt:
        code = -signal.SIGINT
    except BaseException:  # noqa: BLE001 - as the interpreter does with what nobody caught
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    _end(code)


def _end(code: int) -> NoReturn:
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


def _named_in(environment: dict[str, str]) -> list[str]:
    named = environment.get("PYTHONPATH")
    return [os.path.abspath(folder) for folder in named.split(os.pathsep)] if named else []  # noqa: PTH100


def _rest_of_path(first: int) -> list[str]:
    """All of `sys.path` but what PYTHONPATH says."""
    named = set(_named_in(dict(os.environ)))
    return [folder for folder in sys.path[first:] if folder not in named]
