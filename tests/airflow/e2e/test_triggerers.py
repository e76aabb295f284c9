"""A triggerer dies, is shut down, hangs, or is one of two: each job is followed by one, and stopped once.

Against a real Airflow with all its processes. The job writes `whole` to a file at its end.
"""

from __future__ import annotations

import signal

import pytest
from airflow_at_work import TRIES_AGAIN, UNTIL_TOLD, Airflow, Work

pytestmark = [pytest.mark.e2e]


def assert_done_once(work: Work) -> None:
    """Let it end, which it does once."""
    work.let_go()
    assert work.ended() == "success"
    assert work.is_whole
    assert work.runs == 1
    assert len(work.sessions) == 1
    assert work.running == []


BY_SIGNAL = pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "shut down"])


@BY_SIGNAL
def test_triggerer_ended_and_started_again(airflow: Airflow, signum: signal.Signals) -> None:
    work = airflow.work("deferred", UNTIL_TOLD)
    work.until_deferred()
    begun = work.triggers_begun
    airflow.services.kill("triggerer", signum)
    airflow.services.begin("triggerer")
    work.until_triggered(more_than=begun)
    assert_done_once(work)


@BY_SIGNAL
def test_of_two_triggerers_one_follows_a_job_and_the_other_takes_over_when_it_ends(
    airflow: Airflow, signum: signal.Signals
) -> None:
    work = airflow.work("deferred", UNTIL_TOLD)
    work.until_deferred()
    airflow.services.begin("triggerer")
    work.until("the second should be up", lambda: "Starting the triggerer" in airflow.services.logged("triggerer"))
    begun = work.triggers_begun
    # The one that was there first has it.
    airflow.services.kill("triggerer", signum)
    work.until_triggered(more_than=begun)
    assert len(work.running) == 1
    assert_done_once(work)


def test_a_triggerer_that_stalls_and_comes_back(airflow: Airflow) -> None:
    """Another one has taken its trigger over by then: it is told to end it, as if a user had ended the task."""
    work = airflow.work("deferred", UNTIL_TOLD)
    work.until_deferred()
    begun = work.triggers_begun
    wake = airflow.services.stall("triggerer")
    try:
        airflow.services.begin("triggerer")
        work.until_triggered(more_than=begun)
    finally:
        wake()
    work.until("the one that stalled should have ended its trigger", lambda: work.triggers_ended)
    assert len(work.running) == 1
    airflow.services.kill("triggerer")
    assert_done_once(work)


def test_half_a_character_in_an_error_of_the_api_ends_its_own_try_alone(airflow: Airflow) -> None:
    """It reached the trigger's event, which can't be encoded, and ended the triggerer with all that waited in it."""
    triggerer = airflow.services.child("triggerer").process
    work = airflow.work("deferred", UNTIL_TOLD)
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
    work.until_next_try()
    work.let_go()
    assert work.ended() == "success"
    assert work.is_whole
    assert airflow.services.child("triggerer").process is triggerer
    assert triggerer.poll() is None
    assert work.running == []
