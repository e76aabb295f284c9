"""A program that was forked is what one that was started anew is: else it would show something else of our code."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked_python import run_python, start_python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="is started anew there")

SHOWS = """
import gc, json, os, signal, sys, threading
def told(stream):
    if stream is None:
        return None
    kind = type(getattr(stream.buffer, "raw", stream.buffer)).__name__, type(stream.buffer).__name__
    how = [stream.encoding.lower(), stream.errors, stream.line_buffering, stream.write_through, stream.newlines]
    return [*kind, *how, stream.name, stream.mode, stream.buffer.fileno()]
file = open(sys.argv[2], "w")
json.dump({
    "arguments": [sys.argv, sys.orig_argv[1:], sys.path, __name__, sorted(vars(sys.modules["__main__"]))[:8]],
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "files": sorted(os.listdir("/proc/self/fd")),
    "streams": [told(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "same": [sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
    "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
    "masked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "leads": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
    "threads": [one.name for one in threading.enumerate()],
    "garbage": gc.get_threshold(),
}, file)
file.close()
sys.exit(3)
"""


@pytest.mark.parametrize("closed", [(), (1,), (0, 1, 2)], ids=str)
@pytest.mark.parametrize(
    "variables",
    [{}, {"PYTHONUNBUFFERED": "1"}, {"PYTHONIOENCODING": "ascii:replace", "MARK": "of ünüsual=text\n"}],
    ids=str,
)
def test_it_is_as_one_that_was_started_anew(tmp_path: Path, variables: dict[str, str], closed: tuple[int, ...]) -> None:
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONUNBUFFERED", "PYTHONIOENCODING")}
    command = [sys.executable, "-c", SHOWS, "a word", str(tmp_path / "told")]
    shown = []
    for is_forked in (True, False):
        options = {"env": own | variables, "cwd": tmp_path, "timeout": 600, "stdin": subprocess.DEVNULL}
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if is_forked:
            ended = run_python(command, closed=closed, **options, **streams)
        else:
            shut = " ".join(f"{number}>&-" for number in closed)
            line = f"exec {shlex.join(command)} {shut}"
            ended = subprocess.run(["/bin/sh", "-c", line], start_new_session=True, **options, **streams)  # type: ignore[call-overload]
        assert ended.returncode == 3
        shown.append(json.loads((tmp_path / "told").read_text()))
    # A shell says where it is.
    for one in shown:
        for name in ("PWD", "OLDPWD", "_", "SHLVL"):
            one["environment"].pop(name, None)
    assert shown[0] == shown[1]


def test_its_end_is_told_as_that_of_a_child() -> None:
    with start_python([sys.executable, "-c", "import time; time.sleep(1000)"]) as process:
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(600) == process.poll() == process.returncode == -signal.SIGTERM
    with pytest.raises(subprocess.CalledProcessError):
        run_python([sys.executable, "-c", "raise SystemExit(5)"], check=True)


def test_what_it_reads_and_says_goes_through_pipes() -> None:
    said = "import sys; print(sys.stdin.read().upper()); print('beside', file=sys.stderr)"
    with start_python([sys.executable, "-c", said], stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        assert process.communicate("to read", timeout=600) == ("TO READ\n", "beside\n")
    assert process.returncode == 0


def test_what_of_its_output_nobody_takes_is_told_by_its_status() -> None:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        ended = run_python(
            [sys.executable, "-c", "print('lost')"], stdout=full, stderr=subprocess.PIPE, text=True, env=own
        )
    # So the interpreter says that it could not flush its output at its end.
    assert ended.returncode == 120
    assert "No space left on device" in ended.stderr
