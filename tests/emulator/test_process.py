"""Finding, waiting for and ending processes."""

import asyncio
import os
import signal
import subprocess
import time
import uuid

import pytest
from tenancy import eventually

from octa_provider.emulator.container import process
from octa_provider.emulator.container.process import (
    ProcessTable,
    end_leftovers,
    end_processes,
    marked_pids,
    send_signal,
    wait_for_exit,
)


def sleeper(mark, value, seconds="1000"):
    return subprocess.Popen(["sleep", seconds], env=os.environ | {mark: value}, start_new_session=True)


async def end(name, grace_s):
    await end_processes(ProcessTable(), name, [], grace_s)


def test_a_mark_must_match_whole():
    name = str(uuid.uuid4())
    with sleeper(process.SESSION_MARK, name) as child:
        try:
            eventually(lambda: marked_pids(process.SESSION_MARK, name) == [child.pid])
            assert marked_pids(process.SESSION_MARK, name[:-1]) == []
        finally:
            child.kill()


def test_a_mark_is_found_at_the_end_of_a_large_environment():
    large = {f"A{number}": "x" * 100_000 for number in range(3)}
    with subprocess.Popen(["sleep", "1000"], env={**large, "OCTA_TEST_MARK": "found"}) as child:
        try:
            eventually(lambda: marked_pids("OCTA_TEST_MARK", "found") == [child.pid])
        finally:
            child.kill()


def test_signals_to_the_gone_are_nothing():
    with subprocess.Popen(["true"]) as child:
        child.wait()
    send_signal([child.pid], signal.SIGTERM)
    send_signal([child.pid], signal.SIGTERM, groups=True)


def test_a_stubborn_process_is_killed_after_its_grace():
    name = str(uuid.uuid4())
    env = os.environ | {process.SESSION_MARK: name}
    script = "trap '' TERM; echo up; while :; do sleep 0.01; done"
    with subprocess.Popen(["sh", "-c", script], env=env, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        started = time.monotonic()
        asyncio.run(end(name, 0.2))
        assert time.monotonic() - started >= 0.2
        assert child.wait() == -signal.SIGKILL


def test_leftovers_of_a_state_folder_are_killed(tmp_path):
    with sleeper(process.STATE_MARK, str(tmp_path)) as child:
        eventually(lambda: marked_pids(process.STATE_MARK, str(tmp_path)))
        assert child.pid in end_leftovers(tmp_path)
        assert child.wait() == -signal.SIGKILL
    assert end_leftovers(tmp_path) == []


@pytest.mark.parametrize("has_pidfd", [True, False])
@pytest.mark.parametrize("ours", [True, False])
def test_an_end_is_noticed_for_children_and_for_others(monkeypatch, has_pidfd, ours):
    if not has_pidfd:

        def unsupported(pid):
            raise OSError("not here")

        monkeypatch.setattr(process.os, "pidfd_open", unsupported)

    async def noticed():
        waits = asyncio.create_task(wait_for_exit(pid))
        await asyncio.sleep(0.1)
        assert not waits.done()
        os.kill(sleeps, signal.SIGTERM)
        await asyncio.wait_for(waits, 600)

    with subprocess.Popen(["sh", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE) as child:
        sleeps = int(child.stdout.readline())
        pid = child.pid if ours else sleeps
        asyncio.run(noticed())
        assert child.wait() == 0
    asyncio.run(asyncio.wait_for(wait_for_exit(pid), 600))
