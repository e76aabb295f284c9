"""A triggerer dies, is shut down, hangs, or is one of two: each job is followed by one, and stopped once.

Against a real Airflow with all its processes. The job writes `whole` to a file at its end.
"""

from __future__ import annotations

import signal
import time

import pytest
from airflow_at_work import TRIES_AGAIN, Airflow, Work
from test_killed import is_whole

pytestmark = [pytest.mark.e2e]


def assert_done_once(work: Work) -> None:
    assert work.ended() == "success"
    assert is_whole(work)
    assert (work.folder / "runs").read_text() == "run\n"
    assert len(work.sessions) == 1
    assert work.running == []


BY_SIGNAL = pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "shut down"])


@BY_SIGNAL
def test_triggerer_ended_and_started_again(airflow: Airflow, signum: signal.Signals) -> None:
    work = airflow.work("deferred", "echo run >> $F/runs; sleep 8; echo whole > $F/output")
    work.until_deferred()
    airflow.services.kill("triggerer", signum)
    airflow.services.begin("triggerer")
    assert_done_once(work)


@BY_SIGNAL
def test_of_two_triggerers_one_follows_a_job_and_the_other_takes_over_when_it_ends(
    airflow: Airflow, signum: signal.Signals
) -> None:
    work = airflow.work(
        "deferred", "echo run >> $F/runs; until [ -e $F/go ]; do sleep 0.2; done; echo whole > $F/output"
    )
    work.until_deferred()
    airflow.services.begin("triggerer")
    work.until("the second should be up", lambda: "Starting the triggerer" in airflow.services.logged("triggerer"))
    # The one that was there first has it; or the second by now, where a busy machine kept the first from its heartbeat.
    airflow.services.kill("triggerer", signum)
    work.until("the second should have its trigger", lambda: work.triggers_begun >= 2)
    assert len(work.running) == 1
    (work.folder / "go").touch()
    assert_done_once(work)


def test_a_triggerer_that_stalls_and_comes_back(airflow: Airflow) -> None:
    """Another one has taken its trigger over by then: it is told to end it, as if a user had ended the task."""
    work = airflow.work(
        "deferred", "echo run >> $F/runs; until [ -e $F/go ]; do sleep 0.2; done; echo whole > $F/output"
    )
    work.until_deferred()
    wake = airflow.services.stall("triggerer")
    try:
        airflow.services.begin("triggerer")
        work.until("its trigger should run once more", lambda: work.triggers_begun >= 2)
    finally:
        wake()
    time.sleep(5)
    assert len(work.running) == 1
    (work.folder / "go").touch()
    assert_done_once(work)
    airflow.services.kill("triggerer")


def test_half_a_character_in_an_error_of_the_api_ends_its_own_try_alone(airflow: Airflow) -> None:
    """It reached the trigger's event, which can't be encoded, and ended the triggerer with all that waited in it."""
    triggerer = airflow.services.child("triggerer").process
    work = airflow.work("deferred", "echo begun; sleep 8; echo whole > $F/output")
    work.until_deferred()
    airflow.emulator.faults(
        {
            "kind": "status",
            "status": 403,
            "path": f"/services/{work.sessions[-1]['uuid']}/logs",
            "body": r'{"message": "this key may not read logs \ud83d"}',
            "times": None,
        }
    )
    if not TRIES_AGAIN:
        work.clear_failed()
    assert work.ended() == "success"
    assert is_whole(work)
    assert int(work.tries[-1][3]) > 1
    assert airflow.services.child("triggerer").process is triggerer
    assert triggerer.poll() is None
    assert work.running == []
