"""Two coordinators at one folder: the second is refused by the first one's name, and a dead one is in nobody's way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from folder_bench import batch_of, opened, take

from octa_provider.batch.folder.status import status
from octa_provider.errors import OctaConfigError

HERE = Path(__file__).parent
HOLD = """
import sys, time
from pathlib import Path
from folder_bench import batch_of, opened, take
with opened(batch_of(Path(sys.argv[1]))) as folder:
    take(folder, *map(int, sys.argv[2:]))
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def another_coordinator(root: Path, *frames: int) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the folder, once it has accepted some frames."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(HERE)])}
    command = [sys.executable, "-c", HOLD, str(root), *map(str, frames)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_coordinator_is_told_who_is_the_first(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with another_coordinator(tmp_path, 1) as process:
        said = rf"is being rendered into by process {process.pid} on \S+ \(user \S+, since \S+\): wait for it"
        with pytest.raises(OctaConfigError, match=said):
            opened(batch)
        told = status(tmp_path / "out")
        assert f"process {process.pid} on " in told.running
        assert told.done == 1
    with opened(batch) as folder:
        assert list(folder.accepted) == [1]
    assert status(tmp_path / "out").running == ""


def test_a_coordinator_that_was_killed_holds_nothing_and_has_lost_nothing(tmp_path: Path) -> None:
    with another_coordinator(tmp_path, 1, 2, 3) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with opened(batch_of(tmp_path)) as folder:
            assert list(folder.accepted) == [1, 2, 3]
            take(folder, 4)


def test_a_process_that_has_got_a_dead_coordinators_number_is_not_taken_for_it(tmp_path: Path) -> None:
    with opened(batch_of(tmp_path)):
        pass
    # This process lives, and stands in the lock that nobody holds.
    lock = tmp_path / "out" / ".octa" / "lock"
    lock.write_text(json.dumps({"pid": os.getpid(), "host": "here", "user": "me", "since": "today"}))
    with opened(batch_of(tmp_path)) as folder:
        assert len(folder.accepted) == 0


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pid": 1}', '{"pid": "\\u001b[2J", "host": 1, "user": 2, "since": 3}']
)
def test_what_stands_in_a_lock_does_not_matter(tmp_path: Path, text: str) -> None:
    batch = batch_of(tmp_path)
    with opened(batch):
        (tmp_path / "out" / ".octa" / "lock").write_text(text)
        with pytest.raises(OctaConfigError, match=r"is being rendered into by [ -~]+: wait for it"):
            opened(batch)


def test_a_look_at_the_status_keeps_no_coordinator_out(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    with opened(batch):
        pass
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            status(tmp_path / "out")

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(20):
            with opened(batch):
                pass
    finally:
        stop.set()
        watcher.join()


def test_a_folder_that_could_not_be_opened_is_not_held(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "frame_0003.png").write_bytes(b"of somebody else")
    with pytest.raises(OctaConfigError, match="did not render"):
        opened(batch)
    (tmp_path / "out" / "frame_0003.png").unlink()
    with opened(batch):
        pass
