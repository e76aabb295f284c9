"""A process that was forked is what one that was started anew is: else it would show something else of our code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from forked import BIN, ForkedProcess, start_forked
from prefect_server import with_more_time
from waiting_for import wait_for
from warm_children import is_runner

from octa_provider.emulator.container.process import marked_pids

SHOWS = """
import sys
ours = [name for name in sys.modules if name.startswith(("octa_provider", "prefect_blocks"))]
import gc, json, logging, os, signal, threading
import prefect.main
from prefect.context import get_settings_context

def shown(logger):
    handlers = [(type(one).__name__, one.level, type(one.formatter).__name__) for one in logger.handlers]
    return [logger.level, logger.propagate, logger.disabled, handlers]

loggers = {name: one for name, one in logging.root.manager.loggerDict.items() if isinstance(one, logging.Logger)}
shown = {
    "modules of ours": ours,
    "arguments": [sys.argv, sys.orig_argv[1:], sys.path, __name__, sorted(vars(sys.modules["__main__"]))[:9]],
    "environment": [dict(os.environ), sorted(open("/proc/self/environ").read().rstrip("\\0").split("\\0"))],
    "folder": os.getcwd(),
    "files": [sorted(os.listdir("/proc/self/fd")), os.readlink("/proc/self/fd/0")],
    "output": [(type(to.buffer).__name__, to.encoding, to.line_buffering) for to in (sys.stdout, sys.stderr)],
    "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
    "masked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "leads": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
    "threads": [one.name for one in threading.enumerate()],
    "garbage": gc.get_threshold(),
    "profile": repr(get_settings_context().profile),
    "settings": get_settings_context().settings.model_dump(mode="json"),
    "loggers": {name: shown(one) for name, one in sorted(loggers.items()) if one.level or not one.propagate},
    "root": shown(logging.root),
}
print(json.dumps(shown))
sys.exit(3)
"""


#: Runs the same program anew and as a child that is forked, and shows what both have shown, and how they ended.
STARTS = """
import json, os, subprocess, sys
import warm_children

def child(program, **options):
    command = [sys.executable, "-c", program, "an argument"]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **options)
    return [ended.returncode, ended.stdout]

def children():
    other = {"PYTHONPATH": "/of-a-workspace:" + os.environ["PYTHONPATH"], "PREFECT_LOGGING_LEVEL": "ERROR"}
    shown = child(sys.argv[1], env={**os.environ, **other}, cwd="/", start_new_session=True)
    killed = child("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    raised = child("import atexit; atexit.register(print, 'at exit'); raise LookupError")
    parent = child("import os; print(os.getppid(), os.getpgid(0))")
    return [shown, killed, raised, parent]

anew = children()
warm_children.begin(first_of_path=1)
line = json.dumps([anew, children(), [os.getpid(), os.getpgid(0)]])
print(line)
"""


def environment_of(folder: Path) -> dict[str, str]:
    """Not the one in which the Python that forks was started."""
    home = folder / "home"
    home.mkdir()
    text = 'active = "other"\n[profiles.other]\nPREFECT_CLIENT_MAX_RETRIES = "7"\n'
    (home / "profiles.toml").write_text(text)
    named = {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "DEBUG", "MARK": "of ünüsual=text\n"}
    without = {name: value for name, value in os.environ.items() if name != "PREFECT_SERVER_ANALYTICS_ENABLED"}
    return without | named | {"PYTHONPATH": with_more_time()}


def forked(arguments: list[str], folder: Path, environment: dict[str, str]) -> tuple[ForkedProcess, Path]:
    log = folder / f"log-{len(list(folder.iterdir()))}"
    process = start_forked(arguments, log, environment, folder)
    assert process is not None, "it can not be forked here"
    return process, log


def test_it_is_as_one_that_was_started_anew(tmp_path: Path) -> None:
    environment = environment_of(tmp_path)
    command = [sys.executable, "-c", SHOWS, "an argument"]
    process, log = forked(command, tmp_path, environment)
    anew = subprocess.run(
        command,
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert (process.wait(600), anew.returncode) == (3, 3), log.read_text()
    shown: dict[str, Any] = json.loads(log.read_text().splitlines()[-1])
    assert shown == json.loads(anew.stdout)
    assert shown["modules of ours"] == []
    assert shown["settings"]["client"]["max_retries"] == 7


def test_modules_and_commands_run_as_programs(tmp_path: Path) -> None:
    environment = environment_of(tmp_path)
    for arguments, told in (
        ([sys.executable, "-m", "json.tool", "--help"], "usage: python -m json.tool"),
        ([str(BIN / "prefect"), "profile", "ls"], "Available Profiles"),
    ):
        process, log = forked(arguments, tmp_path, environment)
        assert process.wait(600) == 0, log.read_text()
        assert told in log.read_text()


def test_it_is_found_by_its_environment_and_ended_by_a_signal(tmp_path: Path) -> None:
    environment = environment_of(tmp_path)
    sleeps = "print('it sleeps', flush=True); import time; time.sleep(3600)"
    process, log = forked([sys.executable, "-c", sleeps], tmp_path, environment)
    other, _ = forked([sys.executable, "-c", sleeps], tmp_path, environment | {"PREFECT_HOME": str(tmp_path / "other")})
    try:
        assert marked_pids("PREFECT_HOME", environment["PREFECT_HOME"]) == [process.pid]
        wait_for(lambda: "it sleeps" in log.read_text(), "it sleeps")
        assert process.poll() is None
        for one, number in ((process, signal.SIGTERM), (other, signal.SIGKILL)):
            os.killpg(one.pid, number)
            assert one.wait(600) == -number
        assert marked_pids("PREFECT_HOME", environment["PREFECT_HOME"]) == []
    finally:
        process.kill()
        other.kill()


def test_the_children_of_a_runner_are_as_those_that_were_started_anew(tmp_path: Path) -> None:
    process, log = forked([sys.executable, "-c", STARTS, SHOWS], tmp_path, environment_of(tmp_path))
    assert process.wait(600) == 0, log.read_text()
    anew, children, own = json.loads(log.read_text().splitlines()[-1])
    shown, as_shown = json.loads(children[0][1]), json.loads(anew[0][1])
    assert shown == as_shown
    assert shown["modules of ours"] == []
    assert (shown["folder"], shown["arguments"][2][1]) == ("/", "/of-a-workspace")
    assert [code for code, _ in children] == [3, -signal.SIGKILL, 1, 0]
    assert children[1:] == anew[1:]
    assert children[2][1] == "at exit\n"
    assert [int(number) for number in children[3][1].split()] == own


def test_it_is_prefects_runner_of_one_flow_run_whose_children_are_forked() -> None:
    for arguments in (["-m", "prefect", "flow-run", "execute"], ["/bin/prefect", "flow-run", "execute", "an-id"]):
        assert is_runner(arguments)
    for arguments in (
        ["-m", "prefect.engine"],
        ["-m", "prefect", "worker", "start"],
        ["/bin/prefect", "flow-run", "ls"],
    ):
        assert not is_runner(arguments)


def test_a_file_is_run_as_users_run_it(tmp_path: Path) -> None:
    assert start_forked([sys.executable, "shown.py"], tmp_path / "log", {}, None) is None
